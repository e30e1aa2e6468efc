"""Where a killed training goes on: tensors and plain JSON in `scratch`, each published by one rename, nothing pickled.

scratch/step-00000200/tensors.safetensors    trained parameters and the optimiser's moments
scratch/step-00000200/state.json             step, losses, dev history; whether best weights belong to it
scratch/best-00000150.safetensors            the parameters that were best on dev

Each file has its own hash. A checkpoint that is damaged is set aside and the one before it used, so two are kept.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from mlsg import console
from mlsg.cache.files import read_sealed, sealed_json, sync, sync_tree
from mlsg.cache.tensors import is_whole, load_file, save_file

_KEPT = 2


class Checkpoint(NamedTuple):
    """A training at one step."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(scratch: Path, step: int, checkpoint: Checkpoint) -> None:
    """Publish a checkpoint, then remove all but the one before it, and the best weights that neither needs."""
    final = scratch / f"step-{step:08d}"
    partial = scratch / f".{final.name}"
    for folder in (partial, final):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    save_file(checkpoint.tensors, partial / "tensors.safetensors")
    best = _best(scratch, checkpoint.state["best_step"])
    table = {"state": checkpoint.state, "best": best.name if best.exists() else None}
    (partial / "state.json").write_text(sealed_json(table), encoding="utf-8", newline="\n")
    sync_tree(partial)
    partial.rename(final)
    _tidy(scratch, checkpoint.state["best_step"])


def latest_checkpoint(scratch: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None; newer ones that are not are set aside."""
    for folder in sorted(scratch.glob("step-*"), reverse=True):
        try:
            return _read(folder)
        except (FileNotFoundError, ValueError) as error:
            console.note(f"damaged checkpoint {folder} ({error}): it is set aside, the one before it is used")
            aside = folder.with_name(f"damaged-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
    return None


def newest_step(scratch: Path) -> int | None:
    """The step of the newest checkpoint, or None."""
    return max((int(folder.name.removeprefix("step-")) for folder in scratch.glob("step-*")), default=None)


def save_best(scratch: Path, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Keep the weights of `step`; of older bests only those that checkpoints name stay."""
    final = _best(scratch, step)
    partial = scratch / f".{final.name}"
    save_file(tensors, partial)
    partial.replace(final)
    _tidy(scratch, step)


def load_best(scratch: Path, step: int) -> dict[str, Tensor]:
    """The weights that were best."""
    return load_file(_best(scratch, step))


def _read(folder: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises FileNotFoundError and ValueError where a file of it is not whole."""
    table = read_sealed(folder / "state.json")
    if table["best"] and not is_whole(folder.parent / table["best"]):
        raise ValueError(f"{table['best']} is missing or has changed")
    return Checkpoint(load_file(folder / "tensors.safetensors"), table["state"])


def _best(scratch: Path, step: int) -> Path:
    return scratch / f"best-{step:08d}.safetensors"


def _tidy(scratch: Path, best_step: int) -> None:
    """Remove the older checkpoints, and best weights of other steps than `best_step` and those of the checkpoints."""
    sync(scratch)
    folders, needed = sorted(scratch.glob("step-*")), {_best(scratch, best_step)}
    for older in folders[:-_KEPT]:
        shutil.rmtree(older)
    for kept in folders[-_KEPT:]:
        with contextlib.suppress(OSError, ValueError):
            needed.add(_best(scratch, read_sealed(kept / "state.json")["state"]["best_step"]))
    for path in set(scratch.glob("best-*.safetensors")) - needed:
        path.unlink()
