"""(e) Peak anonymous memory of training on 10,000 sentences and on 1,000,000: it should not grow with the text.

    python -m benchmarks.bench_memory --shape starter

    python -m benchmarks.bench_memory --shape tiny --stored

Twenty steps of `mlsg train` each, in a process of its own, on generated sentences that `mlsg prepare` has prepared.
Views are computed step by step, or with --stored made first and mapped: for a million sentences and any shape but tiny
that takes hours.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import anonymous, material
from benchmarks.machine import describe

_WORDS = 14
_CHUNK = 10_000
_LONG = 16


def write_sentences(path: Path, count: int, seed: int = 0) -> None:
    """Random words of the corpus, 4 to 14 a line; nearly all lines differ.

    The first 16 are longer than any model takes: else the longest batch of a larger text would be a longer one.
    """
    words = sorted({word for text in material.sentences() for word in text.split()})
    draws = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(_LONG):
            file.write(" ".join(words[place] for place in draws.integers(0, len(words), 200)) + "\n")
        for first in range(_LONG, count, _CHUNK):
            lines = min(_CHUNK, count - first)
            lengths = draws.integers(4, _WORDS, lines, endpoint=True)
            chosen = draws.integers(0, len(words), (lines, _WORDS))
            for length, row in zip(lengths, chosen, strict=True):
                file.write(" ".join(words[place] for place in row[:length]) + "\n")


def peak(base: Path, sentences: int, steps: int, folder: Path, *, stored: bool) -> anonymous.Ran:
    """Of a training of some steps; everything before it is done by processes of their own."""
    folder.mkdir()
    source = folder / "sentences.txt"
    write_sentences(source, sentences)
    mlsg = [sys.executable, "-m", "mlsg"]
    where = ["--workspace", str(folder / "workspace")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    kept = [
        "--set",
        "prepare.min_chars=0",
        "--set",
        "prepare.max_chars=100000",
        "--set",
        "prepare.drop_evaluation=false",
    ]
    anonymous.run([*mlsg, "prepare", "--source", str(source), *kept, *where], environment, folder / "prepare.log")
    settings = [f"train.max_steps={steps}", "train.dev=none", "train.collapse_above=1", f"train.eval_steps={steps}"]
    if not stored:
        settings.append("objective.view_cache_gb=0")
    assigned = [part for setting in settings for part in ("--set", setting)]
    command = [*mlsg, "train", "--model", str(base), *assigned, *where]
    return anonymous.run(command, environment, folder / "train.log")


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and both peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="starter")
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stored", action="store_true")
    given = parser.parse_args(arguments)
    print(describe())
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = material.base_folder(given.shape, folder)
        found = []
        for size in given.sizes:
            found.append(peak(base, size, given.steps, folder / str(size), stored=given.stored))
            megabytes = found[-1].peak / 1e6
            print(f"{size} sentences: peak {megabytes:.0f} MB anonymous, {found[-1].seconds:.0f} s", flush=True)
    print(f"training on {given.sizes[1]} sentences, {given.shape}: {found[1].peak / found[0].peak - 1:+.1%} memory")


if __name__ == "__main__":
    main()
