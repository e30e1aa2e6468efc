"""An error of one process as another one raises it. Imports no torch."""

from __future__ import annotations

import traceback
from typing import Any

from mlsg.errors import DataError, DivergedError, HubUnreachableError, MlsgError, ModelError, SettingError

INTERRUPTED = 130
GO_ON = "run the same command again; it goes on from the last checkpoint"


class ProcessLostError(MlsgError):
    """A process of a training has died or cannot be reached."""

    exit_code = 1


_KINDS = (SettingError, DataError, ModelError, HubUnreachableError, DivergedError, ProcessLostError, MlsgError)


def failure_of(error: BaseException, rank: int) -> dict[str, Any]:
    """An error of process `rank` as JSON."""
    if isinstance(error, MlsgError):
        return {"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy, "code": error.exit_code}
    if isinstance(error, KeyboardInterrupt):
        return {"kind": "KeyboardInterrupt", "code": INTERRUPTED}
    told = "".join(traceback.format_exception(error))
    return {"kind": "fault", "problem": f"in process {rank}:\n{told}", "code": 1}


def error_of(failure: dict[str, Any]) -> BaseException:
    """Undo `failure_of`; a fault of ours comes back as RuntimeError with the other's traceback."""
    if failure["kind"] == "KeyboardInterrupt":
        return KeyboardInterrupt()
    if failure["kind"] == "fault":
        return RuntimeError(failure["problem"])
    kind = next((kind for kind in _KINDS if kind.__name__ == failure["kind"]), MlsgError)
    return kind(failure["problem"], failure["remedy"])
