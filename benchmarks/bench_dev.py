"""(a) The dev score after training: mlsg in bf16 and in float32 against the straightforward procedure, over seeds.

    python -m benchmarks.bench_dev --base MINI --steps 300 --seeds 4

All train once on the same random sentences of the corpus and are measured on the same dev set, before, half way and at
the end; compared are the scores at the end, Spearman x 100. A seed is another order, head and dropout, and not the same
one on both sides. The other side's guide has dropout, as the authors' script has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

from scipy.stats import ttest_ind

from benchmarks import material, ours, straightforward
from benchmarks.machine import describe
from mlsg.cache.files import read_json

_BATCH = 16
_THEIRS = "straightforward"


def scores(base: Path, steps: int, seeds: int, pairs: int, folder: Path) -> dict[str, list[list[float]]]:
    """For each kind of training and each seed its dev scores in their order."""
    texts, dev = material.sentences(_BATCH * steps), material.dev_pairs(pairs)
    every = -(-steps // 2)
    found: dict[str, list[list[float]]] = {"bf16": [], "float32": [], _THEIRS: []}
    with ours.on("cpu"):
        place = ours.setting(folder / "ours", base, texts, dev)
        for seed in range(1, seeds + 1):
            for precision in ("bf16", "float32"):
                made = place.train(place.recipe(precision=precision, seed=seed, eval_steps=every))
                history = read_json(made.folder / "history.json")["measurements"]
                found[precision].append([entry["dev"] for entry in history])
            found[_THEIRS].append(
                straightforward.train(base, texts, dev, folder / "theirs", device="cpu", seed=seed, eval_steps=every)
            )
            print("; ".join(f"{kind} {_told(found[kind][-1])}" for kind in found) + f" (seed {seed})", flush=True)
    return found


def lines(found: dict[str, list[list[float]]]) -> list[str]:
    """Mean and deviation over the seeds, and the p-value of a difference from the other side (Welch's test)."""
    last = {kind: [100 * each[-1] for each in runs] for kind, runs in found.items()}
    said = []
    for kind, values in last.items():
        spread = f" +- {stdev(values):.2f}" if len(values) > 1 else ""
        line = f"{kind}: {mean(values):.2f}{spread} over {len(values)} seeds"
        if kind != _THEIRS and len(values) > 1:
            away = mean(values) - mean(last[_THEIRS])
            line += f", {away:+.2f} (p = {ttest_ind(values, last[_THEIRS], equal_var=False).pvalue:.2f})"
        said.append(line)
    return said


def _told(values: Sequence[float]) -> str:
    return " ".join(f"{100 * value:.2f}" for value in values)


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a model folder; the starter's without it")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--dev", type=int, default=0, help="this many random pairs of the dev set; 0: all")
    given = parser.parse_args(arguments)
    print(describe())
    with TemporaryDirectory() as folder:
        base = given.base or material.base_folder("starter", Path(folder))
        print("\n".join(lines(scores(base, given.steps, given.seeds, given.dev, Path(folder)))))


if __name__ == "__main__":
    main()
