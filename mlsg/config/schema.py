"""What a table of `langs/<code>.toml` may say, and what it becomes: `Files`, `HubSource`, `PairSet`, `Corpus`.

What distinguishes one set from another is declared in a TOML; the readers in `mlsg/data/` do not name any set.
"""

from __future__ import annotations

import dataclasses
import os.path
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from mlsg.config.settings import Between, read_settings, shown
from mlsg.errors import SettingError, nearest

Reader = Literal["delimited", "parallel", "json", "jsonl", "xml", "parquet", "arrow", "lines"]
Made = Literal["human", "human_translation", "machine_translation", "written_for_project"]
Kind = Literal["similarity", "relatedness", "quality"]

PAIR_COLUMNS: tuple[str, ...] = ("sentence1", "sentence2", "score")


@dataclass(frozen=True)
class Files:
    """How original files are read. One path; two or three for `parallel`, which belong together line by line."""

    declared: ClassVar[bool] = True
    """Whether a TOML says it; else the command line does (`--source`), and errors name its options."""

    paths: tuple[str, ...]
    reader: Reader
    columns: Annotated[tuple[str | int, ...], Between(-(10**9), 10**9)] = PAIR_COLUMNS
    delimiter: str = "\t"
    quoted: bool = False
    quotes_said: bool = False
    """Whether someone said `quoted`; else the suffix did, and cells that are all in quotes are doubtful."""
    header: bool = True
    where: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""
    decimal: Literal[".", ","] = "."
    separator: str = ""
    blank_scores: bool = False
    scored_lines: Annotated[int, Between(0, 10**9)] = 0
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
    pairs: Annotated[
        int | None, "pairs of this copy where it differs from the original files; 0: not known", Between(0, 10**9)
    ] = None


@dataclass(frozen=True)
class PairSet:
    """Graded sentence pairs of one language or two; `languages` are those of column 1 and 2."""

    name: str
    family: str
    languages: tuple[str, str]
    split: str = "test"
    pairs: Annotated[int, Between(0, 10**9)] = 0
    score_range: Annotated[tuple[float, float] | None, Between(-1e9, 1e9)] = None
    licence: str = "not stated"
    made: Made = "human"
    kind: Kind = "similarity"
    primary: bool = False
    default: bool = True
    blank_sentences: bool = False
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


_FILE_KEYS = {item.name for item in dataclasses.fields(Files)} - {"paths", "quotes_said"}
_SET_KEYS = {item.name for item in dataclasses.fields(PairSet)} - {"name"} | {"members"} | _FILE_KEYS
_CORPUS_KEYS = {item.name for item in dataclasses.fields(Corpus)} - {"name", "lang"} | _FILE_KEYS
PACKED = (".xz", ".gz", ".zst", ".bz2")  # endings of packed files, in the order in which they are looked for
NO_DELIMITER = '"\r\n\0'  # what ends cells and lines anyway

BY_SUFFIX: Mapping[str, Mapping[str, Any]] = {
    ".tsv": {"reader": "delimited", "delimiter": "\t", "quoted": False},
    ".txt": {"reader": "delimited", "delimiter": "\t", "quoted": False},
    ".csv": {"reader": "delimited", "delimiter": ",", "quoted": True},
    ".json": {"reader": "json"},
    ".jsonl": {"reader": "jsonl"},
    ".xml": {"reader": "xml"},
    ".parquet": {"reader": "parquet"},
    ".arrow": {"reader": "arrow"},
    ".feather": {"reader": "arrow"},
}
"""How a file is read that does not say more than its name; a corpus and `--source` read .txt as lines."""


def suffix_of(path: str) -> str:
    """The suffix that says how a file is read: `a.CSV.gz` -> ".csv"."""
    pure = PurePosixPath(path.lower())
    return PurePosixPath(pure.stem).suffix if pure.suffix in PACKED else pure.suffix


def read_pair_set(
    name: str, table: Mapping[str, Any], *, code: str, root: str, known: Mapping[str, PairSet], where: str
) -> PairSet:
    """The pair set of one TOML table; `known` are the sets above it, which `members` may name.

    Raises SettingError for an unknown key, a wrong type, columns that the reader cannot have, and no source at all.
    """
    _refuse_unknown(table, _SET_KEYS, where)
    head, _, split = name.partition("@")
    own = {key: value for key, value in table.items() if key not in _FILE_KEYS | {"files", "hub", "members"}}
    from_name = {"name": name, "family": head.split(".")[0], "split": split or "test"}
    pair_set = read_settings(PairSet, {**from_name, "languages": [code, code], "root": root, **own}, where)
    _check_root(pair_set.root, root, where)
    names = _texts(table.get("members", []), "members", where)
    for member in names:
        if member not in known:
            raise SettingError(f"{where}: member {shown(member)} is not declared above it", nearest(member, known))
    members = [known[member] for member in names]
    joined = tuple(file for member in members for file in member.files)
    files = joined or _files(table, PAIR_COLUMNS, pair_set.root, where)
    for file in files:
        _check_files(file, where)
    hub = read_settings(HubSource, _hub_table(table["hub"], where), f"{where}: hub") if "hub" in table else None
    if hub and len(hub.columns) != len(PAIR_COLUMNS):
        raise SettingError(f"{where}: hub.columns has {len(hub.columns)} entries", "name sentence 1, sentence 2, score")
    if not files and hub is None:
        raise SettingError(f"{where} says neither files nor hub", 'add files = "pairs.tsv"')
    texts = pair_set.texts or tuple(dict.fromkeys(text for member in members for text in member.texts))
    return dataclasses.replace(pair_set, files=files, hub=hub, texts=texts or (pair_set.family,))


def read_corpus(name: str, table: Mapping[str, Any], *, code: str, root: str, where: str) -> Corpus:
    """The corpus of one TOML table. Raises SettingError as `read_pair_set` does."""
    _refuse_unknown(table, _CORPUS_KEYS, where)
    own = {key: value for key, value in table.items() if key not in _FILE_KEYS | {"files", "hub"}}
    corpus = read_settings(Corpus, {"name": name, "lang": code, "root": root, **own}, where)
    _check_root(corpus.root, root, where)
    files = _files(table, ("text",), corpus.root, where, text_reader="lines")
    for file in files:
        _check_files(file, where, pairs=False)
    hub = _hub_splits(table["hub"], where) if "hub" in table else ()
    if not files and not hub:
        raise SettingError(f"{where} says neither files nor hub", 'add files = "sentences.txt"')
    return dataclasses.replace(corpus, files=files, hub=hub)


def _files(
    table: Mapping[str, Any], columns: tuple[str, ...], root: str, where: str, text_reader: str = "delimited"
) -> tuple[Files, ...]:
    """One for each path, or one for all of `parallel`; the suffix and the columns say what the table does not."""
    named = table.get("files", [])
    paths = _texts([named] if isinstance(named, str) else named, "files", where)
    for path in paths:
        _check_path(path, root, where)
    options = {"columns": list(columns), "quotes_said": "quoted" in table}
    options |= {key: value for key, value in table.items() if key in _FILE_KEYS}
    if paths and options.get("reader") == "parallel":
        options = {"header": False, **options, "columns": table.get("columns", [0, 1]), "paths": paths}
        return (read_settings(Files, options, where),)
    header = isinstance(options["columns"], list) and any(isinstance(column, str) for column in options["columns"])
    files = []
    for path in paths:
        suffix = suffix_of(path)
        guess = BY_SUFFIX.get(suffix, {})
        if not guess and "reader" not in options:
            raise SettingError(f'{where}: "{path}" does not say how it is read', 'add reader = "delimited"')
        text = {"reader": text_reader} if suffix == ".txt" else {}
        files.append(read_settings(Files, {**guess, **text, "header": header, **options, "paths": [path]}, where))
    return tuple(files)


def _texts(value: object, key: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        kind = "a path or a list of paths" if key == "files" else "a list of texts"
        raise SettingError(f"{where}: {key} must be {kind}", "fix the value")
    return value


def _check_root(root: str, given: str, where: str) -> None:
    if root not in ("data", "starter", given):
        raise SettingError(f'{where}: root is "{root}"', 'write root = "starter" or root = "data", or leave it out')


def _check_path(path: str, root: str, where: str) -> None:
    """A path stays in its folder; only in the user's own TOML an absolute one may say otherwise."""
    plain, users = Path(os.path.normpath(path)), root not in ("data", "starter")
    if os.pardir in plain.parts or (plain.is_absolute() and not users):
        remedy = "name a file inside it" + (", or write the path from / on" if users else "")
        raise SettingError(f'{where}: "{path}" is outside the folder that it is looked for in', remedy)


def _check_files(files: Files, where: str, *, pairs: bool = True) -> None:
    reader, count = files.reader, len(files.columns)
    parallel, keyed = reader == "parallel", reader in ("json", "jsonl", "xml", "parquet", "arrow")
    numbers = [column for column in files.columns if isinstance(column, int)]
    names = [column for column in files.columns if isinstance(column, str)]
    names += [column for column in files.where if not (column.isascii() and column.isdigit() and len(column) < 6)]
    cells = ["the cell of both sentences", "score"] if files.separator else ["sentence 1", "sentence 2", "score"]
    wanted = cells[:2] if parallel else cells
    paths_remedy = "name the sentences' file (or one for each side) and the scores' file"
    where_remedy = "use it with delimited, json, jsonl, xml, parquet, arrow"
    for wrong, problem, remedy in (
        (pairs and count != len(wanted), f"columns has {count} entries", f"name {', '.join(wanted)}"),
        (not pairs and not count, "columns has no entries", "name the column of the text"),
        (not pairs and parallel, "reader parallel in a corpus", 'write reader = "lines" or "delimited"'),
        (parallel and len(files.paths) not in (2, 3), f"{len(files.paths)} parallel files", paths_remedy),
        (pairs and reader == "lines", "reader lines has no columns", 'write reader = "parallel" or "delimited"'),
        (
            len(files.delimiter) != 1 or files.delimiter in NO_DELIMITER,
            f"delimiter {files.delimiter[:9]!r}",
            "give one character, neither a quote nor a line's end",
        ),
        (
            any(not 0 <= number < 100_000 for number in numbers),
            "a column below 0 or above 99999",
            "count columns from 0, from the left",
        ),
        (not 0 <= files.scored_lines < 1 << 31, "scored_lines out of range", "say how many lines are scored"),
        (keyed and numbers, f"columns of a {reader} file have names", "name the keys"),
        (
            reader == "delimited" and not files.header and names,
            f"column {next(iter(names), ''):.80} but header = false",
            "give column numbers, counted from 0",
        ),
        (files.scored_lines and not parallel, f"scored_lines with reader {reader}", "use it with parallel"),
        (files.where and reader != "delimited" and not keyed, f"where with reader {reader}", where_remedy),
    ):
        if wrong:
            raise SettingError(f"{where}: {problem}", remedy)


def _hub_table(table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, Mapping) or not isinstance(table.get("path"), str):
        raise SettingError(f"{where}: hub names no path", 'write hub = { path = "owner/name" }')
    return dict(table)


def _hub_splits(table: object, where: str) -> tuple[HubSource, ...]:
    """One source for each of `splits`, in their order; of a corpus only, whose text may come from several."""
    values = {"columns": ["text"], "split": "train", **_hub_table(table, where)}
    splits = values.pop("splits", [values["split"]])
    if not isinstance(splits, list) or not splits:
        raise SettingError(f"{where}: hub.splits must be a list of splits", "fix the value")
    return tuple(read_settings(HubSource, {**values, "split": split}, f"{where}: hub") for split in splits)


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise SettingError(f"unknown key {shown(key)} in {where}", nearest(key, known))
