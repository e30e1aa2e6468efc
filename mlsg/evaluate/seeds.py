"""One method, several seeds: the mean over them, how far they spread, and intervals by pairs.

The interval of a mean over seeds is that of these trainings when pairs are drawn again, all seeds on the same pairs.
How other seeds would have done is what `spread` says, their standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean as average
from statistics import stdev

from mlsg.artefact import Artefact
from mlsg.errors import SettingError
from mlsg.evaluate.baselines import BASE_POOLINGS
from mlsg.evaluate.cosines import SetCosines, read_cosines
from mlsg.evaluate.means import Resampled, mean, mean_difference, resampled
from mlsg.evaluate.sts import Scores
from mlsg.report.scores_json import Gain, MeanScore, SetScore
from mlsg.report.seeds import SeedsSheet
from mlsg.workspace import Workspace


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


def over_seeds(seeds: Sequence[int], scores: Sequence[Scores], workspace: Workspace) -> SeedsSheet:
    """The sheet of several trainings that differ in the seed alone, evaluated on the same sets."""
    first = scores[0].sheet
    drawn = {name: first.settings[name] for name in ("resamples", "seed")}
    found = [_resampled(read_cosines(each.cosines), drawn) for each in scores]
    scored = {score.set: [each[score.set] for each in found if score.set in each] for score in first.sets}
    whole = {name: each for name, each in scored.items() if len(each) == len(scores)}  # defined with every seed
    primary = [name for name in first.primaries.values() if name in whole]
    means, spread = None, None
    if len(primary) > 1:
        bases = {role: _resampled(_base(scores[0], role, workspace), drawn) for role in BASE_POOLINGS}
        means = _mean_score([whole[name] for name in primary], _paired(bases, primary))
        spread = _spread([average(whole[name][place].value for name in primary) for place in range(len(scores))])
    sets = [_set_score(score, whole.get(score.set)) for score in first.sets]
    sheet = replace(first, sets=sets, mean=means, seconds=sum(each.sheet.seconds for each in scores))
    spreads = {name: _spread([seed.value for seed in each]) for name, each in whole.items()}
    return SeedsSheet(tuple(seeds), sheet, spreads, spread)


def _resampled(cosines: Mapping[str, SetCosines], drawn: Mapping[str, int]) -> dict[str, Resampled]:
    """Spearman and its resamples, set by set, where it is defined."""
    found = {name: resampled(each.cosine, each.gold, **drawn) for name, each in cosines.items()}
    return {name: each for name, each in found.items() if each is not None}


def _paired(bases: Mapping[str, Mapping[str, Resampled]], primary: Sequence[str]) -> dict[str, list[Resampled]]:
    """Of each untuned base that has a score on all of some sets, those scores."""
    return {role: [base[name] for name in primary] for role, base in bases.items() if base.keys() >= set(primary)}


def _mean_score(sets: Sequence[Sequence[Resampled]], bases: Mapping[str, Sequence[Resampled]]) -> MeanScore:
    """The mean over sets and seeds, and what it has more than each base on the same pairs."""
    ours = [seed for seeds in sets for seed in seeds]
    gains = {}
    for role, base in bases.items():
        gain = mean_difference(ours, [untuned for untuned, seeds in zip(base, sets, strict=True) for _ in seeds])
        gains[role] = Gain(gain.value, gain.interval)
    whole = mean(ours)
    return MeanScore(len(sets), whole.value, whole.interval, gains)


def _set_score(score: SetScore, seeds: Sequence[Resampled] | None) -> SetScore:
    """A mean over seeds in the place of the first one's score."""
    if seeds is None:
        return replace(score, spearman=None, pearson=None, interval=None)
    found = mean(seeds)
    return replace(score, spearman=found.value, pearson=None, interval=found.interval)


def _spread(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _base(scores: Scores, role: str, workspace: Workspace) -> Mapping[str, SetCosines]:
    """What the untuned base gives for the same sets; nothing where it could not be had."""
    key = scores.artefact.inputs.get(role)
    artefact = workspace.by_key("cosines", key) if key else None
    return {} if artefact is None else read_cosines(artefact)


def _without_seed(encoder: Artefact) -> tuple[object, ...]:
    settings = {**encoder.settings, "train": {**encoder.settings["train"], "seed": None}}
    return settings, dict(encoder.inputs), dict(encoder.manifest["fingerprints"]), encoder.manifest["format"]
