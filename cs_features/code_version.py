"""Which version of our own code made something that is kept: a digest of the sources that shape it.

A number that people have to raise is forgotten once, and then what is kept is wrong for good. Too new a version only
costs the work again. Not here: what is kept, and which modules shape it.
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

DIGITS = 16


@lru_cache(maxsize=8)
def digest_source_files(modules: tuple[str, ...], distributions: tuple[str, ...]) -> str:
    """16 hexadecimal digits that differ when one of `modules`, of which some may be packages, or the version of one of
    `distributions` does."""
    digest = hashlib.sha256()
    for name in modules:
        for source in _read_source_files(name):
            digest.update(name.encode() + b"\0" + source + b"\0")
    for name in distributions:
        digest.update(f"{name}=={version(name)}\0".encode())
    return digest.hexdigest()[:DIGITS]


def digest_shaping_settings(code: str, settings: Iterable[str]) -> str:
    """The version of code that settings shape, too."""
    return hashlib.sha256("\0".join([code, *settings]).encode()).hexdigest()[:DIGITS]


def _read_source_files(module: str) -> list[bytes]:
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    path = Path(spec.origin)
    is_package = spec.submodule_search_locations is not None
    return [each.read_bytes() for each in (sorted(path.parent.glob("*.py")) if is_package else [path])]
