"""The one exception family of mlsg, and the exit code of each member; anything else that escapes is a bug in mlsg."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class MlsgError(Exception):
    """What the user can cause and fix: `problem` says what is wrong and where, `remedy` what to do, in one line."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = " ".join(problem.split())
        self.remedy = " ".join(remedy.split())

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
    return f"known: {', '.join(names)}" if names else "there are none"
