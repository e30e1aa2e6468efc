"""A recipe with several seeds: per set the mean over seeds of Spearman, beside the untuned base and counting words.

    python -m tests.benchmarks.seeds --model ../shared/models/mini --data-root ../shared/data --langs en,es,ar,tr

One `prepare`, then a `train` a seed, as a user's commands do them; what the workspace has is taken as it is. Intervals
are those of the mean over seeds when a set's pairs are drawn again (1,000 resamples, seed 0); no seed is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev

from mlsg.evaluate import Scores
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.means import Resampled, mean, mean_difference, resampled
from mlsg.pipeline import needs_text, run_eval, run_prepare, run_train, surroundings
from mlsg.recipes import Recipe, load_recipe
from mlsg.report.tables import Grid, markdown, points, span
from tests.benchmarks.material import shared_data

Found = Mapping[str, SetCosines]
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
    data = shared_data()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--recipe", default="zero_shot")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changed")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--langs", default="en,es,ar,tr")
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    options = parser.parse_args()
    around = surroundings(options.workspace, [], options.data_root)
    named = [f'train.model="{options.model}"', "eval.langs=[" + ",".join(map(repr, options.langs.split(","))) + "]"]
    recipes = [
        load_recipe(options.recipe, [*named, *options.changed, f"train.seed={seed}"])
        for seed in range(1, options.seeds + 1)
    ]
    text = run_prepare(recipes[0], around) if needs_text(recipes[0]) else None
    tuned = [run_eval(recipe, around, run_train(recipe, around, text)) for recipe in recipes]
    before = [run_eval(recipes[0], around, options.model, pooling=pooling) for pooling in ("cls", "mean")]
    print(markdown([table(recipes[0], tuned, *before)]))


def table(recipe: Recipe, tuned: Sequence[Scores], cls: Scores, untuned_mean: Scores) -> Grid:
    """A row a primary set, then the mean of all, then a row each cross-lingual set."""
    sheet = tuned[0].sheet
    after = [read_cosines(each.cosines) for each in tuned]
    before = read_cosines(cls.cosines), read_cosines(untuned_mean.cosines)
    primary = [name for name in sheet.primaries.values() if name in after[0]]
    across = [each.set for each in sheet.sets if each.crosslingual]
    rows = [_row(name, [name], after, before, tuned) for name in primary]
    rows += [_row(f"mean of {len(primary)}", primary, after, before, tuned)]
    rows += [_row(name, [name], after, before, tuned) for name in across]
    title = f"{sheet.encoder.title}, recipe {recipe.name}: Spearman x 100, {len(tuned)} seeds"
    return Grid(title, _COLUMNS, tuple(rows), _COLUMNS[1:])


def _row(
    title: str, names: Sequence[str], after: Sequence[Found], before: Sequence[Found], tuned: Sequence[Scores]
) -> tuple[str, ...]:
    seeds = [[_resampled(found, name) for name in names] for found in after]  # (seeds, sets)
    flat = [each for seed in seeds for each in seed]
    untuned = [[_resampled(found, name) for name in names] for found in before]  # (cls and mean, sets)
    gains = [mean_difference(flat, base * len(seeds)) for base in untuned]
    of_seed = [mean(seed).value for seed in seeds]
    whole = mean(flat)
    baselines = [tuned[0].sheet.set_score(name) for name in names]
    words = []
    for role in ("overlap", "idf_overlap"):
        values = [value for each in baselines if each is not None and (value := each.baselines[role]) is not None]
        words.append(points(sum(values) / len(values) if len(values) == len(names) else None))
    pairs = str(baselines[0].pairs) if len(names) == 1 and baselines[0] is not None else ""
    return (
        title,
        pairs,
        *(f"{points(found.value)} {span(found.interval)}" for found in map(mean, untuned)),
        f"{points(whole.value)} {span(whole.interval)}",
        points(stdev(of_seed)) if len(of_seed) > 1 else "-",
        *(f"{points(gain.value)} {span(gain.interval)}" for gain in gains),
        *words,
    )


def _resampled(found: Found, name: str) -> Resampled:
    each = resampled(found[name].cosine, found[name].gold)
    if each is None:
        raise ValueError(f"{name} has no Spearman")
    return each


if __name__ == "__main__":
    main()
