"""Where a killed training goes on: tensors and plain JSON in `scratch`, each published by one rename, nothing pickled.

scratch/step-00000200/tensors.safetensors    trained parameters and the optimiser's moments
scratch/step-00000200/state.json             step, losses, dev history
scratch/best-00000150.safetensors            the parameters that were best on dev
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlsg.cache.files import read_json, readable_json, sync, sync_tree


class Checkpoint(NamedTuple):
    """A training at one step."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(scratch: Path, step: int, checkpoint: Checkpoint) -> None:
    """Publish a checkpoint, then remove the older ones and the best weights that no checkpoint needs any more."""
    final = scratch / f"step-{step:08d}"
    partial = scratch / f".{final.name}"
    for folder in (partial, final):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    _save(partial / "tensors.safetensors", checkpoint.tensors)
    (partial / "state.json").write_text(readable_json(checkpoint.state), encoding="utf-8")
    sync_tree(partial)
    partial.rename(final)
    _tidy(scratch, checkpoint.state["best_step"])


def latest_checkpoint(scratch: Path) -> Checkpoint | None:
    """The newest checkpoint, or None."""
    folder = max(scratch.glob("step-*"), default=None)
    if folder is None:
        return None
    return Checkpoint(load_file(folder / "tensors.safetensors"), read_json(folder / "state.json"))


def newest_step(scratch: Path) -> int | None:
    """The step of the newest checkpoint, or None."""
    return max((int(folder.name.removeprefix("step-")) for folder in scratch.glob("step-*")), default=None)


def save_best(scratch: Path, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Keep the weights of `step`; of older bests only the one that the newest checkpoint names stays."""
    final = _best(scratch, step)
    partial = scratch / f".{final.name}"
    _save(partial, tensors)
    sync(partial)
    partial.replace(final)
    _tidy(scratch, step)


def load_best(scratch: Path, step: int) -> dict[str, Tensor]:
    """The weights that were best."""
    return load_file(_best(scratch, step))


def _best(scratch: Path, step: int) -> Path:
    return scratch / f"best-{step:08d}.safetensors"


def _tidy(scratch: Path, best_step: int) -> None:
    """Remove the older checkpoints, and best weights of other steps than `best_step` and the newest checkpoint's."""
    sync(scratch)
    folders, needed = sorted(scratch.glob("step-*")), {_best(scratch, best_step)}
    for older in folders[:-1]:
        shutil.rmtree(older)
    for newest in folders[-1:]:
        needed.add(_best(scratch, read_json(newest / "state.json")["best_step"]))
    for path in set(scratch.glob("best-*.safetensors")) - needed:
        path.unlink()


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, path)
    except SafetensorError as error:  # which wraps the OSError that the workspace looks for
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error
