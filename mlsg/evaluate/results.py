"""What an evaluation found, and its JSON: schemas `mlsg.scores/1`, `mlsg.difference/1` and `mlsg.seeds/1`.

In JSON correlations are raw (-1 to 1), rounded to six decimals; undefined is null. `transductive` is null where no one
compared the training text with the set; `origin` is files, hub (at `revision`) or starter, `sha256` of each file.
`mlsg.scores/1` carries baselines for each language's primary set only, and no mean over languages; those of every set
are in `SetScore`, in tables and in `Scores.to_frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from mlsg.cache.artefact import Artefact
from mlsg.config.settings import shown
from mlsg.errors import SettingError
from mlsg.evaluate.statistics import Interval
from mlsg.report.tables import BASELINES, points

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = (
    "set", "languages", "split", "pairs", "spearman", "pearson", "interval", "truncated", "unknown", "made",
    "transductive", "origin", "revision", "sha256", "no_score", "dropped",
)  # fmt: skip


@dataclass(frozen=True)
class EncoderEntry:
    """The evaluated encoder, as far as it is known."""

    name: str
    base: str | None
    objective: str | None
    pooling: str | None
    dimension: int | None
    key: str
    prompt: str | None = None
    """What was put before each sentence."""

    @property
    def title(self) -> str:
        """Name, pooling and prompt: `mini (cls)`, `mini (mean, "query: ")`."""
        said = [self.pooling] if self.pooling else []
        said += [shown(self.prompt)] if self.prompt else []
        return f"{self.name} ({', '.join(said)})" if said else self.name


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
    no_score: str = ""
    """Why there is no Spearman correlation, in words; empty where there is one."""
    dropped: int = 0
    """Pairs that were left out because a sentence of theirs is empty, as the set declares."""
    origin: Literal["files", "hub", "starter"] = "files"
    """Where it was read from: copies of one set differ (on the hub, STS 2012 to 2016 are tokenised otherwise)."""
    revision: str | None = None
    """The full commit on the hub."""
    sha256: tuple[str, ...] = ()
    """Of each file."""

    @property
    def crosslingual(self) -> bool:
        """Whether the two sentences of a pair are in two languages."""
        return self.languages[0] != self.languages[1]

    @property
    def lang(self) -> str:
        """`es`, or `en-es` between two languages."""
        return "-".join(dict.fromkeys(self.languages))

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> SetScore:
        """One from the JSON of its `asdict`."""
        tuples = {name: tuple(table[name]) for name in ("languages", "sha256")}
        return cls(**{**table, **tuples, "interval": _pair(table["interval"])})


@dataclass(frozen=True)
class Gain:
    """A difference of means over languages and its paired interval."""

    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class MeanScore:
    """The mean over the primary sets of several languages.

    `gains` maps `base_cls` and `base_mean` to what the encoder is better by, where every language has that baseline.
    `apart` names sets that share texts with others of the mean, but whose rows could not be identified among theirs:
    they were drawn apart, so that the interval may be too narrow.
    """

    languages: int
    spearman: float
    interval: Interval | None
    gains: Mapping[str, Gain]
    apart: tuple[str, ...] = ()

    @classmethod
    def read(cls, table: Mapping[str, Any] | None) -> MeanScore | None:
        """One from the JSON of its `asdict`."""
        if table is None:
            return None
        gains = {role: Gain(gain["difference"], _pair(gain["interval"])) for role, gain in table["gains"].items()}
        return cls(table["languages"], table["spearman"], _pair(table["interval"]), gains, tuple(table["apart"]))


@dataclass(frozen=True)
class Skipped:
    """A set that is not available."""

    set: str
    why: str


@dataclass(frozen=True)
class Scores:
    """All scores of one encoder. `primaries` maps each language to its primary set (None: it has none)."""

    artefact: Artefact
    """Where they are kept (of means over seeds: the scores of the first seed)."""
    encoder: EncoderEntry
    suite: str
    primaries: Mapping[str, str | None]
    sets: Sequence[SetScore]
    mean: MeanScore | None
    """None where fewer than two languages have a score."""
    skipped: Sequence[Skipped]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float

    def set_score(self, name: str | None) -> SetScore | None:
        """The score of a set, or None where it was skipped."""
        return next((score for score in self.sets if score.set == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able document of schema `mlsg.scores/1`, keys in the order of the schema."""
        return {
            **self.to_stored_dict(),
            "skipped": [asdict(each) for each in self.skipped],
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "seconds": self.seconds,
        }

    def to_stored_dict(self) -> dict[str, Any]:
        """The part of `to_dict` that equal inputs make equal to the byte: no times, no versions, nothing skipped."""
        return {
            "schema": "mlsg.scores/1",
            "encoder": asdict(self.encoder),
            "suite": self.suite,
            "languages": {lang: self._language(name) for lang, name in self.primaries.items()},
            "sets": [rounded({name: getattr(score, name) for name in _SHOWN}) for score in self.sets],
        }

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame with a row for each set, `interval` as `low` and `high`, baselines as columns.

        Raises SettingError where pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise SettingError("a DataFrame needs pandas, which is not installed", "pip install pandas") from None
        return DataFrame(self._rows())

    def __repr__(self) -> str:
        """`Scores(mini (cls): es 71.2, tr 40.0)`: Spearman x 100 on each language's primary set."""
        known = {lang: self.set_score(name) for lang, name in self.primaries.items()}
        found = [f"{lang} {points(score.spearman if score else None)}" for lang, score in known.items()]
        return f"Scores({self.encoder.title}: {', '.join(found)})"

    def _repr_html_(self) -> str:
        """A table for notebooks: a row for each set, correlations x 100."""
        shown = {"low", "high", "spearman", "pearson", *BASELINES}
        rows = [
            {name: points(value) if name in shown else str(value) for name, value in row.items()}
            for row in self._rows()
        ]
        names = "".join(f"<th>{escape(name)}</th>" for name in (rows[0] if rows else {}))
        lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.values())}</tr>" for row in rows)
        caption = f"{escape(self.encoder.title)}: Spearman x 100"
        return f"<table><caption>{caption}</caption><tr>{names}</tr>{lines}</table>"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "lang": score.lang,
                "set": score.set,
                "primary": score.set in self.primaries.values(),
                "pairs": score.pairs,
                "spearman": score.spearman,
                "low": score.interval[0] if score.interval else None,
                "high": score.interval[1] if score.interval else None,
                "pearson": score.pearson,
                **score.baselines,
                **{name: getattr(score, name) for name in ("split", "made", "kind", "transductive", "origin")},
                "truncated": score.truncated,
                "unknown": score.unknown,
            }
            for score in self.sets
        ]

    def _language(self, name: str | None) -> dict[str, Any]:
        score = self.set_score(name)
        found = {
            "primary": name,
            "spearman": score.spearman if score else None,
            "interval": score.interval if score else None,
            "pairs": score.pairs if score else 0,
            "baselines": {role: score.baselines[role] if score else None for role in BASELINES},
        }
        return {key: rounded(value) for key, value in found.items()}


@dataclass(frozen=True)
class SetDifference:
    """Spearman of two encoders on one set: `difference` is the first minus the second."""

    set: str
    languages: tuple[str, str]
    pairs: int
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Differences:
    """All differences of two encoders; `primaries` as in Scores."""

    first: EncoderEntry
    second: EncoderEntry
    primaries: Mapping[str, str | None]
    sets: Sequence[SetDifference]
    mean: Gain | None = None
    """Of the means over the primary sets; None for fewer than two."""

    def to_dict(self) -> dict[str, Any]:
        """One entry of `differences` in `mlsg.difference/1`."""
        return {
            "first": self.first.key,
            "second": self.second.key,
            "primaries": dict(self.primaries),
            "mean": None if self.mean is None else rounded(asdict(self.mean)),
            "sets": [rounded(asdict(each)) for each in self.sets],
        }


@dataclass(frozen=True)
class SeedScores:
    """Means over encoders that differ in the seed alone, and standard deviations over them."""

    seeds: Sequence[int]
    scores: Sequence[Scores]
    """Of each seed."""
    means: Scores
    """The mean over seeds in the place of every score."""
    spreads: Mapping[str, float | None]
    """By set; None with one seed. Sets without a score with every seed are left out."""
    spread: float | None
    """Of the mean over languages."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able document of schema `mlsg.seeds/1`: the scores of each seed, and the means over them."""
        mean = self.means.mean
        shown = ("set", "pairs", "spearman", "interval")
        return {
            "schema": "mlsg.seeds/1",
            "seeds": list(self.seeds),
            "scores": [each.to_dict() for each in self.scores],
            "sets": [
                rounded({**{name: getattr(each, name) for name in shown}, "spread": self.spreads.get(each.set)})
                for each in self.means.sets
            ],
            "mean": None if mean is None else rounded({**asdict(mean), "spread": self.spread}),
        }


def rounded(value: Any) -> Any:
    """A value as JSON has it; six decimals: below what any number of threads or pairs can mean, and -0.0 is 0.0."""
    if isinstance(value, float):
        return round(value, 6) + 0.0
    if isinstance(value, Mapping):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, (tuple, list)) else value


def _pair(ends: Sequence[float] | None) -> Interval | None:
    return None if ends is None else (ends[0], ends[1])
