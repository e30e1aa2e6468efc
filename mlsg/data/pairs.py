"""Graded pairs: where a set can be had (`locate`, no parsing), and the pairs themselves (`read_pairs`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlsg.catalog import PairSet
from mlsg.hub import Hub


@dataclass(frozen=True)
class GradedPairs:
    """The pairs of one set in the set's own order: raw text and the gold score of each."""

    name: str
    first: list[str]
    second: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Located:
    """A set that can be had; `fingerprint` changes with its bytes (or hub revision) and with its declaration."""

    pair_set: PairSet
    origin: Literal["files", "hub", "starter"]
    paths: tuple[Path, ...]
    revision: str
    fingerprint: str


@dataclass(frozen=True)
class Absent:
    """A set that cannot be had now, and why, in one line."""

    pair_set: PairSet
    why: str
