"""Twenty steps by two and three processes, dropout on, against one process: weights in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from safetensors.torch import load_file, save_file

from mlsg.train import dev
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.launch import run_on_processes
from tests.audit.finding import Finding
from tests.tiny_models import tiny_bert
from tests.train import ranks

_CASES = ("base-dropout", "opt3-dropout")


def findings() -> Iterator[Finding]:
    """The largest difference of a weight from those of one process, for each case and number of processes."""
    with TemporaryDirectory() as temporary, patch.object(dev, "_BATCH_TOKENS", ranks.DEV_TOKENS):
        folder = Path(temporary)
        base = tiny_bert(folder / "base", dropout=0.0)
        for case in _CASES:
            alone = ranks.trained(base, folder / f"alone-{case}", case, SINGLE_PROCESS)
            for count in (2, 3):
                run_on_processes(count, train_case, case, base, folder / f"{case}-{count}")
                together = load_file(folder / f"{case}-{count}" / "weights")
                difference = max(float((alone[name] - together[name]).abs().max()) for name in alone)
                yield Finding(f"{case}, {count} processes against one", difference, 1e-10)


def train_case(group: ProcessGroup, case: str, base: Path, folder: Path) -> None:
    """One process of a training; the main one keeps the weights."""
    dev._BATCH_TOKENS = ranks.DEV_TOKENS
    folder.mkdir(exist_ok=True, parents=True)
    found = ranks.trained(base, folder / f"scratch-{group.rank}", case, group)
    if group.is_main:
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / "weights")
