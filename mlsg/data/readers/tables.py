"""Tables of pyarrow: parquet, and Arrow files (feather) and streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlsg.config.schema import Files
from mlsg.data.readers.packed import BROKEN, unpacked_file
from mlsg.data.readers.records import give_text, rows_of
from mlsg.data.readers.text import Row, wrong_column
from mlsg.errors import DataError

_ROWS_AT_ONCE = 4096


def read_parquet(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The rows of a parquet file, some thousand at a time.

    Raises DataError for a missing column, a column of --source that is not text, and a damaged file.
    """
    from pyarrow import parquet

    options = {"pre_buffer": False, "page_checksum_verification": True}
    with _readable(paths[0], "parquet") as plain, parquet.ParquetFile(plain, **options) as file:
        columns = _columns(file.schema_arrow, files, paths[0])
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False)
        yield from _rows(_all_rows(batches, file.metadata.num_rows), files, paths[0])


def read_arrow(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The rows of an Arrow file or stream, some thousand at a time. Raises DataError as `read_parquet` does."""
    from pyarrow import OSFile, ipc

    with _readable(paths[0], "Arrow") as plain, OSFile(str(plain)) as file:
        framed = file.read(6) == b"ARROW1"
        file.seek(0)
        table = ipc.open_file(file) if framed else ipc.open_stream(file)
        columns = _columns(table.schema, files, paths[0])
        batches = map(table.get_batch, range(table.num_record_batches)) if framed else _whole_stream(table, file)
        yield from _rows(_parts(batch.select(columns) for batch in batches), files, paths[0])


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[Path]:
    """The file, unpacked; what pyarrow raises of it becomes one line."""
    from pyarrow import ArrowException

    try:
        with unpacked_file(path) as plain:
            yield plain
    except (ArrowException, UnicodeDecodeError, OverflowError, *BROKEN) as error:
        problem = f"{path}: not a readable {kind} file ({str(error)[:200]})"
        raise DataError(problem, "write or fetch the file again") from None


def _columns(schema: Any, files: Files, path: Path) -> list[str]:
    """The table's own columns that are read: `a.b` -> `a`. Raises DataError for a wrong one."""
    from pyarrow import types

    named = [*map(str, files.columns), *files.where]
    own = [column if column in schema.names else column.split(".")[0] for column in named]
    for column, top in zip(named, own, strict=True):
        if schema.names.count(top) != 1:
            raise wrong_column(str(path), column, schema.names, files.declared)
        kind = schema.field(top).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
        if not files.declared and top == column and not any(is_text(kind) for is_text in texts):
            raise DataError(f'{path}: column "{column}" holds {str(kind)[:40]}', give_text(files.declared))
    return list(dict.fromkeys(own))


def _rows(batches: Iterator[Any], files: Files, path: Path) -> Iterator[Row]:
    records = (record for batch in batches for record in batch.to_pylist())
    yield from rows_of(enumerate(records, start=1), files, path, "row")


def _all_rows(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """The batches, if they hold as many rows as the file says: pyarrow takes a damaged page for the last one."""
    for batch in batches:
        rows -= len(batch)
        yield batch
    if rows:
        raise EOFError(f"{abs(rows):,} rows {'are missing' if rows > 0 else 'too many'}")


def _parts(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches in parts of some thousand rows; a damaged one would be read beyond its end."""
    for batch in batches:
        batch.validate(full=True)
        yield from (batch.slice(first, _ROWS_AT_ONCE) for first in range(0, len(batch), _ROWS_AT_ONCE))


def _whole_stream(table: Any, file: Any) -> Iterator[Any]:
    """The batches of a stream up to its end mark, which is missing where it was cut off between two batches."""
    place = file.tell()
    for batch in table:
        yield batch
        place = file.tell()
    if file.tell() == place or file.read(1):
        raise EOFError("it does not end with the mark of its end")
