"""What an evaluation found, and its JSON: schema `mlsg.scores/1`.

Correlations are raw (-1 to 1), rounded to six decimals; undefined is null. `transductive` is null where no one compared
the training text with the set. The flags and baselines of every single set are in `SetScore` and in the tables; the
schema carries baselines for each language's primary set only, and no mean over languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA = "mlsg.scores/1"
BASELINES = ("base_cls", "base_mean", "overlap", "idf_overlap")
FEW_PAIRS = 100

Interval = tuple[float, float]


@dataclass(frozen=True)
class EncoderEntry:
    """The evaluated encoder, as far as it is known."""

    name: str
    base: str | None
    objective: str | None
    pooling: str | None
    dimension: int | None
    key: str

    @property
    def title(self) -> str:
        """Name and pooling: `mini (cls)`."""
        return f"{self.name} ({self.pooling})" if self.pooling else self.name


@dataclass(frozen=True)
class SetScore:
    """One encoder on one pair set."""

    set: str
    languages: tuple[str, str]
    split: str
    pairs: int
    spearman: float | None
    pearson: float | None
    interval: Interval | None
    truncated: int
    unknown: int
    made: str
    kind: str
    transductive: bool | None
    baselines: Mapping[str, float | None]

    @property
    def crosslingual(self) -> bool:
        """Whether the two sentences of a pair are in two languages."""
        return self.languages[0] != self.languages[1]


@dataclass(frozen=True)
class Gain:
    """A difference of means over languages and its paired interval."""

    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class MeanScore:
    """The mean over the primary sets of several languages.

    `gains` maps `base_cls` and `base_mean` to what the encoder is better by, where every language has that baseline.
    """

    languages: int
    spearman: float
    interval: Interval | None
    gains: Mapping[str, Gain]


@dataclass(frozen=True)
class Skipped:
    """A set that could not be had."""

    set: str
    why: str


@dataclass(frozen=True)
class ScoreSheet:
    """All scores of one encoder. `primaries` maps each language to its primary set (None: it has none)."""

    encoder: EncoderEntry
    suite: str
    primaries: Mapping[str, str | None]
    sets: Sequence[SetScore]
    skipped: Sequence[Skipped]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float
    mean: MeanScore | None = None
    """None where fewer than two languages have a score."""

    def set_score(self, name: str | None) -> SetScore | None:
        """The score of a set, or None where it was skipped."""
        return next((score for score in self.sets if score.set == name), None)


def document(sheet: ScoreSheet) -> dict[str, Any]:
    """The JSON-able document of schema `mlsg.scores/1`, keys in the order of the schema."""
    return {
        **stored_document(sheet),
        "skipped": [{"set": skipped.set, "why": skipped.why} for skipped in sheet.skipped],
        "settings": dict(sheet.settings),
        "versions": dict(sheet.versions),
        "seconds": sheet.seconds,
    }


def stored_document(sheet: ScoreSheet) -> dict[str, Any]:
    """The part of `document` that equal inputs make equal to the byte: no times, no versions, nothing skipped."""
    return {
        "schema": SCHEMA,
        "encoder": asdict(sheet.encoder),
        "suite": sheet.suite,
        "languages": {lang: _language(sheet, name) for lang, name in sheet.primaries.items()},
        "sets": [_set(score) for score in sheet.sets],
    }


def rounded(value: float | None) -> float | None:
    """Six decimals: below what any number of threads or pairs can mean, and -0.0 is 0.0."""
    return None if value is None else round(value, 6) + 0.0


def rounded_interval(interval: Interval | None) -> list[float] | None:
    """Both ends with six decimals."""
    return None if interval is None else [round(end, 6) + 0.0 for end in interval]


def _language(sheet: ScoreSheet, name: str | None) -> dict[str, Any]:
    score = sheet.set_score(name)
    return {
        "primary": name,
        "spearman": rounded(score.spearman) if score else None,
        "interval": rounded_interval(score.interval) if score else None,
        "pairs": score.pairs if score else 0,
        "baselines": {role: rounded(score.baselines[role]) if score else None for role in BASELINES},
    }


def _set(score: SetScore) -> dict[str, Any]:
    return {
        "set": score.set,
        "languages": list(score.languages),
        "split": score.split,
        "pairs": score.pairs,
        "spearman": rounded(score.spearman),
        "pearson": rounded(score.pearson),
        "interval": rounded_interval(score.interval),
        "truncated": score.truncated,
        "unknown": score.unknown,
        "made": score.made,
        "transductive": score.transductive,
    }
