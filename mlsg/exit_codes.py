"""How a command ends: exit codes, the one error line, signals, and the log of a bug in mlsg."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mlsg import console
from mlsg.errors import DataError, MlsgError, SettingError, one_line

INTERRUPTED = 130
TERMINATED = 143
BUG = 1
WRONG_USAGE = 2

_GO_ON = "the workspace is intact; run the same command again to go on"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_NO_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)  # torch says it in a RuntimeError


class _Terminated(SystemExit):
    """SIGTERM has arrived."""


def end_with(command: Callable[[], object]) -> NoReturn:
    """Run `command` as the whole process: missing streams are replaced, signals end it with their one line."""
    for number in (0, 1, 2):  # else the next file that is opened would be taken for the stream
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - writing it is an error
    if sys.stderr is None:
        console.silence()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    code = exit_code_of(command)
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))  # while Python waits for threads at its end
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # after that: Python would make it a death by signal
    sys.exit(code)


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command` and return its exit code (docs/design.md, part 3); every failure is one line on stderr."""
    try:
        code = command()
        if code == INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        with console.writing_stdout():
            sys.stdout.flush()
    except BaseException as error:  # a panic of a Rust library is no Exception
        lost = _drop_unwritten_output()
        unnamed = isinstance(error, OSError) and error.filename is None and not isinstance(error, BrokenPipeError)
        code = _code_of(console.stdout_failed(lost) if lost and unnamed else error)
    return code if isinstance(code, int) else 0


def _code_of(error: BaseException) -> int:  # noqa: PLR0911 - one return an exit code
    """Say on stderr why a command ended, and return its exit code."""
    from typer.exceptions import Abort, Exit, TyperException

    if isinstance(error, Abort) and isinstance(error.__cause__, EOFError):  # typer takes it for the end of an answer
        error = error.__cause__
    if isinstance(error, Exit):
        return error.exit_code
    if isinstance(error, _Terminated):
        console.note(f"error: terminated, {_GO_ON}")
        return TERMINATED
    if isinstance(error, BrokenPipeError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    ):
        return 0  # the reader left, and typer knows another exit code for it
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    if isinstance(error, TyperException):
        console.note(f"error: {one_line(error.format_message()).rstrip('.')}; see mlsg --help")
        return WRONG_USAGE
    if isinstance(error, KeyboardInterrupt | Abort):
        console.note(f"error: interrupted, {_GO_ON}")
        return INTERRUPTED
    said = error if isinstance(error, MlsgError) else _refusal(error)
    if said is not None:
        console.note(f"error: {said}")
        return said.exit_code
    console.note(f"error: a bug in mlsg ({type(error).__name__}), {_log(error)}")
    return BUG


def _refusal(error: BaseException) -> MlsgError | None:
    """What the operating system refused (a Rust library says it in words), as an error that a user can act on."""
    in_words = re.search(r"\(os error (\d+)\)", str(error))
    system = type(error).__module__ == "builtins" and isinstance(error, OSError)
    number = error.errno if system and isinstance(error, OSError) else int(in_words[1]) if in_words else None
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        number = errno.ENOMEM
    if number is None or number not in errno.errorcode or isinstance(error, ConnectionError | TimeoutError):
        return None
    name, why = getattr(error, "filename", None), getattr(error, "strerror", None) or os.strerror(number)
    problem = f"{os.fsdecode(name)}: {why}" if isinstance(name, str | bytes) else why
    if name is None and why == os.strerror(errno.ENOENT):  # of the current folder
        return SettingError("the folder that this was started in no longer exists", "change to another folder")
    if number == errno.ENOMEM:
        return SettingError(problem, "take a smaller train.batch_size or train.mini_batch_size, or a larger machine")
    if number in _NO_ROOM:
        return SettingError(problem, "make room there, or raise the limit, and run the same command again")
    return DataError(problem, "check that path and its permissions, and run the same command again")


def _log(error: BaseException) -> str:
    """Write the traceback into a log file, and return the words that name it, or say where the bug is."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mlsg-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            log.write(f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}")
    except OSError as failed:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name} line {last.lineno}: {one_line(str(error), 200)}"
        return f"in {where}; report it with this line (no log: {failed.strerror})"
    return f"log in {log.name}; report it with that file"


def _drop_unwritten_output() -> OSError | None:
    """Let go of what stdout could not take, so that Python does not fail on it once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _interrupt_at_once)
    raise KeyboardInterrupt


def _interrupt_at_once(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C again, while the first one is still being obeyed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.note(f"error: interrupted, {_GO_ON}")
    _end_children()
    os._exit(INTERRUPTED)


def _end_children() -> None:
    """Else one that has just been started would say in a traceback that nobody tells it what to do."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise _Terminated
