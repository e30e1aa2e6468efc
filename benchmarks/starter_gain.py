"""How the gain of SG-OPT grows with pretraining: one row a snapshot of `mlsg starter build`.

    python -m benchmarks.starter_gain OUT/snapshots/1-of-8 OUT/snapshots/2-of-8 ... --data-root DATA

For each base the recipe zero_shot (the paper's settings and text) once for each seed. cls, mean: the untuned base's
last layer. tuned: mean over seeds and primary sets, and its gain over both with a paired interval. anisotropy: mean
cosine of random pairs of sentences (mean over tokens, last layer, untuned). layers: mean cosine distance of two layers'
vectors of one sentence (means over tokens). What is in the workspace is not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bases import measure, shown
from benchmarks.layers import between, layer_vectors, random_cosines
from benchmarks.material import data_root
from mlsg.context import Context, open_context
from mlsg.report.tables import points

_COLUMNS = ("base", "cls", "mean", "tuned", "over cls", "over mean", "anisotropy", "layers")


def row(base: Path, context: Context, seeds: int, langs: Sequence[str]) -> list[str]:
    """The line of a base."""
    found = measure(base.name, str(base), context, seeds, ("cls", "mean", "SG-OPT"), langs)
    names, layers = found.primary, layer_vectors(str(base))
    return [
        base.name,
        *(points(found.mean(way, names).value) for way in ("cls", "mean", "SG-OPT")),
        *(shown(found.gain("SG-OPT", before, names)) for before in ("cls", "mean")),
        f"{random_cosines(layers)[-1]:.3f}",
        f"{between(layers):.3f}",
    ]


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown."""
    data = data_root()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="+", type=Path)
    parser.add_argument("--langs", default="es,ar,tr,de,fr,it,zh,ko", help="English has seen text")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    given = parser.parse_args(arguments)
    context = open_context(given.workspace, [], given.data_root)
    print("| " + " | ".join(_COLUMNS) + " |\n| --- |" + " --: |" * (len(_COLUMNS) - 1))
    for base in given.bases:
        print("| " + " | ".join(row(base, context, given.seeds, given.langs.split(","))) + " |", flush=True)


if __name__ == "__main__":
    main()
