"""XML: one element a record. A column `name` is the text of that child, `@name` an attribute of the element itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from mlsg.config.schema import Files
from mlsg.data.readers.row import Row
from mlsg.data.readers.text import BROKEN, open_bytes
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
                place = f"{files.element} {number}"
                if all(_cell(element, name, path, place) == value for name, value in files.where.items()):
                    yield Row(path, place, tuple(_cell(element, str(column), path, place) for column in files.columns))
                element.clear()
        except ElementTree.ParseError as error:
            line, column = error.position
            problem = f"{path}, line {line}, column {column + 1}: no XML ({error.msg.split(':')[0]})"
            raise DataError(problem, "mend the file, or declare the right reader") from None
        except BROKEN as error:
            problem = f"{path}, after {files.element} {number}: broken file ({error})"
            raise DataError(problem, "fetch the file again") from None


def _cell(element: ElementTree.Element, column: str, path: Path, place: str) -> str:
    if column.startswith("@"):
        text = element.get(column[1:])
    else:
        child = element.find(column)
        text = None if child is None else "".join(child.itertext())
    if text is None:
        what = "attribute" if column.startswith("@") else "child"
        raise DataError(f'{path}, {place}: no {what} "{column.removeprefix("@")}"', "declare the right columns")
    return text
