"""Versions of what a result may depend on; none of these packages is imported."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata

_PACKAGES = ("mlsg", "torch", "transformers", "tokenizers", "datasets", "numpy", "scipy", "accelerate", "sentencex")
_OF_VECTORS = ("torch", "transformers", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def vector_versions() -> dict[str, str]:
    """Of the packages that can change the bits of vectors and cosines: part of the key of whatever keeps them."""
    found = versions()
    return {name: found.get(name, "") for name in _OF_VECTORS}
