"""Lines of text out of a file, plain or .gz, .xz or .zst, without holding the file in memory: the one place for it.

Lines end at LF or CRLF only: U+2028, U+0085 and a lone CR are ordinary characters in sentences, and `str.splitlines`
would break pairs there. A BOM at the start is dropped. What cannot be opened, is no UTF-8 (or not of the declared
encoding), holds NUL bytes or a line without end, or is damaged raises DataError that names file, line and column.
"""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from mlsg.config.schema import PACKED, Files
from mlsg.data.readers.row import Row
from mlsg.errors import DataError

BROKEN = (lzma.LZMAError, EOFError, zlib.error, OSError)
"""What a damaged file raises while it is read."""

_BOM = "\ufeff"
_BLOCK = 1 << 17  # bytes read at once: lines are decoded together, which is several times as fast as one by one
_LONGEST_LINE = 1 << 26  # bytes; a longer one is a file of another kind, and would fill the memory


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


def is_packed(path: Path) -> bool:
    """Whether `open_bytes` unpacks it."""
    return path.suffix.lower() in PACKED


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines without their endings (LF or CRLF)."""
    for lines in _line_blocks(path, encoding):
        for line in lines:
            yield line.removesuffix("\r")


def raw_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines with their endings, as the csv module wants them; the last one has an end too."""
    for lines in _line_blocks(path, encoding):
        for line in lines:
            yield f"{line}\n"


def read_lines(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """One sentence or document a line; blank lines are left out."""
    for number, line in enumerate(text_lines(paths[0], files.encoding), start=1):
        if line.strip():
            yield Row(paths[0], f"line {number}", (line,))


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
                lines, fault = _decode(block, codec)
                if lines and not number:
                    lines[0] = lines[0].removeprefix(_BOM)
                yield lines
                number += len(lines)
                if fault:
                    raise DataError(f"{path}, line {number + 1}{fault[0]}", fault[1])
        except BROKEN as error:
            raise DataError(f"{path}, after line {number}: broken file ({error})", "fetch the file again") from None


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines; a line that is too long comes alone, as far as it was read, and is the last."""
    begun: list[bytes] = []
    size = 0
    while size <= _LONGEST_LINE and (data := file.read(_BLOCK)):
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join((*begun, data[:end]))
            begun, size = [], 0
        begun.append(data[end:])
        size += len(data) - end
    if size:
        yield b"".join(begun)


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
            wrong = f", column {column}: byte 0x{data[error.start]:02x} is no {codec.upper()}"
            return lines, (wrong, "give a text file in UTF-8, or declare its encoding")
    return lines, None
