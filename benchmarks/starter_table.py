"""The starter's table: every primary set, untuned and tuned with several seeds, beside another base and counting words.

    python -m benchmarks.starter_table --against MINI --data-root DATA

cls, mean: the untuned base's last layer. best: the untuned mean over tokens of the layer that is chosen without a
label, the one whose vectors of random training sentences are least alike. SG-OPT: recipe zero_shot, the paper's
settings and text. ours: recipe quickstart, its settings and the starter's text. Both tuned on English alone, mean over
seeds. Intervals are of the mean over seeds when a set's pairs are drawn again (1,000 resamples, seed 0); differences
are paired. Tatoeba is of the first seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import tatoeba
from benchmarks.bases import TUNED, UNTUNED, Measured, drawn, measure, shown
from benchmarks.layers import least_alike
from benchmarks.material import data_root
from mlsg.config.resources import starter_folder
from mlsg.context import open_context
from mlsg.evaluate.statistics import mean_difference
from mlsg.report.tables import Grid, markdown

_WAYS = (*UNTUNED, *TUNED)
_COLUMNS = ("set", "pairs", *_WAYS, "words", "idf")


def main() -> None:
    """Read the command line, run, and print."""
    data = data_root()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(starter_folder() / "model"))
    parser.add_argument("--against", required=True, help="another base: untuned, and with SG-OPT")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    options = parser.parse_args()
    context = open_context(options.workspace, [], options.data_root)
    ours = measure("starter", options.model, context, options.seeds, _WAYS)
    other = measure(Path(options.against).name, options.against, context, options.seeds, ("cls", "mean", "SG-OPT"))
    print(markdown([table(ours)]))
    print(f"best is layer {least_alike(options.model)}\n")
    for names in (ours.primary, ours.across):
        print("\n".join([*gains(ours, names), *differences(ours, other, names)]), end="\n\n")
    encoders = {f"{base.name}, {way}": encoder for base in (ours, other) for way, encoder in base.encoders.items()}
    print(markdown([tatoeba.table(options.data_root, encoders)]))


def table(base: Measured) -> Grid:
    """A row a primary set, the mean of all, a row a set between two languages, their mean."""
    rows = []
    for names in (base.primary, base.across):
        rows += [_row(base, name, [name]) for name in names] + [_row(base, f"mean of {len(names)}", names)]
    return Grid(f"{base.name}: Spearman x 100", _COLUMNS, tuple(rows), _COLUMNS[1:])


def gains(base: Measured, names: Sequence[str]) -> list[str]:
    """What tuning gains in the mean over sets."""
    return [
        f"{base.name}, {way} - {before}, {len(names)} sets: {shown(base.gain(way, before, names))}"
        for way in TUNED
        for before in UNTUNED
    ]


def differences(first: Measured, second: Measured, names: Sequence[str]) -> list[str]:
    """For each way that both have: first minus second in the mean over sets."""
    lines = []
    for way in second.scores:
        difference = mean_difference(drawn(first.found(way), names), drawn(second.found(way), names))
        lines.append(f"{first.name} - {second.name}, {way}, {len(names)} sets: {shown(difference)}")
    return lines


def _row(base: Measured, title: str, names: Sequence[str]) -> tuple[str, ...]:
    return (title, base.pairs(names), *(shown(base.mean(way, names)) for way in _WAYS), *base.counted(names))


if __name__ == "__main__":
    main()
