"""Where a killed pretraining goes on: `OUT/checkpoints/step-00001200/`, published by one rename; two stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from mlsg.cache.files import read_json, readable_json, sync, sync_tree

_KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and state of a step, then remove older ones."""
    final, partial = folder / f"step-{step:08d}", folder / f".step-{step:08d}"
    for each in (partial, final):
        shutil.rmtree(each, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, partial / "t.safetensors")
    (partial / "state.json").write_text(readable_json(state), encoding="utf-8")
    sync_tree(partial)
    partial.rename(final)
    sync(folder)
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(old)


def latest_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and state of the newest step, or None."""
    found = _steps(folder)
    return (load_file(found[-1] / "t.safetensors"), read_json(found[-1] / "state.json")) if found else None


def _steps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name))
