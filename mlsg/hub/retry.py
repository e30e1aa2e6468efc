"""Whether the hub answers, which errors are transient, and how long to wait before the next try.

The question goes through huggingface_hub's own client, so that proxies and certificates count as users configured them.
Any answer counts, even an error: what is wrong with one data set is found out when that set is asked for.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

from mlsg.console import note
from mlsg.errors import HubUnreachableError
from mlsg.hub import libraries
from mlsg.hub.errors import chain, failures_of, of_xet, rate_limited_for, reason, status_of, untrusted_certificate

T = TypeVar("T")
SECONDS = 3.0

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_RATE_WINDOW = 301  # seconds; the hub counts requests in windows of 300


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and the wait before the second try in seconds, which doubles with each further one."""

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0

    def wait(self, failures: int, error: BaseException) -> float:
        """Seconds to wait after that many failures in a row.

        A rate limit is waited for until it ends, at most one window of the hub; a Retry-After up to the longest wait.
        """
        if self.first_wait and (limited := rate_limited_for(error)):
            return min(limited, _RATE_WINDOW)
        responses = [getattr(each, "response", None) for each in chain(error)]
        asked = [getattr(response, "headers", {}).get("Retry-After", "") for response in responses]
        seconds = next((float(each) for each in asked if each.isdigit()), 0.0) if self.first_wait else 0.0
        return min(self.longest_wait, max(seconds, self.first_wait * 2.0 ** (failures - 1)))

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
        why_out_of_reach.cache_clear()
        raise HubUnreachableError(f"{what}: the hub fails after {failures} tries ({why})", _remedy(error)) from error
    seconds = policy.wait(failures, error)
    if seconds:
        note(f"{what}: {why}; trying again in {seconds:g} s")
        time.sleep(seconds)


def _remedy(error: BaseException) -> str:
    if of_xet(error):
        return "set HF_HUB_DISABLE_XET=1, so that files come without Xet, and run it again"
    if rate_limited_for(error):
        return "run it again in some minutes; with a token (HF_TOKEN) the hub allows more requests"
    return "try again later, or check the network"


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    broken = (LocalEntryNotFoundError, ConnectionError, TimeoutError)
    if untrusted_certificate(error) is not None:
        return False
    for each in failures_of(error):
        if isinstance(each, HfHubHTTPError):
            return status_of(each) in _TRANSIENT_STATUS
        if isinstance(each, OfflineModeIsEnabled):
            return False
        # By its name: of httpx in version 1 of huggingface_hub, of httpx2 in version 2.
        if isinstance(each, broken) or "TransportError" in {kind.__name__ for kind in type(each).__mro__}:
            return True
    return of_xet(error)


@cache
def why_out_of_reach(endpoint: str, seconds: float = SECONDS) -> str:
    """Empty when something answers at `endpoint`, else a few words; asked once, until `cache_clear()`."""
    host = urlsplit(endpoint).hostname
    if not host:
        return f'HF_ENDPOINT "{endpoint}" is not an address'
    answer: queue.Queue[str] = queue.Queue()
    # A daemon: a name server that never answers cannot be interrupted, and must not keep the process alive.
    threading.Thread(target=lambda: answer.put(_request(endpoint, host, seconds)), daemon=True).start()
    try:
        return answer.get(timeout=seconds - 0.1)
    except queue.Empty:
        return f"{host} did not answer within {seconds:g} s"


def _request(endpoint: str, host: str, seconds: float) -> str:
    try:
        # Half the time: the first of two addresses may be one that swallows everything.
        libraries.hub().get_session().head(f"{endpoint}/", follow_redirects=False, timeout=seconds / 2)
    except Exception as error:  # whatever this request raises, a wrong proxy address too, the next ones would raise
        # An untrusted certificate is an answer; what to do about it is said when something is really asked for.
        return "" if untrusted_certificate(error) else f"{host}: {reason(error)}"
    return ""
