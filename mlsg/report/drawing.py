"""Tables on a terminal of any width: drawn by rich where they fit, else a line or two for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlsg import console as streams

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NARROWEST = 8  # columns of a cell that is folded over several lines
_FLAGS = "flags"


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, one name a column, cells. On a narrow terminal the cells of `folding` columns fold."""

    title: str
    columns: tuple[str, ...]  # a line break may stand in a heading
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...]
    last_apart: bool = False
    folding: tuple[str, ...] = ("set",)


def print_grids(console: Console, found: Sequence[Grid], lines: Sequence[str] = ()) -> None:
    """Draw tables and the lines below them on a rich console. Raises SettingError where stdout cannot be written."""
    with streams.writing_stdout():
        for grid in found:
            if _fits(grid, console.width):
                console.print(_drawn(grid, console), soft_wrap=False)
            else:
                _print_narrow(grid, console)
        for line in lines:
            console.print(streams.plain(line, console, "dim"), soft_wrap=True)


def _fits(grid: Grid, width: int) -> bool:
    widths = [
        min(_widest(grid, each), _NARROWEST) if each in grid.folding else _widest(grid, each) for each in grid.columns
    ]
    return sum(widths) + len(widths) + 1 <= width


def _widest(grid: Grid, column: str, *, one_line: bool = False) -> int:
    place = grid.columns.index(column)
    heading = [column.replace("\n", " ")] if one_line else column.split("\n")
    return max(len(text) for text in (*heading, *(row[place] for row in grid.rows)))


def _drawn(grid: Grid, console: Console) -> Table:
    from rich import box
    from rich.table import Table

    title = streams.plain(grid.title, console, "bold")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for column in grid.columns:
        table.add_column(
            streams.plain(column, console),
            justify="right" if column in grid.numbers else "left",
            overflow="fold",
            min_width=None if column in grid.folding else _widest(grid, column),
        )
    for place, row in enumerate(grid.rows):
        if grid.last_apart and place == len(grid.rows) - 1:
            table.add_section()
        table.add_row(*(streams.plain(cell, console) for cell in row))
    return table


def _print_narrow(grid: Grid, console: Console) -> None:
    """A line for each row with its first cell, its flags and what else has room; below it the other cells, named."""
    from rich.padding import Padding

    first = [grid.columns[0], *(each for each in grid.columns if each == _FLAGS)]
    used = sum(_widest(grid, each, one_line=True) + 1 for each in first)
    for column in grid.columns[1:]:
        if column in grid.folding or column in first:
            continue
        used += _widest(grid, column, one_line=True) + 1
        if used > console.width + 1:
            break
        first.append(column)
    console.print(streams.plain(grid.title, console, "bold"))
    for cells in (tuple(column.replace("\n", " ") for column in grid.columns), *grid.rows):
        named = dict(zip(grid.columns, cells, strict=True))
        line = [_aligned(grid, column, named[column]) for column in first]
        console.print(streams.plain(" ".join(line).rstrip(), console))
        if cells in grid.rows:
            others = ", ".join(f"{column} {cell}" for column, cell in named.items() if column not in first and cell)
            console.print(Padding(streams.plain(others.replace("\n", " "), console, "dim"), (0, 0, 0, 2)))


def _aligned(grid: Grid, column: str, cell: str) -> str:
    width = _widest(grid, column, one_line=True)
    return cell.rjust(width) if column in grid.numbers else cell.ljust(width)
