"""Paths on an object store (gs://), through gcsfs.

A store writes an object whole or not at all, but has no rename, append or file locks.
Conditions on an object's generation number replace them: an object is created only if
it does not exist, and removed only if it has not changed.
"""

import logging
import os
from pathlib import Path
from typing import Any

from sparsetx.system.errors import Refusal

SCHEME = "gs://"


def path(text: str) -> Path:
    """A path on the store, with pathlib's methods."""
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
    """An object's content, and the generation number that identifies this version."""
    store, key = _store(), _key(path)
    while True:
        mark = str(store.info(key)["generation"])
        data: bytes = store.cat_file(key)
        if str(store.info(key)["generation"]) == mark:
            return data, mark


def remove_if(path: Path, mark: str) -> bool:
    """Remove an object unless it has changed since `mark` was read."""
    bucket, _, name = _key(path).partition("/")
    try:
        _store().call("DELETE", "b/{}/o/{}", bucket, name, ifGenerationMatch=mark)
    except OSError:  # gone or changed: gcsfs reports both as errors of the store
        return False
    return True


def _key(path: Path) -> str:
    return os.fspath(path).removeprefix(SCHEME)


def _store() -> Any:
    """gcsfs without its cache of listings, since Orbax writes there too."""
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
