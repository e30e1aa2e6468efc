"""The user's own files of sentences (`--source`), as a stream.

Kinds: .txt, .jsonl, .csv, .tsv and .parquet; all but the last also .gz, .xz and .zst. A text file holds one sentence a
line; blank lines separate nothing. The others hold it in a column. A csv file is read with quotes (RFC 4180), a tsv
file without, as each is usually meant. Lines end at LF or CRLF only. Whatever is not as it should be is a DataError
that names file, line and column; nothing is guessed and nothing passed over.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.cache.files import sha256_file
from mlsg.data.readers.text import cannot_open, is_packed, raw_lines, text_lines
from mlsg.errors import DataError

_LARGEST_CELL = 1 << 24  # characters; a larger one is a quote that was never closed
_ROWS_AT_ONCE = 4096


def kind_of(path: Path) -> str:
    """Return how a file is read, by its name: `a.CSV.gz` -> "csv".

    Raises DataError for what is not there, is a folder (naming the files in it) or is of no known kind.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", f"name files with --source ({_files_in(path)})")
    if not path.exists():
        raise DataError(f"there is no file {path}", "check the path given with --source")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if is_packed(path) else ""
    kind = suffixes[-1].removeprefix(".") if suffixes else ""
    if kind not in _READERS or (packed and kind == "parquet"):
        known = ", ".join(f".{known}" for known in _READERS)
        raise DataError(f"{path} is of no known kind", f"name it by what it holds: {known}; text also .gz, .xz, .zst")
    return kind


def fingerprint_sources(paths: Sequence[Path], column: str) -> dict[str, str]:
    """Return what can change the sentences of each file, in order: kind, column and sha256. Raises as `kind_of`."""
    kinds = [kind_of(path) for path in paths]
    columns = ["" if kind == "txt" else f"[{column}]" for kind in kinds]
    return {
        f"source {number}": f"{kind}{read} {_sha256(path)}"
        for number, (kind, read, path) in enumerate(zip(kinds, columns, paths, strict=True), start=1)
    }


def stream_sources(paths: Sequence[Path], column: str = "text") -> Iterator[str]:
    """Yield the raw texts of all files in their order, with flat memory.

    Raises DataError for everything that `kind_of` refuses (at once, before any text), a column that is not there, a
    cell that is no text, rows of unequal width, bytes that are no UTF-8, and damaged files.
    """
    for read, path in [(_READERS[kind_of(path)], path) for path in paths]:
        yield from read(path, column)


def _read_lines(path: Path, column: str) -> Iterator[str]:
    for line in text_lines(path):
        if line.strip():
            yield line


def _read_json_lines(path: Path, column: str) -> Iterator[str]:
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            problem = f"{where}: no JSON ({getattr(error, 'msg', 'nested too deep')})"
            raise DataError(problem, "give a .jsonl file with one object a line") from None
        if not isinstance(record, dict):
            raise DataError(f"{where}: no JSON object", "give a .jsonl file with one object a line")
        yield _text(record, column, where)


def _read_csv(path: Path, column: str) -> Iterator[str]:
    csv.field_size_limit(_LARGEST_CELL)
    rows = csv.reader(raw_lines(path), strict=True)
    return _column(_numbered(rows, path), column, path, "quote cells that hold a comma, a quote or a line break")


def _read_tsv(path: Path, column: str) -> Iterator[str]:
    rows = ((number, line.split("\t")) for number, line in enumerate(text_lines(path), start=1))
    return _column(rows, column, path, "a .tsv file is read without quotes: name it .csv if it is comma-separated")


def _read_parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise _no_column(f"{path}", column, names)
            kind = file.schema_arrow.field(column).type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise DataError(f'{path}: column "{column}" holds {kind}', "name a column of text with --column")
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[column], use_threads=False):
                yield from (text or "" for text in batch.column(0).to_pylist())
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable parquet file ({error})", "write or fetch the file again") from None


_READERS: Mapping[str, Callable[[Path, str], Iterator[str]]] = {
    "txt": _read_lines,
    "jsonl": _read_json_lines,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "parquet": _read_parquet,
}


def _numbered(rows: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a csv reader with the line on which each begins."""
    while True:
        line = rows.line_num + 1
        try:
            yield line, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: {error}", "mend the quotes of this row") from None


def _column(rows: Iterable[tuple[int, list[str]]], column: str, path: Path, remedy: str) -> Iterator[str]:
    """Yield one column; the first row that is not blank is the header."""
    header: list[str] = []
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            if header.count(column) != 1:
                raise _no_column(f"{path}, line {line}", column, header)
            index = header.index(column)
            continue
        if len(cells) != len(header):
            problem = f"{path}, line {line}: {len(cells)} columns where the header has {len(header)}"
            raise DataError(problem, f"mend the row; {remedy}")
        yield cells[index]


def _text(record: Mapping[str, Any], column: str, where: str) -> str:
    if column not in record:
        raise _no_column(where, column, list(record))
    value = record[column]
    if value is not None and not isinstance(value, str):
        raise DataError(
            f'{where}: "{column}" holds {json.dumps(value)[:40]}, no text', "name a column of text with --column"
        )
    return value or ""


def _no_column(where: str, column: str, names: Sequence[str]) -> DataError:
    there = ", ".join(f'"{name}"' for name in names) or "none"
    problem = f'{where}: {"two columns" if column in names else "no column"} "{column}"'
    return DataError(problem, f"name one with --column; there are: {there}")


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise cannot_open(path, error) from None


def _files_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it holds no file"
