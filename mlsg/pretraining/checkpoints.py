"""Where a killed pretraining goes on: `OUT/checkpoints/step-00001200/`, published by one rename; two stay.

One that is damaged is set aside and the one before it used.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mlsg import console
from mlsg.cache.files import read_sealed, sealed_json, sync, sync_tree
from mlsg.cache.tensors import load_file, save_file

_KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and state of a step, then remove older ones."""
    final, partial = folder / f"step-{step:08d}", folder / f".step-{step:08d}"
    for each in (partial, final):
        shutil.rmtree(each, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors, partial / "t.safetensors")
    (partial / "state.json").write_text(sealed_json(state), encoding="utf-8", newline="\n")
    sync_tree(partial)
    partial.rename(final)
    sync(folder)
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(old)


def latest_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and state of the newest step that is whole, or None."""
    for found in reversed(_steps(folder)):
        try:
            return load_file(found / "t.safetensors"), read_sealed(found / "state.json")
        except (FileNotFoundError, ValueError) as error:
            console.note(f"damaged checkpoint {found} ({error}): it is set aside, the one before it is used")
            shutil.rmtree(found.with_name(f"damaged-{found.name}"), ignore_errors=True)
            found.rename(found.with_name(f"damaged-{found.name}"))
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name))
