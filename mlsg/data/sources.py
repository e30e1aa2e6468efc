"""The user's own files of sentences (`--source`), as a stream.

Kinds: .txt, .csv, .tsv, .json, .jsonl, .xml, .parquet, .arrow and .feather; all also .gz, .bz2, .xz and .zst. A text
file holds one sentence a line; blank lines are left out. The others hold it in a column, an XML file in every element
of that name (`pair.text`: in the child `text` of every `pair`). A csv file is read with quotes (RFC 4180), a tsv file
without, unless `Reading` says otherwise. The readers are those of declared files, but stricter: every row is as wide as
the header and every cell is text, or the error names file, line and column; nothing is guessed or skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from mlsg.config.schema import BY_SUFFIX, NO_DELIMITER, PACKED, Files, suffix_of
from mlsg.data.original_files import file_hash
from mlsg.data.readers import read_texts
from mlsg.data.readers.packed import cannot_open
from mlsg.data.readers.text import is_text_encoding
from mlsg.errors import DataError, SettingError

Columns = str | Sequence[str]
"""One column, or several whose cells are one row of text."""


@dataclass(frozen=True)
class SourceFile(Files):
    """How one file of --source is read."""

    declared: ClassVar[bool] = False


@dataclass(frozen=True)
class Reading:
    """What the command line says of its files; "" and None: what a file's name and its first bytes say."""

    delimiter: str = ""
    quoted: bool | None = None
    encoding: str = ""

    def __post_init__(self) -> None:
        """Raise SettingError for a delimiter that can be none, and for what is no encoding of texts."""
        if self.delimiter and (len(self.character) != 1 or self.character in NO_DELIMITER):
            raise SettingError(f"--delimiter {self.delimiter!r:.20}", r"give one character, or \t for a TAB")
        if self.encoding and not is_text_encoding(self.encoding):
            raise SettingError(f'--encoding "{self.encoding:.40}" is unknown', "name one of text that Python knows")

    @property
    def character(self) -> str:
        r"""The delimiter; `\t` is TAB."""
        return "\t" if self.delimiter == "\\t" else self.delimiter


AS_NAMED = Reading()


def source_file(path: Path, column: Columns, reading: Reading = AS_NAMED) -> SourceFile:
    """How a file is read, by its name: `a.CSV.gz` -> comma-separated and quoted, with a header.

    Raises DataError for a path that does not exist, is a folder (naming the files in it) or is of an unknown kind.
    """
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError as error:
        raise cannot_open(path, error) from None
    if folder:
        raise DataError(f"{path} is a folder", f"name files with --source ({_files_in(path)})")
    if not there:
        raise DataError(f"{path} does not exist", "check the path given with --source")
    suffix = suffix_of(path.name)
    if suffix not in BY_SUFFIX or not (path.is_file() or path.is_fifo()):
        known = ", ".join(BY_SUFFIX)
        raise DataError(f"{path} is of an unknown kind", f"name it by what it holds: {known}; also {', '.join(PACKED)}")
    options: dict[str, Any] = {**BY_SUFFIX[suffix], "encoding": reading.encoding}
    columns = columns_of(column)
    if suffix == ".txt" and not reading.delimiter:
        options["reader"] = "lines"
        if len(columns) > 1:
            raise DataError(f"{path} has no columns ({', '.join(columns)})", r"give --delimiter (\t: TAB) if it has")
    elif suffix == ".xml":
        parts = [column.partition(".") for column in columns]
        options["element"], columns = parts[0][0], tuple(part[2] for part in parts)
        if len({element for element, _, _ in parts}) > 1:
            raise DataError(f"{path}: columns of different elements", "name children of one element: pair.a, pair.b")
    elif options["reader"] == "delimited":
        options["delimiter"] = reading.character or options["delimiter"]
        options["quoted"] = options["quoted"] if reading.quoted is None else reading.quoted
        options["quotes_said"] = reading.quoted is not None
    return SourceFile(paths=(str(path),), columns=columns, **options)


def fingerprint_sources(paths: Sequence[Path], column: Columns, reading: Reading = AS_NAMED) -> dict[str, str]:
    """Return what can change the sentences of each file, in order: kind, column, how it is read, and sha256.

    Raises as `stream_sources` before any text.
    """
    files = _source_files(paths, column, reading)
    kinds = [suffix_of(path.name).removeprefix(".") for path in paths]
    columns = ["" if file.reader == "lines" else f"[{']['.join(columns_of(column))}]" for file in files]
    said = "" if reading == AS_NAMED else f"[{reading}]"
    return {
        f"source {number}": f"{kind}{read}{said} {file_hash(path)}"
        for number, (kind, read, path) in enumerate(zip(kinds, columns, paths, strict=True), start=1)
    }


def stream_sources(paths: Sequence[Path], column: Columns = "text", reading: Reading = AS_NAMED) -> Iterator[str]:
    """Yield the raw texts of all files in their order, with flat memory (a .json file is held as a whole).

    Of several columns the cells of one row follow one another.

    Raises DataError for everything that `source_file` refuses and SettingError for options that none of the files can
    have (both at once, before any text), DataError for a missing column, a cell that is not text, rows of unequal
    width, bytes that are not of the encoding, and damaged files.
    """
    files = _source_files(paths, column, reading)
    return chain.from_iterable(read_texts([path], file) for path, file in zip(paths, files, strict=True))


@contextmanager
def pipes_kept(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The files, a pipe as a copy of all that came through it: it can be read only once.

    Raises DataError for everything that `source_file` refuses, and where a copy cannot be made.
    """
    for path in paths:
        source_file(path, "text")
    pipes = [path for path in dict.fromkeys(paths) if path.is_fifo()]
    if not pipes:
        yield list(paths)
        return
    with TemporaryDirectory(prefix="mlsg-") as folder:
        copies = {path: Path(folder, f"{number}-{path.name}") for number, path in enumerate(pipes)}
        for path, copy in copies.items():
            try:
                with path.open("rb") as pipe, copy.open("wb") as file:
                    shutil.copyfileobj(pipe, file)
            except OSError as error:
                raise cannot_open(path, error) from None
        try:
            yield [copies.get(path, path) for path in paths]
        except DataError as error:
            problem = error.problem
            for path, copy in copies.items():
                problem = problem.replace(str(copy), str(path))
            raise DataError(problem, error.remedy) from None


def columns_of(column: Columns) -> tuple[str, ...]:
    """One name or several as several."""
    return (column,) if isinstance(column, str) else tuple(column)


def _source_files(paths: Sequence[Path], column: Columns, reading: Reading) -> list[SourceFile]:
    files = [source_file(path, column, reading) for path in paths]
    if not any(file.reader == "delimited" for file in files) and (reading.delimiter or reading.quoted is not None):
        raise SettingError(
            "--delimiter and --quoted say how columns are told apart", "give them with a csv, tsv or txt"
        )
    return files


def _files_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it holds no file"
