"""The user's own files of sentences (`--source`), as a stream.

Kinds: .txt, .csv, .tsv, .json, .jsonl and .parquet; all but the last also .gz, .xz and .zst. A text file holds one
sentence a line; blank lines are left out. The others hold it in a column. A csv file is read with quotes (RFC 4180), a
tsv file without, as each is usually meant. The readers are those of declared files, but stricter: every row is as wide
as the header and every cell is text, or the error names file, line and column; nothing is guessed or skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from mlsg.cache.files import sha256_file
from mlsg.config.schema import BY_SUFFIX, Files, suffix_of
from mlsg.data.readers import read_texts
from mlsg.data.readers.text import cannot_open
from mlsg.errors import DataError

_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class SourceFile(Files):
    """How one file of --source is read."""

    declared: ClassVar[bool] = False


def source_file(path: Path, column: str) -> SourceFile:
    """How a file is read, by its name: `a.CSV.gz` -> comma-separated and quoted, with a header.

    Raises DataError for a path that does not exist, is a folder (naming the files in it) or is of an unknown kind.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", f"name files with --source ({_files_in(path)})")
    if not path.exists():
        raise DataError(f"{path} does not exist", "check the path given with --source")
    suffix = suffix_of(path.name)
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise DataError(f"{path} is of an unknown kind", f"name it by what it holds: {known}; text also .gz, .xz, .zst")
    options = {**BY_SUFFIX[suffix], **({"reader": "lines"} if suffix == ".txt" else {})}
    return SourceFile(paths=(str(path),), columns=(column,), **options)


def fingerprint_sources(paths: Sequence[Path], column: str) -> dict[str, str]:
    """Return what can change the sentences of each file, in order: kind, column and sha256. Raises as `source_file`."""
    files = [source_file(path, column) for path in paths]
    kinds = [suffix_of(path.name).removeprefix(".") for path in paths]
    columns = ["" if file.reader == "lines" else f"[{column}]" for file in files]
    return {
        f"source {number}": f"{kind}{read} {_sha256(path)}"
        for number, (kind, read, path) in enumerate(zip(kinds, columns, paths, strict=True), start=1)
    }


def stream_sources(paths: Sequence[Path], column: str = "text") -> Iterator[str]:
    """Yield the raw texts of all files in their order, with flat memory (a .json file is held as a whole).

    Raises DataError for everything that `source_file` refuses (at once, before any text), a missing column, a cell that
    is not text, rows of unequal width, bytes that are not UTF-8, and damaged files.
    """
    files = [source_file(path, column) for path in paths]
    return chain.from_iterable(read_texts([path], file) for path, file in zip(paths, files, strict=True))


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise cannot_open(path, error) from None


def _files_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it holds no file"
