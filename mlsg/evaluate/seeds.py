"""One method, several seeds: the mean over them, how far they spread, and intervals by pairs.

The interval of a mean over seeds is that of these trainings when pairs are drawn again, all seeds on the same pairs.
How other seeds would have done is what `spread` says, their standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import stdev

from mlsg.cache.artefact import Artefact
from mlsg.cache.workspace import Workspace
from mlsg.config.recipes import EvalSettings
from mlsg.errors import SettingError
from mlsg.evaluate.baselines import BASE_POOLINGS
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.means import Resampled, mean, mean_score, resampled_set
from mlsg.evaluate.results import SetScore
from mlsg.evaluate.suites.sts import Scores
from mlsg.report.seeds import SeedsSheet


def encoders_of_seeds(last: Artefact, seeds: Sequence[int], workspace: Workspace) -> list[Artefact]:
    """The encoders that differ from `last` in the seed alone, in the order of `seeds`. Raises SettingError."""
    wanted = _without_seed(last)
    alike = {
        each.settings["train"]["seed"]: each
        for each in workspace.artefacts(last.stage)
        if "seed" in each.settings["train"] and _without_seed(each) == wanted
    }
    missing = [str(seed) for seed in seeds if seed not in alike]
    if missing:
        problem = f"no encoder like {last.folder.name} with seed {', '.join(missing)} in {workspace.root}"
        raise SettingError(problem, "train it: mlsg train --seeds, with the settings of the others")
    return [alike[seed] for seed in seeds]


def over_seeds(
    seeds: Sequence[int], scores: Sequence[Scores], settings: EvalSettings, workspace: Workspace
) -> SeedsSheet:
    """The sheet of several trainings that differ in the seed alone, evaluated with `settings` on the same sets."""
    first, own = scores[0].sheet, [read_cosines(each.cosines) for each in scores]
    found = {score.set: [resampled_set(each[score.set], settings) for each in own] for score in first.sets}
    whole = {name: [each for each in of if each is not None] for name, of in found.items() if None not in of}
    means = mean_score(first.primaries, own, _of_bases(scores[0], workspace), settings)
    spread = None
    if means is not None:
        primary = [name for name in first.primaries.values() if name in whole]
        spread = _spread([mean([whole[name][seed] for name in primary]).value for seed in range(len(own))])
    sets = [_set_score(score, whole.get(score.set)) for score in first.sets]
    sheet = replace(first, sets=sets, mean=means, seconds=sum(each.sheet.seconds for each in scores))
    spreads = {name: _spread([seed.value for seed in of]) for name, of in whole.items()}
    return SeedsSheet(tuple(seeds), sheet, spreads, spread)


def _set_score(score: SetScore, seeds: Sequence[Resampled] | None) -> SetScore:
    """A mean over seeds in the place of the first one's score."""
    if seeds is None:
        return replace(score, spearman=None, pearson=None, interval=None)
    found = mean(seeds)
    return replace(score, spearman=found.value, pearson=None, interval=found.interval)


def _spread(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _of_bases(scores: Scores, workspace: Workspace) -> dict[str, Mapping[str, SetCosines]]:
    """Cosines of the untuned base for the same sets, by role, as far as it could be had."""
    keys = {role: scores.artefact.inputs.get(role) for role in BASE_POOLINGS}
    found = {role: workspace.by_key("cosines", key) for role, key in keys.items() if key}
    return {role: read_cosines(artefact) for role, artefact in found.items() if artefact is not None}


def _without_seed(encoder: Artefact) -> tuple[object, ...]:
    settings = {**encoder.settings, "train": {**encoder.settings["train"], "seed": None}}
    return settings, dict(encoder.inputs), dict(encoder.manifest["fingerprints"]), encoder.manifest["format"]
