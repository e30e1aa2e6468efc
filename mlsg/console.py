"""What people see while mlsg works: notes, tables and progress on stderr, results on stdout.

rich is imported when something is first drawn, so that `mlsg --help` stays instant.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

_PIPE_WIDTH = 240  # columns where the output is not a terminal: wide enough that no table wraps


def stderr() -> Console:
    """A rich console on stderr, made anew so that redirected streams are honoured."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else _PIPE_WIDTH)


def stdout() -> Console:
    """A rich console on stdout."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def silence_all_but_first() -> None:
    """One error line on stderr is enough where a launcher runs the same command many times: one for each host."""
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("LOCAL_RANK", "0") != "0":
        silence()


def silence() -> None:
    """Show nothing that this process writes on `sys.stderr`."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends


def note(text: str) -> None:
    """One line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """What the command was asked for, on stdout."""
    print(text, flush=True)


def rows_table(rows: Iterable[tuple[str, str]]) -> None:
    """Two columns, name and value, on stderr."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    stderr().print(table)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """A table on stdout; columns named in `numbers` are set flush right."""
    from rich import box
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        drawn.add_column(column, justify="right" if column in numbers else "left")
    for row in rows:
        drawn.add_row(*row)
    stdout().print(drawn)


@contextlib.contextmanager
def progress(description: str, total: int | None, unit: str, *, done: int = 0) -> Iterator[Progress]:
    """Progress with rate and time left on stderr: a live bar on a terminal, else a line every 30 seconds."""
    if not sys.stderr.isatty():
        yield Progress(description, total, unit, done)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    parts = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    texts = (TimeRemainingColumn(elapsed_when_finished=True), TextColumn("{task.fields[fields_text]}"))
    with RichProgress(*parts, *texts, console=stderr(), transient=True) as bar:
        yield Progress(description, total, unit, done, bar)


class Progress:
    """What a running job reports to: drawn by `bar`, or a line now and then."""

    def __init__(
        self, description: str, total: int | None, unit: str, done: int, bar: RichProgress | None = None
    ) -> None:
        self._description, self._total, self._unit, self._bar = description, total, unit, bar
        self._task = bar.add_task(description, total=total, completed=done, fields_text="") if bar else None
        self._done = self._start = done
        self._began = self._printed = time.monotonic()
        self._fields: dict[str, object] = {}

    def advance(self, units: int = 1, **fields: object) -> None:
        """Count `units` more, and show the fields: `advance(16, loss="0.31")`."""
        self._done += units
        self._fields |= fields
        now = time.monotonic()
        rate = (self._done - self._start) / max(now - self._began, 1e-9)
        shown = [f"{name} {value}" for name, value in self._fields.items()]
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=units, fields_text="  ".join([f"{rate:.0f} {self._unit}/s", *shown]))
        elif now - self._printed >= 30:
            self._printed = now
            counted = f"{self._done}/{self._total}" if self._total else str(self._done)
            left = [f"{(self._total - self._done) / rate:.0f} s left"] if self._total and rate else []
            parts = [f"{counted} {self._unit}", f"{rate:.1f} {self._unit}/s", *left, *shown]
            note(f"{self._description}: {', '.join(parts)}")
