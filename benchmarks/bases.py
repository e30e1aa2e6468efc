"""A base measured on every primary set and between languages: untuned, and tuned with several seeds.

What the workspace has is taken as it is. Means over sets and seeds, and their differences, are resampled by pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import stdev

from benchmarks.layers import least_alike
from mlsg.api import needs_text, run_eval, run_prepare, run_train
from mlsg.config.catalog import Catalog, Language, PairSet
from mlsg.config.recipes import load_recipe
from mlsg.context import Context
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.results import Scores, SetScore
from mlsg.evaluate.statistics import Resampled, mean, mean_difference, resampled
from mlsg.model.encoder import Encoder
from mlsg.report.tables import points, span

UNTUNED = ("cls", "mean", "best")
"""Last layer's [CLS]; its mean over tokens; the mean over tokens of the layer that `least_alike` chooses."""
TUNED = {"SG-OPT": "zero_shot", "ours": "quickstart"}
"""The paper's settings and text; the settings of quickstart and the starter's text."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a base."""

    name: str
    scores: Mapping[str, Sequence[Scores]]
    """For each way, of each seed (one where nothing is drawn)."""
    encoders: Mapping[str, Encoder]
    """Of the first seed."""

    def found(self, way: str) -> list[Mapping[str, SetCosines]]:
        """Cosines a set, for each seed."""
        return [read_cosines(each.artefact) for each in self.scores[way]]

    @property
    def primary(self) -> list[str]:
        """One set a language."""
        there = self.found(next(iter(self.scores)))[0]
        return [name for name in self._first.primaries.values() if name is not None and name in there]

    @property
    def across(self) -> list[str]:
        """The sets between two languages."""
        return [each.set for each in self._first.sets if each.crosslingual]

    def mean(self, way: str, names: Sequence[str]) -> Resampled:
        """Over some sets and all seeds."""
        return mean(drawn(self.found(way), names))

    def gain(self, way: str, before: str, names: Sequence[str]) -> Resampled:
        """What a tuned way has more than an untuned one."""
        after = self.found(way)
        return mean_difference(drawn(after, names), drawn(self.found(before) * len(after), names))

    def spread(self, way: str, names: Sequence[str]) -> str:
        """The standard deviation over seeds, as a cell."""
        seeds = [mean(drawn([found], names)).value for found in self.found(way)]
        return points(stdev(seeds)) if len(seeds) > 1 else "-"

    def pairs(self, names: Sequence[str]) -> str:
        """How many a set has, as a cell; of several sets none."""
        (first, *others) = self._sets(names)
        return str(first.pairs) if first is not None and not others else ""

    def counted(self, names: Sequence[str]) -> list[str]:
        """What counting shared words reaches, plain and weighted by rarity, as cells; "-" where a set has none."""
        cells = []
        for role in ("overlap", "idf_overlap"):
            values = [each.baselines[role] for each in self._sets(names) if each is not None]
            known = [value for value in values if value is not None]
            cells.append(points(sum(known) / len(known) if len(known) == len(names) else None))
        return cells

    def _sets(self, names: Sequence[str]) -> list[SetScore | None]:
        return [self._first.set_score(name) for name in names]

    @property
    def _first(self) -> Scores:
        return next(iter(self.scores.values()))[0]


def measure(
    name: str, model: str, context: Context, seeds: int, ways: Sequence[str], langs: Sequence[str] = ()
) -> Measured:
    """Train and evaluate what does not exist yet; on all languages, or on some."""
    few = replace(context, catalog=shown_sets(context.catalog))
    asked = list(langs or few.catalog.languages)
    common = [f"train.model={json.dumps(model)}", f"eval.langs={json.dumps(asked)}"]
    scores: dict[str, list[Scores]] = {}
    encoders: dict[str, Encoder] = {}
    for way in ways:
        if way in ("cls", "mean"):
            scores[way] = [run_eval(load_recipe("zero_shot", common), few, model, pooling=way)]
            encoders[way] = Encoder.load(model, pooling=way)
            continue
        if way == "best":
            recipes = [load_recipe("mean", [*common, f"encoder.layer={least_alike(model)}"])]
        else:
            changed = [*common, 'eval.family=""']
            recipes = [load_recipe(TUNED[way], [*changed, f"train.seed={seed}"]) for seed in range(1, seeds + 1)]
        text = run_prepare(recipes[0], context) if needs_text(recipes[0]) else None
        trained = [run_train(recipe, context, text) for recipe in recipes]
        scores[way] = [run_eval(recipe, few, each) for recipe, each in zip(recipes, trained, strict=True)]
        encoders[way] = Encoder.load(trained[0].folder)
    return Measured(name, scores, encoders)


def shown_sets(catalog: Catalog) -> Catalog:
    """Only primary sets, and those between two languages."""

    def shown(language: Language, each: PairSet) -> bool:
        return each is catalog.primary_of(language.code) or (each.default and len(set(each.languages)) == 2)

    return Catalog(
        {
            code: replace(language, sets=tuple(each for each in language.sets if shown(language, each)))
            for code, language in catalog.languages.items()
        }
    )


def drawn(found: Sequence[Mapping[str, SetCosines]], names: Sequence[str]) -> list[Resampled]:
    """Spearman and its resamples, seed by seed and set by set. Raises ValueError where a set has none."""
    made = []
    for each in found:
        for name in names:
            one = resampled(each[name].cosine, each[name].gold)
            if one is None:
                raise ValueError(f"{name} has no Spearman")
            made.append(one)
    return made


def shown(value: Resampled) -> str:
    """As a cell."""
    return f"{points(value.value)} {span(value.interval)}"
