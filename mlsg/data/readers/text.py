"""Lines of text out of a file, plain or .gz, .xz or .zst, without holding the file in memory; and what readers share.

Lines end at LF or CRLF only: U+2028, U+0085 and a lone CR are ordinary characters in sentences, and `str.splitlines`
would break pairs there. A BOM at the start is dropped. What cannot be opened, is not UTF-8 (or of the declared
encoding), holds NUL bytes or a line without end, or is damaged raises DataError that names file, line and column.
"""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, cast

from mlsg.errors import DataError

BROKEN = (lzma.LZMAError, EOFError, zlib.error, OSError)  # what a damaged file raises while it is read

_BOM = "\ufeff"
_BLOCK = 1 << 17  # bytes read at once: lines are decoded together, which is several times as fast as one by one
_LONGEST_LINE = 1 << 26  # bytes; a longer one is a file of another kind, and would fill the memory


class Row(NamedTuple):
    """One record, which is the `number`-th `unit` ("line", "object", "pair") of its file; its declared columns."""

    path: Path
    unit: str
    number: int
    cells: tuple[str, ...]

    @property
    def where(self) -> str:
        """For error messages: "pairs.tsv, line 12"."""
        return f"{self.path}, {self.unit} {self.number}"


def wrong_column(where: str, column: str | int, names: Sequence[str], declared: bool) -> DataError:
    """The error for a column that is not among the names, or is there twice."""
    problem = f'{where}: {"more than one" if column in names else "no"} column "{column}"'
    remedy = "declare the right columns" if declared else "name one with --column"
    available = ", ".join(f'"{name}"' for name in names) or "none"
    return DataError(problem, f"{remedy}; available: {available}")


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked when its name ends in .gz, .xz or .zst. Raises DataError when it cannot be opened."""
    try:
        match path.suffix.lower():
            case ".gz":
                return cast("IO[bytes]", gzip.open(path, "rb"))
            case ".xz":
                return lzma.open(path, "rb")
            case ".zst":
                # pyarrow, not the zstandard package, which takes a file that was cut off for one that ends there.
                import pyarrow

                return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
            case _:
                return path.open("rb")
    except OSError as error:
        raise cannot_open(path, error) from None


def cannot_open(path: Path, error: OSError) -> DataError:
    """The error for a file that cannot be opened."""
    return DataError(f"{path} cannot be opened: {error.strerror or error}", "check the path and its permissions")


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines without their endings (LF or CRLF)."""
    return chain.from_iterable([line.removesuffix("\r") for line in lines] for lines in _line_blocks(path, encoding))


def raw_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines with their endings, as the csv module wants them; the last one has an end too."""
    return (f"{line}\n" for line in chain.from_iterable(_line_blocks(path, encoding)))


def _line_blocks(path: Path, encoding: str) -> Iterator[list[str]]:
    """Lines without LF, some thousand at a time; what precedes a bad line is yielded before it raises."""
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(f'{path}: unknown encoding "{encoding}"', "declare one that Python knows") from None
    number = 0
    with open_bytes(path) as file:
        try:
            for block in _blocks(file):
                lines, error_in_line = _decode(block, codec)
                if lines and not number:
                    lines[0] = lines[0].removeprefix(_BOM)
                yield lines
                number += len(lines)
                if error_in_line:
                    raise DataError(f"{path}, line {number + 1}{error_in_line[0]}", error_in_line[1])
        except BROKEN as error:
            raise DataError(f"{path}, after line {number}: broken file ({error})", "fetch the file again") from None


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines; a line that is too long comes alone, as far as it was read, and is the last."""
    started: list[bytes] = []
    size = 0
    while size <= _LONGEST_LINE and (data := file.read(_BLOCK)):
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join((*started, data[:end]))
            started, size = [], 0
        started.append(data[end:])
        size += len(data) - end
    if size:
        yield b"".join(started)


def _decode(block: bytes, codec: str) -> tuple[list[str], tuple[str, str] | None]:
    """Lines up to the first that is bad, and what is wrong with that: where in the line and what, and the remedy."""
    if codec == "utf-8" and len(block) <= _LONGEST_LINE and b"\0" not in block:
        try:
            return block.decode().removesuffix("\n").split("\n"), None
        except UnicodeDecodeError:
            pass  # one by one, to say which
    lines: list[str] = []
    for data in block.removesuffix(b"\n").split(b"\n"):
        if len(data) > _LONGEST_LINE:
            return lines, (f": longer than {_LONGEST_LINE >> 20} MiB", "give a file with one sentence or record a line")
        if b"\0" in data:
            return lines, (": NUL byte, so this is a binary file or UTF-16", "give a text file in UTF-8")
        try:
            lines.append(data.decode(codec))
        except UnicodeDecodeError as error:
            column = len(data[: error.start].decode(codec, "replace")) + 1
            wrong = f", column {column}: byte 0x{data[error.start]:02x} is not {codec.upper()}"
            return lines, (wrong, "give a text file in UTF-8, or declare its encoding")
    return lines, None
