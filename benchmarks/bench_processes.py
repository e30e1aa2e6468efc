"""(f) `mlsg train` on one process and on two.

    python -m benchmarks.bench_processes --shape mbert --precision bf16

What is compared is the time of a step: two trainings of a few and of more steps, the difference divided. On a machine
with two cores both have the same cores: two processes with one thread each, or one with two.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import anonymous, material
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, timed

_BATCH = 16
_FEW = 4


def step_seconds(processes: int, steps: int, command: list[str], folder: Path) -> float:
    """Seconds of a step on `processes` processes, a training's beginning and end not counted."""
    spent = []
    for count in (_FEW, _FEW + steps):
        target = f"train.max_steps={count}"
        full = [*command, "--processes", str(processes), "--set", target, "--set", f"train.eval_steps={count}"]
        seed = 1 + len(list(folder.iterdir()))  # never the same twice, or its encoder is there already
        where = ["--set", f"train.seed={seed}"]
        spent.append(timed(partial(anonymous.run, [*full, *where], os.environ, folder / f"{seed}")))
    return max(1e-9, spent[1] - spent[0]) / steps


def compare(shape: str, precision: str, pairs: int, steps: int, folder: Path) -> Comparison:
    """Two processes are `ours`, one is `theirs`."""
    base = material.base_folder(shape, folder)
    source = folder / "sentences.txt"
    source.write_text("\n".join(material.sentences(_BATCH * (_FEW + steps))) + "\n", encoding="utf-8")
    mlsg = [sys.executable, "-m", "mlsg"]
    where = ["--workspace", str(folder / "workspace")]
    kept = ["--set", "prepare.min_chars=0", "--set", "prepare.drop_evaluation=false"]
    anonymous.run([*mlsg, "prepare", "--source", str(source), *kept, *where], os.environ, folder / "prepare.log")
    settings = [f"train.precision={precision}", "train.dev=none", "train.collapse_above=1"]
    assigned = [part for setting in settings for part in ("--set", setting)]
    command = [*mlsg, "train", "--model", str(base), *assigned, *where]
    logs = folder / "logs"
    logs.mkdir()
    step_seconds(1, 1, command, logs)  # makes the views, which the others share
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for pair in range(pairs):
        for processes in (1, 2) if pair % 2 else (2, 1):
            seconds[processes].append(step_seconds(processes, steps, command, logs))
    return Comparison(tuple(seconds[2]), tuple(seconds[1]))


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args(arguments)
    print(describe())
    with TemporaryDirectory() as folder:
        found = compare(given.shape, given.precision, given.pairs, given.steps, Path(folder))
    print(found.line(f"a step of {given.shape}, {given.precision}", "two processes", "one process"))


if __name__ == "__main__":
    main()
