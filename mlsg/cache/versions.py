"""Versions of what a result may depend on; none of these packages is imported."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

_PACKAGES = ("mlsg", "torch", "transformers", "tokenizers", "datasets", "numpy", "scipy", "accelerate", "sentencex")
_OF_VECTORS = ("torch", "transformers", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result may depend on."""
    return {"python": platform.python_version(), **{name: v for name in _PACKAGES if (v := _version(name))}}


def vector_versions() -> dict[str, str]:
    """Of the packages that can change the bits of vectors and cosines: part of the key of whatever keeps them."""
    return {name: _version(name) for name in _OF_VECTORS}


@cache  # looking for a package's files takes milliseconds
def _version(name: str) -> str:
    """Of a package; an empty text for one that is not installed."""
    return next((found.version for found in metadata.distributions(name=name)), "")
