"""Sentence vectors for languages without labels.

import mlsg

sentences = mlsg.prepare("en", limit=10_000)
encoder = mlsg.train("bert-base-multilingual-cased", sentences, seed=1)
scores = mlsg.evaluate(encoder, ["es", "ar", "tr"])
vectors = encoder.encode(["Bir cümle.", "Başka bir cümle."])     # float32 (n, d)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlsg.api import evaluate, load_recipe, prepare, train
    from mlsg.model.encoder import Encoder

    __version__: str

__all__ = ["Encoder", "__version__", "evaluate", "load_recipe", "prepare", "train"]


def __getattr__(name: str) -> Any:
    """Resolve a public name when it is first asked for, so that `import mlsg` brings no torch."""
    if name == "Encoder":
        from mlsg.model.encoder import Encoder

        return Encoder
    if name == "load_recipe":
        from mlsg.api import load_recipe

        return load_recipe
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("mlsg")
        except metadata.PackageNotFoundError:
            return "0+clone"
    raise AttributeError(f"module 'mlsg' has no attribute {name!r}")


def _stage(name: str) -> property:
    def function(_: ModuleType) -> Any:
        from mlsg import api

        return getattr(api, name)

    def kept(_: ModuleType, module: ModuleType) -> None:
        """Python sets each imported submodule on its package; here the function stays."""

    return property(function, kept)


class _Package(ModuleType):
    """`mlsg.train` is the function, whether or not the submodule of that name has been imported.

    Submodules `prepare`, `train` and `evaluate` hold the stages. Without this, importing one of them would replace the
    function by the module, depending on what was imported before. A property comes before an attribute of that name.
    The modules are reached by `from mlsg.train import ...` and in `sys.modules`, never as attributes.
    """

    prepare, train, evaluate = _stage("prepare"), _stage("train"), _stage("evaluate")


sys.modules[__name__].__class__ = _Package
