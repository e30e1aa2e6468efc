"""Text of anyone's on consoles of any encoding and any width: printable, one line, never markup."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from fcntl import ioctl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mlsg import console
from mlsg.errors import DataError, listed, one_line, shortened
from mlsg.report.drawing import Grid, print_grids
from mlsg.report.tables import markdown
from tests.command import environment

ENCODINGS = ("utf-8", "ascii", "cp1252", "latin-1")
HOSTILE = (
    "\x1b[2J\x1b[31mred", "\x9b31m", "a\rb", "\x07", "\x7f", "\u202eevil\u202c", "\u2066x\u2069", "\u2028", "\x85",
    "[/LICENSE]", "[v2]", "[bold]x[/]", ":bug:", "modèle-日本", "😀", "\ud800", "{task.description}", "%s", "\x00",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(st.sampled_from("\x1b\u202e[]/:日é\n ")))


def is_one_printable_line(text: str) -> bool:
    kinds = {unicodedata.category(each) for each in text}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not set(text) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def stream(encoding: str) -> io.TextIOWrapper:
    """A strict one: what it cannot encode is an error."""
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")


def written(to: io.TextIOWrapper) -> str:
    to.flush()
    return to.buffer.getvalue().decode(to.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(problem=TEXTS, remedy=TEXTS)
def test_any_error_is_one_printable_line_on_any_console(encoding: str, problem: str, remedy: str) -> None:
    to = stream(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", to)
        console.note(f"error: {DataError(problem, remedy)}")
    line, end, rest = written(to).partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("error: ")
    assert is_one_printable_line(line)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(name=TEXTS, licence=TEXTS)
def test_tables_show_names_and_licences_as_written_on_any_console(encoding: str, name: str, licence: str) -> None:
    for width in (40, 240):
        to = stream(encoding)
        grid = Grid(
            f"{name}: table", ("set", "licence", "flags"), ((name, licence, "TM"),), (), folding=("set", "licence")
        )
        print_grids(Console(file=to, width=width), [grid], [f"Skipped {name}: {licence}"])
        text = written(to)
        assert all(is_one_printable_line(line) for line in text.split("\n"))
        assert "TM" in text
    plain = name.strip()
    if plain.isascii() and plain.isprintable() and len(plain) < 40:
        assert plain in text


@given(name=TEXTS)
def test_rows_on_stderr_and_json_on_stdout_keep_their_meaning(name: str) -> None:
    for encoding in ENCODINGS:
        err, out = stream(encoding), stream(encoding)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdout", out)
            console.rows_table([("licence", name), (name, "value")])
            console.result(json.dumps({"name": name}, ensure_ascii=False))
        assert all(is_one_printable_line(line) for line in written(err).split("\n"))
        assert json.loads(written(out)) == {"name": name}


@given(name=TEXTS)
def test_markdown_holds_no_control_characters(name: str) -> None:
    text = markdown([Grid(name, ("set",), ((name,),), ())], [name])
    assert all(is_one_printable_line(line.replace("\t", " ")) for line in text.split("\n"))


@pytest.mark.parametrize("text", ["[/x]", "[v2]", "[bold]x[/bold]", ":bug:", "[link=file:///etc/passwd]x[/link]"])
def test_what_looks_like_markup_is_shown_as_written(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.rows_table([("folder", f"x {text} y")])
    print_grids(console.stdout(), [Grid(text, ("set", "licence"), ((text, text),), ())], [text])
    shown = capsys.readouterr()
    assert shown.err.count(f"x {text} y") == 1
    assert shown.out.count(text) == 4


def test_messages_are_bounded() -> None:
    assert listed(["a", "b", "c", *map(str, range(97))], most=3) == "a, b, c and 97 more"
    assert listed(["a", "b"], most=3) == "a, b"
    assert shortened("x" * 40 + "y" * 40, 13) == "xxxxx...yyyyy"
    assert len(one_line("word " * 100_000)) < 1000
    assert len(str(DataError("\x1b" * 400_000, "r" * 400_000))) < 10_000


@pytest.mark.parametrize("columns", ["25", "40", "120"])
def test_a_progress_bar_shows_a_name_as_written(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    to = stream("ascii")
    monkeypatch.setattr(to, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", to)
    monkeypatch.setenv("TERM", "xterm")
    with console.progress("encode with [/x] modèle", 10, "sentences") as bar:
        bar.advance(3, loss="[/y]")
        console.note("日本")
    assert "\\u65e5\\u672c" in written(to)
    assert columns != "120" or "[/x] mod\\u00e8le" in written(to)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100])
def test_a_terminal_of_any_width_shows_flags_and_scores(columns: int) -> None:
    """Of a real terminal: the flags are on the row, no line is longer than it is wide."""
    code = (
        "from mlsg import console; from tests.report.written_scores import written_scores;"
        "from mlsg.report.tables import grids; from mlsg.report.drawing import print_grids;"
        "print_grids(console.stdout(), grids(written_scores()))"
    )
    mine, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = environment(COLUMNS=None, TERM="xterm")
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=env, cwd=Path(__file__).parents[1]) as shown:
        os.close(theirs)
        text = _read(mine)
    assert shown.returncode == 0
    lines = re.sub(r"\x1b\[[\d;]*m|\r", "", text).split("\n")
    rows = [line.split() for line in lines if line.lstrip().startswith("tr ")]
    assert any("TM" in row for row in rows), text
    assert any("40.0" in line for line in lines) and any("[32.0," in line for line in lines)
    if columns >= 40:
        assert max(map(len, lines)) <= columns


def _read(descriptor: int) -> str:
    found = b""
    try:
        while part := os.read(descriptor, 65536):
            found += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(descriptor)
    return found.decode()
