"""Check this machine: Python, packages, devices, memory, disk.

Exit code 0 if training can run here, 1 if something is missing.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of output: what was checked, what was found, whether it suffices."""

    what: str
    found: str
    ok: bool = True
    advice: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        default=".",
        help="folder for runs and data (default: the current folder)",
    )


def main(args: argparse.Namespace) -> int:
    fine = True
    for finding in findings(args.folder):
        mark = "ok  " if finding.ok else "BAD "
        print(f"{mark} {finding.what:<24} {finding.found}")
        if not finding.ok:
            fine = False
            print(f"     {'':<24} {finding.advice}")
    return 0 if fine else 1


def findings(folder: str) -> Iterator[Finding]:
    version = sys.version.split()[0]
    advice = "install Python 3.11 or newer, then: make clean install"
    yield Finding("Python", version, sys.version_info >= (3, 11), advice)
    yield from _packages()
    yield from _devices()
    yield _memory()
    yield _disk(folder)


def _packages() -> Iterator[Finding]:
    """Compare installed packages with those in setup.cfg; extras may be absent."""
    for text in importlib.metadata.requires("sparsetx") or []:
        wanted = Requirement(text)
        extra = re.search(r"extra\s*==\s*['\"](\w+)['\"]", str(wanted.marker or ""))
        if extra and extra[1] in ("dev", "tpu"):
            continue  # not needed to train
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            optional = (
                f"not installed (optional: sparsetx[{extra[1] if extra else ''}])"
            )
            missing = optional if extra else "not installed"
            yield Finding(wanted.name, missing, extra is not None, "make install")
            continue
        fits = wanted.specifier.contains(found, prereleases=True)
        advice = f"wanted {wanted.specifier}: make clean install"
        yield Finding(wanted.name, found, fits, advice)


def _devices() -> Iterator[Finding]:
    try:
        import jax
        import jax.numpy as jnp

        devices = jax.devices()
        total = float(jax.jit(jnp.sum)(jnp.ones(8)))
    except Exception as error:  # any failure of the backend is a finding
        yield Finding("devices", repr(error)[:200], False, "check the JAX installation")
        return
    kinds = sorted({device.device_kind for device in devices})
    found = f"{len(devices)} x {', '.join(kinds)} ({jax.default_backend()})"
    yield Finding("devices", found, total == 8.0, "a sum was wrong: check the driver")
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    yield Finding("compile cache", cache or "none (set JAX_COMPILATION_CACHE_DIR)")


def _memory() -> Finding:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gib = pages * size / GIB
    found = f"{gib:.1f} GiB, {os.cpu_count()} cores"
    return Finding("memory", found, gib >= 4, "the demo needs about 4 GiB")


def _disk(folder: str) -> Finding:
    try:
        free = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        advice = f"name a folder that exists: {error.strerror}"
        return Finding("disk", f"{folder} cannot be read", False, advice)
    writable = os.access(folder, os.W_OK)
    found = f"{free:.1f} GiB free in {os.path.abspath(folder)}"
    found += "" if writable else ", not writable"
    return Finding(
        "disk", found, writable and free >= 2, "free 2 GiB there, and make it writable"
    )
