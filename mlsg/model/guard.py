"""One guard around all that the libraries make of a stranger's model: whatever comes out of them is one line.

    with one_line(f"the tokenizer in {folder} cannot be read", "download the model again"):
        tokenizer = AutoTokenizer.from_pretrained(folder)

Also a panic of their Rust code, which is no Exception, and code that does not end.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from mlsg.errors import MlsgError, ModelError

_SECONDS = 300.0  # of computing by all threads of the process; waiting for a disk does not count
_PACKAGES = {
    **{name: name for name in ("sentencepiece", "protobuf", "peft", "sacremoses", "pythainlp", "rjieba")},
    **{"ipadic": "ipadic", "unidic_lite": "unidic-lite", "unidic": "unidic", "rhoknp": "rhoknp", "emoji": "emoji"},
    **{"fugashi": "fugashi ipadic unidic-lite", "sudachipy": "sudachipy sudachidict-core"},
}
"""What pip installs, by the word for it in what the libraries say where it is missing."""

_ONE_AT_A_TIME = threading.RLock()


class _TooLongError(BaseException):
    """Not an Exception, which the libraries would catch and go on."""


@contextlib.contextmanager
def one_line(problem: str, remedy: str) -> Iterator[None]:
    """Raise ModelError, `problem` with the reason, for whatever is raised inside and for what takes too long.

    The remedy names the pip command where a package is missing.
    """
    try:
        with _at_most(_SECONDS):
            yield
    except (MlsgError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        missing = missing_package(error)
        raise ModelError(
            f"{problem} ({_reason(error)})", f"run: pip install {missing}" if missing else remedy
        ) from error


def missing_package(error: BaseException) -> str | None:
    """What pip has to install, where an error, or one that it followed from, says that something is missing."""
    seen: BaseException | None = error
    while seen is not None:
        said = str(seen)
        if isinstance(seen, ImportError) or re.search(r"pip install|is required|requires the", said):
            for word, package in _PACKAGES.items():
                if re.search(rf"\b{word}\b", said, re.IGNORECASE):
                    return package
        seen = seen.__cause__ or seen.__context__
    return None


@contextlib.contextmanager
def no_panic_messages() -> Iterator[None]:
    """Keep off the terminal what Rust writes on file descriptor 2 before a panic is raised."""
    with _ONE_AT_A_TIME, contextlib.ExitStack() as after:
        with contextlib.suppress(OSError):  # it may be closed
            kept = os.dup(2)
            after.callback(os.close, kept)
            after.callback(os.dup2, kept, 2)
            nothing = os.open(os.devnull, os.O_WRONLY)
            after.callback(os.close, nothing)
            os.dup2(nothing, 2)
        yield


def _reason(error: BaseException) -> str:
    """The first words of an error of the libraries: enough to search for, short enough for a line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__.lstrip('_')}: {said[:160]}{'...' if len(said) > 160 else ''}"


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise inside after that much computing, in the main thread and where the system has such a clock."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_VIRTUAL)[0]:
        yield  # where a clock runs, it is that of a guard around this one
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLongError(f"stopped after {seconds:.0f} s of computing")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
