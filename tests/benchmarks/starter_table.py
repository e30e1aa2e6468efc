"""The starter's table: every primary set, untuned and tuned with several seeds, beside another base and counting words.

    python -m tests.benchmarks.starter_table --against ../shared/models/mini --data-root ../shared/data

cls, mean: the untuned base's last layer. best: the untuned mean over tokens of the layer that is chosen without a
label, the one whose vectors of random training sentences are least alike. SG-OPT: recipe zero_shot, the paper's
settings and text. ours: recipe quickstart, our settings and the starter's text. Both tuned on English alone, mean over
seeds.
Intervals are of the mean over seeds when a set's pairs are drawn again (1,000 resamples, seed 0); differences are
paired. What is in the workspace is taken as it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from mlsg.catalog import Catalog
from mlsg.evaluate import Scores
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.means import Mean, Resampled, mean, mean_difference, resampled
from mlsg.model.encoder import Encoder
from mlsg.packaged import starter_folder
from mlsg.pipeline import Surroundings, needs_text, run_eval, run_prepare, run_train, surroundings
from mlsg.recipes import load_recipe
from mlsg.report.tables import Grid, markdown, points, span
from tests.benchmarks import tatoeba
from tests.benchmarks.material import shared_data
from tests.benchmarks.starter_gain import layer_vectors, random_cosines

_COLUMNS = ("set", "pairs", "cls", "mean", "best", "SG-OPT", "ours", "words", "idf")
_RECIPES = {"best": "mean", "SG-OPT": "zero_shot", "ours": "quickstart"}
_WAYS = ("cls", "mean", "best", "SG-OPT", "ours")


@dataclass(frozen=True)
class Base:
    """What was measured of a base: for each way, the scores of each seed (one where nothing is drawn)."""

    name: str
    layer: int
    """The one that `best` pools from."""
    scores: Mapping[str, Sequence[Scores]]
    encoders: Mapping[str, Encoder]
    """Of the first seed."""

    def found(self, way: str) -> list[Mapping[str, SetCosines]]:
        """Cosines a set, for each seed."""
        return [read_cosines(each.cosines) for each in self.scores[way]]


def measure(name: str, model: str, around: Surroundings, seeds: int, ways: Sequence[str]) -> Base:
    """Train and evaluate what is not there yet."""
    few = replace(around, catalog=shown_sets(around.catalog))
    common = [f"train.model={json.dumps(model)}", f"eval.langs={json.dumps(list(few.catalog.languages))}"]
    layer = least_alike(model)
    scores: dict[str, list[Scores]] = {}
    encoders: dict[str, Encoder] = {}
    for way in ways:
        if way in ("cls", "mean"):
            scores[way] = [run_eval(load_recipe("zero_shot", common), few, model, pooling=way)]
            encoders[way] = Encoder.load(model, pooling=way)
            continue
        drawn = [f"train.seed={seed}" for seed in range(1, (1 if way == "best" else seeds) + 1)]
        chosen = [f"encoder.layer={layer}"] if way == "best" else []
        recipes = [load_recipe(_RECIPES[way], [*common, 'eval.family=""', *chosen, each]) for each in drawn]
        text = run_prepare(recipes[0], around) if needs_text(recipes[0]) else None
        trained = [run_train(recipe, around, text) for recipe in recipes]
        scores[way] = [run_eval(recipe, few, each) for recipe, each in zip(recipes, trained, strict=True)]
        encoders[way] = Encoder.load(trained[0].folder)
    return Base(name, layer, scores, encoders)


def shown_sets(catalog: Catalog) -> Catalog:
    """Primary sets, and those between two languages."""
    languages = {}
    for code, language in catalog.languages.items():
        primary = catalog.primary_of(code)
        kept = [
            each
            for each in language.sets
            if each is primary or (each.default and each.languages[0] != each.languages[1])
        ]
        languages[code] = replace(language, sets=tuple(kept))
    return Catalog(languages)


def least_alike(model: str) -> int:
    """The layer whose means over tokens have the lowest mean cosine of random pairs, on the starter's sentences."""
    alike = random_cosines(layer_vectors(model))
    return int(alike.argmin())


def table(base: Base) -> Grid:
    """A row a primary set, the mean of all, a row a cross-lingual set, their mean."""
    sheet = base.scores["mean"][0].sheet
    found = {way: base.found(way) for way in base.scores}
    primary = [name for name in sheet.primaries.values() if name is not None and name in found["mean"][0]]
    across = [each.set for each in sheet.sets if each.crosslingual]
    row = partial(_row, base, found)
    rows = [row(name, [name]) for name in primary] + [row(f"mean of {len(primary)}", primary)]
    rows += [row(name, [name]) for name in across] + [row(f"mean of {len(across)}", across)]
    title = f"{base.name}: Spearman x 100; best is layer {base.layer}"
    return Grid(title, _COLUMNS, tuple(rows), _COLUMNS[1:])


def _row(
    base: Base, found: Mapping[str, list[Mapping[str, SetCosines]]], title: str, names: list[str]
) -> tuple[str, ...]:
    sheets = [base.scores["mean"][0].sheet.set_score(name) for name in names]
    pairs = str(sheets[0].pairs) if len(names) == 1 and sheets[0] is not None else ""
    counted = []
    for role in ("overlap", "idf_overlap"):
        values = [value for each in sheets if each is not None and (value := each.baselines[role]) is not None]
        counted.append(points(sum(values) / len(values) if len(values) == len(names) else None))
    return (
        title,
        pairs,
        *(_shown(mean(_drawn(found[way], names))) if way in found else "-" for way in _WAYS),
        *counted,
    )


def differences(first: Base, second: Base, names: Sequence[str]) -> list[str]:
    """For each way that both have: first minus second in the mean over sets."""
    lines = []
    for way in first.scores:
        if way in second.scores:
            one, other = _drawn(first.found(way), names), _drawn(second.found(way), names)
            lines.append(
                f"{first.name} - {second.name}, {way}, {len(names)} sets: {_shown(mean_difference(one, other))}"
            )
    return lines


def gains(base: Base, names: Sequence[str]) -> list[str]:
    """What tuning gains in the mean over sets."""
    lines = []
    for way in ("SG-OPT", "ours"):
        after = base.found(way)
        for before in ("cls", "mean", "best"):
            untuned = _drawn(base.found(before) * len(after), names)
            gain = _shown(mean_difference(_drawn(after, names), untuned))
            lines.append(f"{base.name}, {way} - {before}, {len(names)} sets: {gain}")
    return lines


def _drawn(found: Sequence[Mapping[str, SetCosines]], names: Sequence[str]) -> list[Resampled]:
    drawn = [resampled(each[name].cosine, each[name].gold) for each in found for name in names]
    return [each for each in drawn if each is not None]


def _shown(value: Mean) -> str:
    return f"{points(value.value)} {span(value.interval)}"


def main() -> None:
    """Read the command line, run, and print."""
    data = shared_data()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(starter_folder() / "model"))
    parser.add_argument("--against", required=True, help="another base: untuned, and with SG-OPT")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--workspace", type=Path, default=Path(".mlsg"))
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    options = parser.parse_args()
    around = surroundings(options.workspace, [], options.data_root)
    ours = measure("starter", options.model, around, options.seeds, _WAYS)
    other = measure(Path(options.against).name, options.against, around, options.seeds, ("cls", "mean", "SG-OPT"))
    sheet = ours.scores["mean"][0].sheet
    primary = [name for name in sheet.primaries.values() if name is not None and name in ours.found("mean")[0]]
    across = [each.set for each in sheet.sets if each.crosslingual]
    print(markdown([table(ours)]))
    for names in (primary, across):
        print("\n".join([*gains(ours, names), *differences(ours, other, names)]), end="\n\n")
    encoders = {f"{base.name}, {way}": base.encoders[way] for base in (ours, other) for way in base.encoders}
    print(markdown([tatoeba.table(options.data_root, encoders)]))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
