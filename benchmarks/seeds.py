"""A recipe with several seeds: per set the mean over seeds of Spearman, beside the untuned base and counting words.

    python -m benchmarks.seeds --model MINI --data-root DATA --langs en,es,ar,tr

One `prepare`, then a `train` a seed, as a user's commands do them; what the workspace has is taken as it is. Intervals
are those of the mean over seeds when a set's pairs are drawn again (1,000 resamples, seed 0); no seed is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bases import Measured, shown
from benchmarks.material import data_root
from mlsg.api import needs_text, run_eval, run_prepare, run_train
from mlsg.config.recipes import load_recipe
from mlsg.context import open_context
from mlsg.report.tables import Grid, markdown

_COLUMNS = (
    "set",
    "pairs",
    "CLS before",
    "mean before",
    "after",
    "spread",
    "after - CLS",
    "after - mean",
    "words",
    "idf",
)


def main() -> None:
    """Read the command line, run, and print."""
    data = data_root()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--recipe", default="zero_shot")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changed")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--langs", default="en,es,ar,tr")
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    options = parser.parse_args()
    context = open_context(options.workspace, [], options.data_root)
    named = [f'train.model="{options.model}"', "eval.langs=[" + ",".join(map(repr, options.langs.split(","))) + "]"]
    recipes = [
        load_recipe(options.recipe, [*named, *options.changed, f"train.seed={seed}"])
        for seed in range(1, options.seeds + 1)
    ]
    text = run_prepare(recipes[0], context) if needs_text(recipes[0]) else None
    untuned = {way: [run_eval(recipes[0], context, options.model, pooling=way)] for way in ("cls", "mean")}
    after = [run_eval(recipe, context, run_train(recipe, context, text)) for recipe in recipes]
    title = f"{after[0].encoder.title}, recipe {options.recipe}: Spearman x 100, {len(after)} seeds"
    print(markdown([table(title, Measured(options.model, {**untuned, "after": after}, {}))]))


def table(title: str, base: Measured) -> Grid:
    """A row a primary set, then the mean of all, then a row each cross-lingual set."""
    rows = [_row(base, name, [name]) for name in base.primary]
    rows += [_row(base, f"mean of {len(base.primary)}", base.primary)]
    rows += [_row(base, name, [name]) for name in base.across]
    return Grid(title, _COLUMNS, tuple(rows), _COLUMNS[1:])


def _row(base: Measured, title: str, names: Sequence[str]) -> tuple[str, ...]:
    return (
        title,
        base.pairs(names),
        *(shown(base.mean(way, names)) for way in ("cls", "mean", "after")),
        base.spread("after", names),
        *(shown(base.gain("after", before, names)) for before in ("cls", "mean")),
        *base.counted(names),
    )


if __name__ == "__main__":
    main()
