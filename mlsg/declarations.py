"""What a table of `langs/<code>.toml` may say, and what it becomes: `Files`, `HubSource`, `PairSet`, `Corpus`.

Everything that distinguishes one set from another is said here, in a TOML; the readers in `mlsg/data/` name no set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from mlsg.errors import SettingError
from mlsg.settings import Between, read_settings

Reader = Literal["delimited", "parallel", "json", "jsonl", "xml", "lines"]
Made = Literal["human", "human_translation", "machine_translation", "written_for_project"]
Kind = Literal["similarity", "relatedness", "quality"]

PAIR_COLUMNS: tuple[str, ...] = ("sentence1", "sentence2", "score")


@dataclass(frozen=True)
class Files:
    """How original files are read. One path, but for `parallel`, whose two or three files belong together line by line."""

    paths: tuple[str, ...]
    reader: Reader
    columns: tuple[str | int, ...] = PAIR_COLUMNS
    delimiter: str = "\t"
    quoted: bool = False
    header: bool = True
    where: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    separator: str = ""
    blank_scores: bool = False
    scored_lines: int = 0
    element: str = "pair"


@dataclass(frozen=True)
class HubSource:
    """One split of a data set on the hub."""

    path: Annotated[str, "repository: owner/name"]
    revision: Annotated[str, "full commit; main where none is known"] = "main"
    config: Annotated[str | None, "configuration"] = None
    split: Annotated[str, "split"] = "test"
    columns: Annotated[tuple[str, ...], "sentence 1, sentence 2, score; of a corpus: its text columns; a.b: nested"] = (
        PAIR_COLUMNS
    )
    where: Annotated[Mapping[str, str], "only rows whose columns have these values"] = field(default_factory=dict)
    pairs: Annotated[int | None, "pairs of this copy where it differs from the original files; 0: not known"] = None


@dataclass(frozen=True)
class PairSet:
    """Graded sentence pairs of one language or two; `languages` are those of column 1 and 2."""

    name: str
    family: str
    languages: tuple[str, str]
    split: str = "test"
    pairs: int = 0
    score_range: tuple[float, float] | None = None
    licence: str = "not stated"
    made: Made = "human"
    kind: Kind = "similarity"
    primary: bool = False
    default: bool = True
    texts: tuple[str, ...] = ()
    files: tuple[Files, ...] = ()
    hub: HubSource | None = None
    root: str = "data"


@dataclass(frozen=True)
class Corpus:
    """Unlabeled text of one language. `transductive` names the families of texts whose sentences it may hold."""

    name: str
    lang: str
    files: tuple[Files, ...] = ()
    hub: tuple[HubSource, ...] = ()
    documents: bool = False
    streamed: bool = False
    repetitions: bool = False
    transductive: tuple[str, ...] = ()
    licence: str = "not stated"
    default: bool = False
    root: str = "data"
