"""One method, several seeds: the mean over them, their spread, and intervals by pairs.

The interval of a mean over seeds is that of these trainings when pairs are drawn again, all seeds on the same pairs.
How other seeds would have done is what `spread` says, their standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import stdev

from mlsg.cache.artefact import Artefact
from mlsg.cache.verify import verified
from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError
from mlsg.evaluate.baselines import BASE_POOLINGS
from mlsg.evaluate.cosines import ENCODER, read_cosines
from mlsg.evaluate.means import BySet, drawn_together, mean_score, resampling, rows_of
from mlsg.evaluate.results import Scores, SeedScores, SetScore
from mlsg.evaluate.statistics import Resampled, mean, resampled


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
    return [verified(alike[seed]) for seed in seeds]


def over_seeds(seeds: Sequence[int], scores: Sequence[Scores]) -> SeedScores:
    """Means over trainings that differ in the seed alone, evaluated with the same settings on the same sets."""
    first = scores[0]
    own = [_resampled(each, ENCODER) for each in scores]
    bases = {role: found for role in BASE_POOLINGS if (found := _resampled(first, role))}
    defined = {name: [score for each in own if (score := each[name]) is not None] for name in own[0]}
    whole = {name: of_seeds for name, of_seeds in defined.items() if len(of_seeds) == len(own)}
    means = mean_score(
        first.primaries,
        [_together(each, ENCODER, of_seed) for each, of_seed in zip(scores, own, strict=True)],
        {role: _together(first, role, found) for role, found in bases.items()},
        first.mean.apart if first.mean else (),
    )
    spread = None
    if means is not None:
        primary = [whole[name] for name in first.primaries.values() if name in whole]
        spread = _spread([mean(of_seed).value for of_seed in zip(*primary, strict=True)])
    sets = [_set_score(each, whole.get(each.set)) for each in first.sets]
    over = replace(first, sets=sets, mean=means, seconds=sum(each.seconds for each in scores))
    spreads = {name: _spread([each.value for each in of_seeds]) for name, of_seeds in whole.items()}
    return SeedScores(tuple(seeds), tuple(scores), over, spreads, spread)


def _resampled(scores: Scores, role: str) -> BySet:
    drawn = resampling(scores.settings)
    return {
        name: resampled(each.cosine, each.gold, **drawn) for name, each in read_cosines(scores.artefact, role).items()
    }


def _together(scores: Scores, role: str, alone: BySet) -> BySet:
    cosines = read_cosines(scores.artefact, role)
    return drawn_together(alone, cosines, rows_of(scores.primaries.values(), cosines), resampling(scores.settings))


def _set_score(score: SetScore, seeds: Sequence[Resampled] | None) -> SetScore:
    """A mean over seeds in the place of the first one's score."""
    if seeds is None:
        return replace(score, spearman=None, pearson=None, interval=None)
    found = mean(seeds)
    return replace(score, spearman=found.value, pearson=None, interval=found.interval)


def _spread(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _without_seed(encoder: Artefact) -> tuple[object, ...]:
    settings = {**encoder.settings, "train": {**encoder.settings["train"], "seed": None}}
    return settings, dict(encoder.inputs), dict(encoder.manifest["fingerprints"]), encoder.manifest["format"]
