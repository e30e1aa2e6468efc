"""(a) A training step of mlsg against the straightforward one, on the same sentences.

    python -m benchmarks.bench_step --shape mbert --precision bf16 --pairs 5

mlsg's step is the one of `mlsg train` with the recipe zero_shot in the given precision. The straightforward step is in
float32 whatever the precision; with --spare-frozen its regulariser leaves out frozen parameters, which the authors'
script does not. What mlsg does once, before its steps, is in bench_recipe.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import material, ours, straightforward
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, alternate

_BATCH = 16
_WARMUP = 2


def compare(
    shape: str, precision: str, pairs: int, device: str, folder: Path, *, spare_frozen: bool = False
) -> Comparison:
    """Steps on the same batches, one after the other."""
    base = material.base_folder(shape, folder)
    texts = material.sentences(_BATCH * (pairs + _WARMUP))
    with ours.on(device):
        fast = ours.setting(folder, base, texts, None).begin(precision=precision)
    plain = straightforward.start(base, 1079, device=device)
    plain.frozen_too = not spare_frozen
    batches = [fast.texts_of(step) for step in range(pairs + _WARMUP)]
    theirs = iter(batches)
    return alternate(fast.step, lambda: float(plain.step(next(theirs))), pairs=pairs, warmup=_WARMUP)


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--spare-frozen", action="store_true")
    given = parser.parse_args(arguments)
    ours.check_device(given.device)
    print(describe())
    with TemporaryDirectory() as folder:
        found = compare(
            given.shape, given.precision, given.pairs, given.device, Path(folder), spare_frozen=given.spare_frozen
        )
    print(found.line(f"training step, {given.shape}, {given.precision} against float32, {given.device}"))


if __name__ == "__main__":
    main()
