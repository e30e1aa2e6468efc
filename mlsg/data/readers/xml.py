"""XML: one element a record.

A column `name` is the text of that child, `name.inner` of a child's child, `@name` an attribute, "" the whole element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mlsg.config.schema import Files
from mlsg.data.readers.packed import BROKEN, byte_blocks
from mlsg.data.readers.text import Row, listed, shortened, text_blocks
from mlsg.errors import DataError


def read_xml(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The records of an XML file, as a stream.

    External entities are never fetched (expat's default). Raises DataError for broken XML, a file without any such
    element, and missing columns.
    """
    path, number, others = paths[0], 0, dict[str, None]()
    try:
        for element in _elements(path, files.encoding):
            if element.tag != files.element:
                others[element.tag] = None
                continue
            number += 1
            where = f"{path}, {files.element} {number}"
            if all(_cell(element, name, where) == value for name, value in files.where.items()):
                yield Row(
                    path, files.element, number, tuple([_cell(element, str(name), where) for name in files.columns])
                )
            element.clear()
    except ElementTree.ParseError as error:
        line, column = error.position
        problem = f"{path}, line {line}, column {column + 1}: not XML ({shortened(error.msg.split(':')[0])})"
        raise DataError(problem, "fix the file, or declare the right reader") from None
    except BROKEN as error:
        problem = f"{path}, after {files.element} {number}: broken file ({error})"
        raise DataError(problem, "fetch the file again") from None
    if not number:
        remedy = (
            "declare element" if files.declared else "name it with --column, or its child as --column element.child"
        )
        raise DataError(f'{path}: no element "{shortened(files.element)}"', f"{remedy}; available: {listed([*others])}")


def _elements(path: Path, encoding: str) -> Iterator[ElementTree.Element]:
    """Every element as it ends; without a declared encoding the file itself says which it has."""
    parser: Any = ElementTree.XMLPullParser()
    for text, fault in text_blocks(path, encoding) if encoding else ((block, "") for block in byte_blocks(path)):
        parser.feed(text)
        yield from (element for _, element in parser.read_events())
        if fault:
            raise DataError(f"{path}{fault.replace(', column {column}', '')}", "fix the file, or declare its encoding")
    parser.close()
    yield from (element for _, element in parser.read_events())


def _cell(element: ElementTree.Element, column: str, where: str) -> str:
    if column.startswith("@"):
        text = element.get(column[1:])
    else:
        # By name: `find` would take the column for a path of its own language.
        children = [child for child in element if child.tag == column] if column else [element]
        first, _, inner = column.partition(".")
        inside = [child for child in element if child.tag == first] if first and inner and not children else []
        if len(inside) == 1:
            return _cell(inside[0], inner, where)
        text = "".join(children[0].itertext()) if len(children) == 1 else None
    if text is None:
        what = "attribute" if column.startswith("@") else "child"
        raise DataError(f'{where}: no {what} "{column.removeprefix("@")}"', "declare the right columns")
    return text
