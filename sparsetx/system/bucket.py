"""Paths on an object store (gs://), through gcsfs.

An object appears whole or not at all, but there is no rename, no append and no flock.
What stands in for them is a condition on an object's generation, which the store keeps:
it is written only if nobody else has written it, removed only if it is still the same.
"""

import logging
import os
from pathlib import Path
from typing import Any

from sparsetx.system.errors import Refusal

SCHEME = "gs://"


def path(text: str) -> Path:
    """What has pathlib's methods, on the store."""
    if not text.startswith(SCHEME):
        raise Refusal(f"wanted a local path or one that begins with gs://, got {text}")
    _store()
    from etils import epath

    found: Path = epath.Path(text)
    return found


def inside(folder: Path) -> list[Path]:
    """Every object below a folder."""
    return [path(SCHEME + name) for name in _store().find(_key(folder))]


def create(path: Path, data: bytes) -> bool:
    """Write an object that must not exist yet; False if it does."""
    try:
        _store().pipe_file(_key(path), data, mode="create")
    except FileExistsError:
        return False
    return True


def read(path: Path) -> tuple[bytes, str]:
    """An object, and the mark of this very content: its generation."""
    store, key = _store(), _key(path)
    while True:
        mark = str(store.info(key)["generation"])
        data: bytes = store.cat_file(key)
        if str(store.info(key)["generation"]) == mark:
            return data, mark


def remove_if(path: Path, mark: str) -> bool:
    """Remove an object unless it has changed since it had this mark."""
    bucket, _, name = _key(path).partition("/")
    try:
        _store().call("DELETE", "b/{}/o/{}", bucket, name, ifGenerationMatch=mark)
    except OSError:  # gone, or another one: both are errors of the store to gcsfs
        return False
    return True


def _key(path: Path) -> str:
    return os.fspath(path).removeprefix(SCHEME)


def _store() -> Any:
    """Without its cache of listings: Orbax writes beside it."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        import fsspec
        import gcsfs  # noqa: F401
    except ImportError as error:
        raise Refusal(
            "gs:// paths need gcsfs, which is not installed: "
            "pip install 'sparsetx[gcs]'"
        ) from error
    logging.getLogger("gcsfs").setLevel(logging.ERROR)
    for name in ("gs", "gcs"):
        fsspec.config.conf.setdefault(name, {})["use_listings_cache"] = False
    return fsspec.filesystem("gs")
