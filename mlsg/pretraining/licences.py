"""What a folder of text says about licences: the tables of its README.md, told apart by headings that name a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_HEADING = re.compile(r"#+\s+`?([\w.]+?)`?\s*$")
NOT_STATED = "not stated"


def licences(folder: Path, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """File name -> (source, licence as stated), as the folder's README.md has it; nothing where it has nothing."""
    stems = {name.partition(".")[0]: name for name in names}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for heading, source, licence in _rows(folder / "README.md"):
        if heading in stems:
            found[stems[heading]].append((source, licence or NOT_STATED))
    return found


def _rows(readme: Path) -> Iterator[tuple[str, str, str]]:
    """(last heading, source, licence) of every row of a table with these two columns."""
    if not readme.is_file():
        return
    heading, places = "", (-1, -1)
    for line in readme.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _HEADING.match(line):
            heading, places = match[1], (-1, -1)
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        titles = [cell.lower() for cell in cells]
        if any(title.startswith("licen") for title in titles) and "source" in titles:
            places = titles.index("source"), next(n for n, title in enumerate(titles) if title.startswith("licen"))
        elif places[0] >= 0 and len(cells) > max(places) and not set(line) <= set("|-: "):
            yield heading, cells[places[0]], cells[places[1]]
