"""Lines of text out of a file, plain or packed, without holding the file in memory; and what readers share.

Lines end at LF or CRLF only: U+2028, U+0085 and a lone CR are ordinary characters in sentences, and `str.splitlines`
would break pairs there. In a text without any LF (of its first 64 MiB) they end at CR. The encoding is the declared
one, else what a BOM at the start says, else UTF-8; the BOM is dropped. What cannot be opened or decoded, holds NUL or a
line without end, or is damaged raises DataError that names file, line and column.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mlsg.data.readers.packed import BLOCK as _BLOCK
from mlsg.data.readers.packed import BROKEN, byte_blocks
from mlsg.errors import DataError

_BOM = "\ufeff"
_BOMS = (  # that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_FILES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}  # text encodings, not of files
_LONGEST_LINE = 1 << 26  # characters; a longer one is a file of another kind, and would fill the memory
_SHOWN_NAMES, _SHOWN_LETTERS = 12, 40


class Row(NamedTuple):
    """One record, which is the `number`-th `unit` ("line", "object", "pair") of its file; its declared columns."""

    path: Path | str
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
    if f'"{column}"' in names:
        remedy = f"its name is there in quotes: {take_quotes(declared)}"
    return DataError(problem, f"{remedy}; available: {listed(names)}")


def listed(names: Sequence[str]) -> str:
    """The first names, each in quotes, as far as they fit a line of an error message."""
    shown = [f'"{shortened(name)}"' for name in names[:_SHOWN_NAMES]]
    more = [f"{len(names) - _SHOWN_NAMES} more"] if len(names) > _SHOWN_NAMES else []
    return ", ".join([*shown, *more]) or "none"


def shortened(text: str) -> str:
    """The text, or its beginning and three full stops."""
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


def take_quotes(declared: bool) -> str:
    """The remedy where a file is read without quotes and has them."""
    return "declare quoted = true" if declared else "give --quoted"


def is_text_encoding(encoding: str) -> bool:
    """Whether Python knows it as an encoding of texts ("rot13", "hex" and their kind are none)."""
    try:
        "a".encode(encoding)
        return codecs.lookup(encoding).name not in _NO_FILES
    except (LookupError, ValueError):
        return False


def text_lines(path: Path, encoding: str = "") -> Iterator[str]:
    """Lines without their endings (LF or CRLF; CR in a text without LF)."""
    return chain.from_iterable([line.removesuffix("\r") for line in lines] for lines, _ in _line_blocks(path, encoding))


def raw_lines(path: Path, encoding: str = "") -> Iterator[str]:
    """Lines with their endings, as the csv module wants them; the last one has an end too."""
    return chain.from_iterable([line + end for line in lines] for lines, end in _line_blocks(path, encoding))


def text_blocks(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with "" or, in the last one, with what is wrong with the character after it.

    Raises DataError for an encoding that is none, and as `byte_blocks` does.
    """
    if encoding and not is_text_encoding(encoding):
        raise DataError(f'{path}: unknown encoding "{shortened(encoding)}"', "declare one of text that Python knows")
    blocks, head = byte_blocks(path, _BLOCK), b""
    while len(head) < 4 and (data := next(blocks, b"")):
        head += data
    codec = codecs.lookup(encoding or next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8"))
    decoder = codecs.getincrementaldecoder(codec.name)()
    for data in chain((head,), blocks, (b"",)):
        before, fault = decoder.getstate(), ""
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeError:
            decoder.setstate(before)
            text, fault = _until_fault(decoder, data, codec.name)
        if b"\0" in data and "\0" in text:
            text, fault = text[: text.index("\0")], ": NUL byte, so this is a binary file or UTF-16 without a BOM"
        yield text.removeprefix(_BOM) if data is head else text, fault
        if fault:
            return


def _until_fault(decoder: codecs.IncrementalDecoder, data: bytes, codec: str) -> tuple[str, str]:
    """What can be decoded, one byte after the other; and what the byte is that cannot."""
    text, wrong = "", "what follows"
    try:
        for number in range(len(data)):
            text += decoder.decode(data[number : number + 1])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{error.object[error.start]:02x}"
    except UnicodeError as error:  # of UTF-16 and UTF-32 without a BOM
        return text, f": {error}, so that the order of its bytes is not known"
    return text, f", column {{column}}: {wrong} is not {codec.upper()}"


def _line_blocks(path: Path, encoding: str) -> Iterator[tuple[list[str], str]]:
    """Lines without their ends, some thousand at a time, and the end; lines before a bad one come before its error."""
    number, started, size = 0, list[str](), 0
    try:
        blocks = text_blocks(path, encoding)
        end, head = _line_end(blocks)
        for text, fault in chain(head, blocks):
            *lines, last = text.split(end)
            if lines:
                lines[0] = "".join((*started, lines[0]))
                started, size = [], 0
                if len(lines[0]) > _LONGEST_LINE:
                    raise _too_long(path, number)
                yield lines, end
                number += len(lines)
            started.append(last)
            size += len(last)
            if size > _LONGEST_LINE:
                raise _too_long(path, number)
            if fault:
                problem = f"{path}, line {number + 1}{fault.format(column=size + 1)}"
                raise DataError(
                    problem, "give a text file in UTF-8, or say its encoding (UTF-16: utf-16-le, utf-16-be)"
                )
        if size:
            yield ["".join(started)], end
    except BROKEN as error:
        raise DataError(f"{path}, after line {number}: broken file ({error})", "fetch the file again") from None


def _line_end(blocks: Iterator[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """LF, or CR where there is no LF; and the blocks that were read to know it."""
    head, size = list[tuple[str, str]](), 0
    for text, fault in blocks:
        head.append((text, fault))
        size += len(text)
        if "\n" in text or size > _LONGEST_LINE:
            break
    texts = [text for text, _ in head]
    return "\r" if any("\r" in text for text in texts) and not any("\n" in text for text in texts) else "\n", head


def _too_long(path: Path, number: int) -> DataError:
    problem = f"{path}, line {number + 1}: longer than {_LONGEST_LINE >> 20} MiB"
    return DataError(problem, "give a file with one sentence or record a line")
