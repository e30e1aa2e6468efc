"""Where a killed training goes on: tensors and plain JSON in `scratch`, each published by one rename, nothing pickled.

scratch/step-00000200/tensors.safetensors    trained parameters and the optimiser's moments
scratch/step-00000200/state.json             step, losses, dev history
scratch/best-00000150.safetensors            the parameters that were best on dev
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlsg.cache.files import read_json, readable_json, sync, sync_tree


@dataclass(frozen=True)
class Checkpoint:
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
    sync(scratch)
    for old in _steps(scratch):
        if old != final:
            shutil.rmtree(old)
    _keep_best(scratch, {checkpoint.state["best_step"]})


def latest_checkpoint(scratch: Path) -> Checkpoint | None:
    """The newest checkpoint, or None."""
    found = _steps(scratch)
    if not found:
        return None
    return Checkpoint(load_file(found[-1] / "tensors.safetensors"), read_json(found[-1] / "state.json"))


def newest_step(scratch: Path) -> int | None:
    """The step of the newest checkpoint, or None."""
    found = _steps(scratch)
    return int(found[-1].name.removeprefix("step-")) if found else None


def best_path(scratch: Path, step: int) -> Path:
    """Where the weights lie that were best at `step`."""
    return scratch / f"best-{step:08d}.safetensors"


def save_best(scratch: Path, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Keep the weights of `step`; of older bests only the one that the newest checkpoint names stays."""
    final = best_path(scratch, step)
    partial = scratch / f".{final.name}"
    _save(partial, tensors)
    sync(partial)
    partial.replace(final)
    sync(scratch)
    found = _steps(scratch)
    named = {read_json(found[-1] / "state.json")["best_step"]} if found else set()
    _keep_best(scratch, {step, *named})


def load_best(scratch: Path, step: int) -> dict[str, Tensor]:
    """The weights that were best."""
    return load_file(best_path(scratch, step))


def _keep_best(scratch: Path, steps: set[int]) -> None:
    """Remove the best weights of all other steps."""
    kept = {best_path(scratch, step) for step in steps}
    for old in scratch.glob("best-*.safetensors"):
        if old not in kept:
            old.unlink()


def _steps(scratch: Path) -> list[Path]:
    return sorted(path for path in scratch.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name))


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with _disk_errors_as_oserror(path):
        save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, path)


@contextlib.contextmanager
def _disk_errors_as_oserror(path: Path) -> Iterator[None]:
    """Raise OSError, which the workspace looks for, where safetensors wraps it in an error of its own."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error
