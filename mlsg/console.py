"""What people see while mlsg works: notes and progress on stderr, results on stdout.

Text that others wrote (names, paths, licences) is never markup, never steers a terminal, and is shown on a stream that
cannot encode it with escapes. rich is imported when something is first drawn, so that `mlsg --help` stays instant.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from mlsg.errors import SettingError, escaped, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.text import Text

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
    """One line for people, on stderr; where stderr cannot be written, the work goes on without a word."""
    with _stderr_may_fail():
        print(shown(text, sys.stderr), file=sys.stderr, flush=True)


def result(text: str) -> None:
    """What the command was asked for, on stdout. Raises SettingError where stdout cannot be written."""
    with writing_stdout():
        print(shown(text, sys.stdout), flush=True)


def shown(text: str, stream: IO[str] | None) -> str:
    """A text of anyone's as this stream can show it; what steers a terminal, or cannot be encoded, is escaped."""
    stream = getattr(stream, "rich_proxied_file", stream)  # what is printed while a bar is shown goes through rich
    encoding = getattr(stream, "encoding", None) or "utf-8"
    safe = printable(text)
    try:
        safe.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if _encodable(each, encoding) else escaped(each) for each in safe)
    return safe


def plain(text: str, console: Console, style: str = "") -> Text:
    """A text of anyone's for a rich console, in which nothing is markup or the name of an emoji."""
    from rich.text import Text

    return Text(shown(text, console.file), style)


@contextlib.contextmanager
def writing_stdout() -> Iterator[None]:
    """Raise SettingError where stdout cannot be written; BrokenPipeError, where its reader left, stays what it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise stdout_failed(error) from None


def stdout_failed(error: OSError) -> SettingError:
    """The error for a stdout that is full or closed."""
    return SettingError(f"stdout cannot be written: {error.strerror}", "send it to another place")


def rows_table(rows: Iterable[tuple[str, str]]) -> None:
    """Two columns, name and value, on stderr."""
    from rich.table import Table

    console = stderr()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell, console) for cell in row))
    with _stderr_may_fail():
        console.print(table)


@contextlib.contextmanager
def progress(description: str, total: int | None, unit: str, *, done: int = 0) -> Iterator[Progress]:
    """Progress with rate and time left on stderr: a live bar on a terminal, else a line every 30 seconds."""
    if not sys.stderr.isatty():
        yield Progress(description, total, unit, done)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    cut = Column(no_wrap=True, overflow="crop")  # the mark of what is cut is a character that not every console has
    parts = (
        TextColumn("{task.description}", markup=False, table_column=cut.copy()),
        BarColumn(bar_width=20),
        MofNCompleteColumn(table_column=cut.copy()),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=cut.copy()),
        TextColumn("{task.fields[fields_text]}", markup=False, table_column=cut.copy()),
    )
    with RichProgress(*parts, console=stderr(), transient=True) as bar:
        yield Progress(shown(description, sys.stderr), total, unit, done, bar)


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


@contextlib.contextmanager
def _stderr_may_fail() -> Iterator[None]:
    """Keep silent from then on where stderr cannot be written: nobody can be told, and the result counts."""
    try:
        yield
    except OSError:
        silence()


def _encodable(character: str, encoding: str) -> bool:
    try:
        return bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False
