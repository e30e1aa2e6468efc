"""Sentence vectors for languages without labels.

import mlsg

sentences = mlsg.prepare("en", limit=10_000)
encoder = mlsg.train("bert-base-multilingual-cased", sentences, seed=1)
scores = mlsg.evaluate(encoder, ["es", "ar", "tr"])
vectors = encoder.encode(["Bir cümle.", "Başka bir cümle."])     # float32 (n, d)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlsg.api import evaluate, load_recipe, prepare, train
    from mlsg.model.encoder import Encoder

    __version__: str

__all__ = ["Encoder", "__version__", "evaluate", "load_recipe", "prepare", "train"]


def _lazy(module: str, name: str) -> property:
    def value(_: ModuleType) -> Any:
        return getattr(import_module(module), name)

    def kept(_: ModuleType, module: ModuleType) -> None:
        """Python sets each imported submodule on its package; here the function stays."""

    return property(value, kept)


class _Package(ModuleType):
    """Public names are resolved when they are first asked for, so that `import mlsg` brings no torch.

    `mlsg.train` is the function, whether or not the submodule of that name, which holds the stage, has been imported:
    a property comes before an attribute. The modules are reached by `from mlsg.train import ...` and in `sys.modules`.
    """

    prepare, train, evaluate = _lazy("mlsg.api", "prepare"), _lazy("mlsg.api", "train"), _lazy("mlsg.api", "evaluate")
    load_recipe, Encoder = _lazy("mlsg.api", "load_recipe"), _lazy("mlsg.model.encoder", "Encoder")

    @property
    def __version__(self) -> str:
        from importlib import metadata

        try:
            return metadata.version("mlsg")
        except metadata.PackageNotFoundError:
            return "0+clone"


sys.modules[__name__].__class__ = _Package
