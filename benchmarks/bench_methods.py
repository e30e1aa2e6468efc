"""(j) What the other methods cost beside SG-OPT and mean pooling: SimCSE's step, SBERT-WK's pooling, whitening.

    python -m benchmarks.bench_methods --shape mbert --precision bf16

Steps are of one batch size and with the same settings of [train]; SG-OPT's has its views stored. Each ratio is of runs
that alternate.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch

from benchmarks import material, ours
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, alternate
from mlsg import transforms
from mlsg.model.encoder import Encoder

_BATCH = 16
_WARMUP = 2
_WHITENED = 20_000


def steps(base: Path, precision: str, pairs: int, folder: Path) -> Comparison:
    """SG-OPT's step against SimCSE's, above 1: SimCSE's takes longer."""
    texts = material.sentences(_BATCH * (pairs + _WARMUP))
    guided = ours.setting(folder, base, texts, None).begin(precision=precision)
    simcse = ours.setting(folder / "simcse", base, texts, None).begin(precision=precision, objective=["name=simcse"])
    return alternate(guided.step, simcse.step, pairs=pairs, warmup=_WARMUP)


def poolings(base: Path, precision: str, pairs: int, count: int) -> Comparison:
    """Mean pooling against SBERT-WK's, above 1: SBERT-WK's takes longer."""
    texts = material.sentences(count)
    mean, wk = (Encoder.load(base, pooling=each, device="cpu", precision=precision) for each in ("mean", "wk"))
    return alternate(lambda: mean.encode(texts), lambda: wk.encode(texts), pairs=pairs, warmup=1)


def whitening(dimension: int) -> Mapping[str, float]:
    """Seconds that fitting each linear transform takes."""
    vectors = torch.randn(_WHITENED, dimension, generator=torch.Generator().manual_seed(0))
    found = {}
    for name in ("whitening", "center", "all_but_the_top"):
        settings = transforms.read({"name": name})
        assert settings is not None
        began = perf_counter()
        settings.fit(vectors, 0, {})
        found[name] = perf_counter() - began
    return found


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--precision", choices=["bf16", "float32"], default="bf16")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--count", type=int, default=256, help="sentences that are encoded")
    given = parser.parse_args()
    print(describe())
    with TemporaryDirectory() as place, ours.on("cpu"):
        base = material.base_folder(given.shape, Path(place))
        found = steps(base, given.precision, given.pairs, Path(place))
        print(found.line("training step", ours="SG-OPT", theirs="SimCSE"))
        found = poolings(base, given.precision, given.pairs, given.count)
        print(found.line(f"encoding of {given.count} sentences", ours="mean", theirs="SBERT-WK"))
    for name, seconds in whitening(768).items():
        print(f"{name} of {_WHITENED:,} vectors of 768 numbers: {seconds:.2f} s")


if __name__ == "__main__":
    main()
