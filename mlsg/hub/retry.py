"""Transient errors, and how long to wait before the next try: 429, 5xx, broken connections, time-outs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mlsg.console import note
from mlsg.errors import HubUnreachableError
from mlsg.hub import connectivity, libraries
from mlsg.hub.errors import chain, reason, status_of, untrusted_certificate

T = TypeVar("T")

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and the wait before the second try in seconds, which doubles with each further one."""

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0

    def wait(self, failures: int, error: BaseException) -> float:
        """Seconds to wait after that many failures in a row; a Retry-After counts, up to the longest wait."""
        asked = _retry_after(error) if self.first_wait else 0.0
        return min(self.longest_wait, max(asked, self.first_wait * 2.0 ** (failures - 1)))

    def brief(self) -> RetryPolicy:
        """For a question whose answer is wanted within seconds."""
        return RetryPolicy(min(self.tries, 3), self.first_wait / 2, 2.0)


def retry(action: Callable[[], T], what: str, policy: RetryPolicy) -> T:
    """The result of `action`, tried again after transient errors.

    Raises HubUnreachableError after the last try; whether the hub answers at all is then asked anew.
    """
    failures = 0
    while True:
        try:
            return action()
        except Exception as error:
            if not is_transient(error):
                raise
            failures += 1
            wait_or_give_up(failures, error, what, policy)


def wait_or_give_up(failures: int, error: BaseException, what: str, policy: RetryPolicy) -> None:
    """Wait before the next try, saying so; raises HubUnreachableError when there is none left."""
    why = reason(error)
    if failures >= policy.tries:
        connectivity.why_out_of_reach.cache_clear()
        raise HubUnreachableError(
            f"{what}: the hub fails after {failures} tries ({why})", "try again later, or check the network"
        ) from error
    seconds = policy.wait(failures, error)
    if seconds:
        note(f"{what}: {why}; trying again in {seconds:g} s")
        time.sleep(seconds)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # httpx in version 1 of huggingface_hub, httpx2 in version 2; it exports both by this name.
    broken = (libraries.hub().utils.httpx.TransportError, LocalEntryNotFoundError, ConnectionError, TimeoutError)
    if untrusted_certificate(error) is not None:
        return False
    for each in chain(error):
        if isinstance(each, HfHubHTTPError):
            return status_of(each) in _TRANSIENT_STATUS
        if isinstance(each, OfflineModeIsEnabled):
            return False
        if isinstance(each, broken):
            return True
    return False


def _retry_after(error: BaseException) -> float:
    for each in chain(error):
        headers = getattr(getattr(each, "response", None), "headers", {})
        asked = headers.get("Retry-After", "")
        if asked.isdigit():
            return float(asked)
    return 0.0
