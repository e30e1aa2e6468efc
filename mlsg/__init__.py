"""Sentence vectors for languages without labels.

Python use::

    from mlsg import Encoder

    vectors = Encoder.load("folder").encode(["Bir cümle.", "Başka bir cümle."])   # float32 (n, d)
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlsg.model.encoder import Encoder

__all__ = ["Encoder", "__version__"]


def __getattr__(name: str) -> Any:
    """Resolve `Encoder` and `__version__` when first asked for, so that `import mlsg` brings no torch."""
    if name == "Encoder":
        from mlsg.model.encoder import Encoder

        return Encoder
    if name == "__version__":
        try:
            return metadata.version("mlsg")
        except metadata.PackageNotFoundError:
            return "0+clone"
    raise AttributeError(f"module 'mlsg' has no attribute {name!r}")
