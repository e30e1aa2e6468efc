"""(b) `Encoder.encode` against sentence-transformers' `SentenceTransformer.encode`, as each comes, on one folder.

    python -m benchmarks.bench_encode --shape mbert --precision bf16
    python -m benchmarks.bench_encode --shape mbert --precision float32
    python -m benchmarks.bench_encode --shape starter --precision bf16 --count 1000
    OMP_NUM_THREADS=1 python -m benchmarks.bench_encode --shape mbert --precision float32 --workers 2

Sentences are distinct; what repetitions, as in the corpus, gain is a line of its own. What bf16 costs in
quality is printed beside it: the largest difference in cosine with float32, and Spearman on STS-B. With `--workers N`
the other side is a pool of N processes of sentence-transformers, each with the threads of OMP_NUM_THREADS, and mlsg has
N threads: batches are divided over the workers on both sides, and the pool is started before the clock.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.machine import describe
from benchmarks.material import SHAPES, base_folder, dev_pairs, sentences
from benchmarks.ratio import alternate
from mlsg.evaluate.cosines import cosines
from mlsg.evaluate.statistics import spearman
from mlsg.model.encoder import Encoder, default_device


def compare(folder: Path, precision: str, device: torch.device, count: int, pairs: int) -> None:
    """Print the ratios, and how far the vectors are from sentence-transformers'."""
    theirs = SentenceTransformer(str(folder), device=str(device))
    ours = Encoder.load(folder, device=device, precision=precision)
    distinct = sentences(count)
    found = alternate(lambda: ours.encode(distinct), lambda: theirs.encode(distinct), pairs=pairs)
    print(found.line(f"{len(distinct)} distinct sentences, {precision}", theirs="sentence-transformers"))
    repeated = (sentences()[: 2 * count] if count > 2000 else distinct[: count // 2] * 2)[:count]
    share = 1 - len(set(repeated)) / len(repeated)
    found = alternate(lambda: ours.encode(repeated), lambda: theirs.encode(repeated), pairs=max(1, pairs - 2))
    print(found.line(f"{len(repeated)} sentences, {share:.0%} of them repetitions", theirs="sentence-transformers"))
    mine, exact = ours.encode(distinct), theirs.encode(distinct)
    print(
        f"largest difference from sentence-transformers: {np.abs(mine - exact).max():.1e} in a number, "
        f"{np.abs(1 - cosines(mine, exact)).max():.1e} in the cosine with its own vector"
    )


def compare_pool(folder: Path, precision: str, workers: int, count: int, pairs: int) -> None:
    """Print the ratio against a pool of processes."""
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = Encoder.load(folder, device="cpu", precision=precision)
    distinct = sentences(count)
    torch.set_num_threads(workers)
    pool = theirs.start_multi_process_pool(["cpu"] * workers)
    try:
        found = alternate(lambda: ours.encode(distinct), lambda: theirs.encode(distinct, pool=pool), pairs=pairs)
    finally:
        theirs.stop_multi_process_pool(pool)
    print(found.line(f"{len(distinct)} distinct sentences, {precision}, {workers} workers", theirs="their pool"))


def quality(folder: Path, device: torch.device, count: int) -> None:
    """Print Spearman x 100 on STS-B in float32 and in bf16, and how far the cosines of pairs move."""
    graded = dev_pairs(count)
    scored = {}
    for precision in ("float32", "bf16"):
        vectors = Encoder.load(folder, device=device, precision=precision).encode([*graded.first, *graded.second])
        scored[precision] = cosines(*np.split(vectors, 2))
    said = {name: 100 * spearman(found, np.array(graded.scores)) for name, found in scored.items()}  # type: ignore[operator]
    moved = np.abs(scored["bf16"] - scored["float32"]).max()
    print(
        f"Spearman on {len(graded.scores)} pairs of {graded.name}: float32 {said['float32']:.3f}, "
        f"bf16 {said['bf16']:.3f}; the cosine of a pair moves by {moved:.1e} at most"
    )


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["starter", *SHAPES], default="mbert")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="bf16")
    parser.add_argument("--pooling", choices=["cls", "mean", "max"], default="mean")
    parser.add_argument("--count", type=int, default=256, help="distinct sentences")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0, help="compare with a pool of this many processes; 0: none")
    parser.add_argument("--device", type=torch.device, default=default_device())
    options = parser.parse_args()
    print(describe())
    with TemporaryDirectory() as place:
        folder = Path(place) / "encoder"
        base = base_folder(options.shape, Path(place))
        Encoder.load(base, pooling=options.pooling, device="cpu").save(folder, {})
        if options.workers:
            compare_pool(folder, options.precision, options.workers, options.count, options.pairs)
            return
        compare(folder, options.precision, options.device, options.count, options.pairs)
        if options.precision == "bf16":
            quality(folder, options.device, options.count)


if __name__ == "__main__":
    main()
