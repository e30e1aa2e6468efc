"""XML: one element a record. A column `name` is the text of that child, `@name` an attribute of the element itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from mlsg.config.schema import Files
from mlsg.data.readers.text import BROKEN, Row, open_bytes
from mlsg.errors import DataError


def read_xml(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The records of an XML file, as a stream.

    External entities are never fetched (expat's default). Raises DataError for broken XML and missing columns.
    """
    path, number = paths[0], 0
    with open_bytes(path) as file:
        try:
            for _, element in ElementTree.iterparse(file):
                if element.tag != files.element:
                    continue
                number += 1
                where = f"{path}, {files.element} {number}"
                if all(_cell(element, name, where) == value for name, value in files.where.items()):
                    cells = tuple([_cell(element, str(column), where) for column in files.columns])
                    yield Row(path, files.element, number, cells)
                element.clear()
        except ElementTree.ParseError as error:
            line, column = error.position
            problem = f"{path}, line {line}, column {column + 1}: not XML ({error.msg.split(':')[0]})"
            raise DataError(problem, "fix the file, or declare the right reader") from None
        except BROKEN as error:
            problem = f"{path}, after {files.element} {number}: broken file ({error})"
            raise DataError(problem, "fetch the file again") from None


def _cell(element: ElementTree.Element, column: str, where: str) -> str:
    if column.startswith("@"):
        text = element.get(column[1:])
    else:
        child = element.find(column)
        text = None if child is None else "".join(child.itertext())
    if text is None:
        what = "attribute" if column.startswith("@") else "child"
        raise DataError(f'{where}: no {what} "{column.removeprefix("@")}"', "declare the right columns")
    return text
