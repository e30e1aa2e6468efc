"""The one exception family of mlsg, and the exit code of each member; anything else that escapes is a bug in mlsg."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

_LONGEST_PART = 800  # characters of a problem or a remedy; paths and names are far below it
_LONGEST_LIST = 60  # names that a message lists: more than there are languages
# C0 but TAB and line feed, DEL and C1, marks of direction, line separators, overrides, isolates, halves of characters
_STEERING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{_STEERING}]")


class MlsgError(Exception):
    """What the user can cause and fix: `problem` says what is wrong and where, `remedy` what to do, in one line."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = one_line(problem)
        self.remedy = one_line(remedy)

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


class SettingError(MlsgError):
    """The command line, a recipe or a setting is wrong."""

    exit_code = 2


class DataError(MlsgError):
    """A file of sentences or pairs cannot be read or used."""

    exit_code = 3


class ModelError(MlsgError):
    """A model cannot be read or used."""

    exit_code = 3


class HubUnreachableError(MlsgError):
    """The hub, or one thing on it, is out of reach."""

    exit_code = 4


class DivergedError(MlsgError):
    """Training reached NaN or collapsed."""

    exit_code = 5


class ProcessLostError(MlsgError):
    """A process of a training has died or cannot be reached."""


RESUME = "run the same command again; it goes on from the last checkpoint"  # the remedy where a process is lost


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, or list them: `nearest("trian", ["train"])` -> `did you mean "train"?`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {listed(names)}" if names else "there are none"


def listed(names: Sequence[str], most: int = _LONGEST_LIST) -> str:
    """A list of bounded length: `listed(["a", "b", "c", "d"], most=2)` -> `a, b and 2 more`."""
    shown = ", ".join(shortened(name, 80) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters, cut in the middle: `shortened("abcdefghij", 7)` -> `ab...ij`."""
    half = max((most - 3) // 2, 1)
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def one_line(text: str, most: int = _LONGEST_PART) -> str:
    """A text of anyone's as one printable line of bounded length."""
    return printable(shortened(" ".join(text.split()), most))


def printable(text: str) -> str:
    r"""What would steer a terminal or turn the direction of writing, as an escape that JSON has too: `\u001b`."""
    return _UNPRINTABLE.sub(lambda found: escaped(found[0]), text)


def escaped(text: str) -> str:
    r"""Every character as `\uXXXX`, above U+FFFF as two of them (as JSON writes it)."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))
