"""Faults that pass by themselves, and how long to wait for that: 429, 5xx, broken lines, time-outs."""

from __future__ import annotations

import ssl
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from mlsg.console import note
from mlsg.errors import HubUnreachableError
from mlsg.hub import connectivity, libraries

T = TypeVar("T")

_LONGEST_REASON = 200
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How often to try, and the wait before the second try in seconds, which doubles with each further one."""

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0

    def wait(self, failures: int, error: BaseException) -> float:
        """Seconds to wait after so many failures in a row; what the server asks for counts, up to the longest wait."""
        asked = _retry_after(error) if self.first_wait else 0.0
        return min(self.longest_wait, max(asked, self.first_wait * 2 ** (failures - 1)))

    def shorter(self) -> Patience:
        """For a question whose answer is wanted within seconds."""
        return Patience(min(self.tries, 3), self.first_wait / 2, 2.0)


class FellBackError(ConnectionError):
    """`datasets` could not reach the hub and took another cached revision than the one asked for."""


def retry_while_passing(action: Callable[[], T], what: str, patience: Patience) -> T:
    """The result of `action`, tried again while its faults are passing ones.

    Raises HubUnreachableError when they do not pass; whether the hub is there at all is then asked anew.
    """
    failures = 0
    while True:
        try:
            return action()
        except Exception as error:
            if not is_passing(error):
                raise
            failures += 1
            pause(failures, error, what, patience)


def pause(failures: int, error: BaseException, what: str, patience: Patience) -> None:
    """Wait before the next try, saying so; raises HubUnreachableError when there have been enough."""
    why = reason(error)
    if failures >= patience.tries:
        connectivity.ask_again(libraries.endpoint())
        raise HubUnreachableError(
            f"{what}: the hub fails after {failures} tries ({why})", "try again later, or check the network"
        ) from error
    seconds = patience.wait(failures, error)
    if seconds:
        note(f"{what}: {why}; trying again in {seconds:g} s")
        time.sleep(seconds)


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    if untrusted(error) is not None:
        return False
    for each in chain(error):
        if isinstance(each, HfHubHTTPError):
            return _status(each) in _PASSING_STATUS
        if isinstance(each, OfflineModeIsEnabled):
            return False
        if isinstance(each, (httpx.TransportError, LocalEntryNotFoundError, ConnectionError, TimeoutError)):
            return True
    return False


def reason(error: BaseException) -> str:
    """The fault in a few words: `503 Service Unavailable`, `read timed out`."""
    for each in chain(error):
        status = _status(each)
        if status is not None:
            return f"it answers {status}"
    root = list(chain(error))[-1]
    text = str(root).strip().splitlines()[0] if str(root).strip() else ""
    return textwrap.shorten(text.rstrip("."), _LONGEST_REASON, placeholder=" ...") or type(root).__name__


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def untrusted(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The complaint about a certificate that an error comes from; the HTTP library hides it among suppressed causes."""
    current: BaseException | None = error
    while current is not None and not isinstance(current, ssl.SSLCertVerificationError):
        current = current.__cause__ or current.__context__
    return current


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _retry_after(error: BaseException) -> float:
    for each in chain(error):
        headers = getattr(getattr(each, "response", None), "headers", {})
        asked = headers.get("Retry-After", "")
        if asked.isdigit():
            return float(asked)
    return 0.0
