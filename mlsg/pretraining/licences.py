"""What a folder of text says about licences: the tables of its README.md, told apart by headings that name a file.

A file without a heading of its own gets the repositories (`owner/name`) of the line that names it, with the licences
that the tables state for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_HEADING = re.compile(r"#+\s+`?([\w.]+?)`?\s*$")
_REPOSITORY = re.compile(r"\b[\w.-]+/[\w.-]*\w")
NOT_STATED = "not stated"


def licences(folder: Path, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """File name -> (source, licence as stated), as the folder's README.md has it; nothing where it has nothing."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace").splitlines() if readme.is_file() else []
    stems = {name.partition(".")[0]: name for name in names}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    rows = list(_rows(text))
    for heading, source, licence in rows:
        if heading in stems:
            found[stems[heading]].append((source, licence or NOT_STATED))
    for name in names:
        if not found[name]:
            found[name] = _named(text, name, rows)
    return found


def _rows(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(last heading, source, licence) of every row of a table with these two columns."""
    heading, places = "", (-1, -1)
    for line in lines:
        if match := _HEADING.match(line):
            heading = match[1]
        if not line.startswith("|"):
            places = (-1, -1)
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        titles = [cell.lower() for cell in cells]
        if any(title.startswith("licen") for title in titles) and "source" in titles:
            places = titles.index("source"), next(n for n, title in enumerate(titles) if title.startswith("licen"))
        elif places[0] >= 0 and len(cells) > max(places) and not set(line) <= set("|-: "):
            yield heading, cells[places[0]], cells[places[1]]


def _named(lines: Sequence[str], name: str, rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Repositories of the lines that name a file, each with every licence that a table states for it."""
    found: dict[tuple[str, str], None] = {}
    for repository in (each for line in lines if f"`{name}`" in line for each in _REPOSITORY.findall(line)):
        stated = {licence for _, source, licence in rows if source.startswith(repository)} or {NOT_STATED}
        found.update({(repository, licence): None for licence in sorted(stated)})
    return list(found)
