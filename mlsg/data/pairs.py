"""Graded pairs: where a set is available (`locate_set`, no parsing), and the pairs themselves (`read_pairs`)."""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlsg.cache.files import sha256_file
from mlsg.config.catalog import Files, HubSource, PairSet
from mlsg.data.original_files import find_files, fingerprint, fingerprint_hub, fingerprint_text, how_read
from mlsg.data.readers import Row, read_rows
from mlsg.data.readers.records import cell
from mlsg.data.readers.text import shortened
from mlsg.errors import DataError, HubUnreachableError
from mlsg.hub import Hub

_HALVES = re.compile("[\ud800-\udfff]")
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}
"""Categories of characters that show nothing: a tokenizer makes no token of them, or one that says nothing."""


@dataclass(frozen=True)
class GradedPairs:
    """The pairs of one set in the set's own order: raw text and the gold score of each.

    `dropped` counts the pairs that were left out because a sentence of theirs is empty, which the set must declare.
    """

    name: str
    first: list[str]
    second: list[str]
    scores: list[float]
    dropped: int = 0


@dataclass(frozen=True)
class LocatedSet:
    """A set that is available.

    `fingerprint` changes with its bytes (or hub revision) and with its declaration, `text` with nothing but what can
    change its sentences. `sha256` are those of its files.
    """

    pair_set: PairSet
    origin: Literal["files", "hub", "starter"]
    paths: tuple[Path, ...]
    revision: str
    fingerprint: str
    text: str
    sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class MissingSet:
    """A set that is not available now, and why, in one line."""

    pair_set: PairSet
    why: str


def locate_set(pair_set: PairSet, data_root: Path | None, hub: Hub) -> LocatedSet | MissingSet:
    """Where the set is: its original files first, then the hub. Nothing is parsed.

    Raises SettingError for a --data-root that is not a folder.
    """
    paths, no_files = find_files(pair_set.files, pair_set.root, data_root)
    if paths:
        origin: Literal["files", "starter"] = "starter" if pair_set.root == "starter" else "files"
        found, how = tuple(map(sha256_file, paths)), how_read(pair_set)
        whole, text = fingerprint(pair_set, how, found), fingerprint_text(how, found)
        return LocatedSet(pair_set, origin, paths, "", whole, text, found)
    source = pair_set.hub
    if source is None:
        return MissingSet(pair_set, f"{no_files}, and it is not on the hub")
    try:
        no_hub = hub.available(source)
        revision = None if no_hub else hub.resolve(source.path, source.revision, "dataset")
    except (DataError, HubUnreachableError) as error:
        return MissingSet(pair_set, error.problem)
    if revision is None:
        return MissingSet(pair_set, no_hub or hub.why_unreachable())
    pinned = dataclasses.replace(source, revision=revision)
    text = fingerprint_text(dataclasses.asdict(dataclasses.replace(pinned, pairs=None)), ())
    return LocatedSet(pair_set, "hub", (), revision, fingerprint_hub(pair_set, [pinned]), text)


def read_pairs(located: LocatedSet, hub: Hub) -> GradedPairs:
    """The pairs of a located set.

    Raises DataError, naming file, line and column, for whatever is not as declared: a missing column, a score that is
    not a number or off the scale, an empty sentence (unless the set declares that such pairs are left out), sentences
    and scores of different length, a binary file, another number of pairs.
    """
    pair_set = located.pair_set
    pairs, dropped = GradedPairs(pair_set.name, [], [], []), 0
    expected = pair_set.pairs
    if pair_set.hub and located.origin == "hub":
        source, records = f"hub data set {pair_set.hub.path}", _hub_pairs(located, pair_set.hub, hub)
        expected = pair_set.pairs if pair_set.hub.pairs is None else pair_set.hub.pairs
    else:
        source, records = str(located.paths[0]), _file_pairs(located)
    for first, second, score, row in records:
        if _is_empty(first, 1, pair_set, row) or _is_empty(second, 2, pair_set, row):
            dropped += 1
            continue
        pairs.first.append(first)
        pairs.second.append(second)
        pairs.scores.append(score)
    check_count(pair_set.name, len(pairs.scores), expected, source)
    return dataclasses.replace(pairs, dropped=dropped)


def check_count(name: str, read: int, declared: int, source: str) -> None:
    """A set without pairs, or with another number than declared (0: any), is a wrong file. Raises DataError."""
    if not read:
        raise DataError(f"{name}: {source} holds no scored pairs", "give the right file, or declare how it is read")
    if declared and read != declared:
        problem = f"{name}: {source} holds {read} scored pairs, {declared} are declared"
        raise DataError(problem, "give the file as its authors distribute it, or declare the pairs that it has")


def _file_pairs(located: LocatedSet) -> Iterator[tuple[str, str, float, Row]]:
    paths = iter(located.paths)
    for files in located.pair_set.files:
        for row in read_rows([next(paths) for _ in files.paths], files):
            *texts, score = row.cells
            if not score.strip() and files.blank_scores:
                continue
            first, second = texts if len(texts) == 2 else _both(texts[0], files, row)
            yield first, second, _score(score, located.pair_set, row, files.decimal), row


def _both(text: str, files: Files, row: Row) -> tuple[str, str]:
    """The two sentences of one cell: "One. | Two." at "|" -> ("One.", "Two.")."""
    parts = [part.strip() for part in text.strip().split(files.separator)]
    if len(parts) != 2:
        problem = f"{row.where}: cell has {len(parts)} parts at separator {files.separator!r}"
        raise DataError(problem, "declare the separator that is between the two sentences")
    return parts[0], parts[1]


def _hub_pairs(located: LocatedSet, declared: HubSource, hub: Hub) -> Iterator[tuple[str, str, float, Row]]:
    source = dataclasses.replace(declared, revision=located.revision)
    for number, record in enumerate(hub.rows(source), start=1):
        row = Row(f"hub data set {source.path}, split {source.split}", "row", number, ())
        first, second, score = (cell(record, column, row.where) for column in source.columns)
        yield first, second, _score(score, located.pair_set, row), row


def _is_empty(text: str, column: int, pair_set: PairSet, row: Row) -> bool:
    """Whether nothing of a sentence can be seen. Raises DataError unless the set declares that there are such."""
    if text[:1].isalnum() and text.isprintable():  # nearly all, at once
        return False
    if _HALVES.search(text):
        raise DataError(f"{row.where}: sentence {column} holds half a character (a surrogate)", "fix the file")
    if not all(unicodedata.category(char) in _INVISIBLE for char in text):
        return False
    if not pair_set.blank_sentences:
        remedy = "fix the file, or declare blank_sentences = true to leave such pairs out"
        raise DataError(f"{row.where}: sentence {column} is empty", remedy)
    return True


def _score(text: str, pair_set: PairSet, row: Row, decimal: str = ".") -> float:
    plain = text if decimal == "." else text.replace(".", "_").replace(decimal, ".")
    try:
        score = math.nan if "_" in plain else float(plain)  # Python takes 1_3 for 13
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        remedy = "declare the score's column, fix the file, or declare blank_scores = true if such pairs are unscored"
        if text.strip().startswith('"'):
            remedy = "declare quoted = true"
        elif "," in text and "." not in text and decimal == ".":
            remedy = 'declare decimal = "," if that is how the file writes fractions'
        raise DataError(f'{row.where}: score "{shortened(text)}" is not a number', remedy)
    if pair_set.score_range and not pair_set.score_range[0] <= score <= pair_set.score_range[1]:
        low, high = pair_set.score_range
        remedy = "declare the score's column, or the scale that the file has"
        raise DataError(f"{row.where}: score {score:g} is outside {low:g} to {high:g}", remedy)
    return score
