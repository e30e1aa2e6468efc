"""Does the hub answer? One request for the whole process, answered within seconds whatever the network does.

The request goes through huggingface_hub's own client, so that proxies and certificates count as users configured them.
Any answer counts, even an error: what is wrong with one data set is found out when that set is asked for.
"""

from __future__ import annotations

import queue
import threading
from functools import cache
from urllib.parse import urlsplit

from mlsg.hub import libraries
from mlsg.hub.errors import reason, untrusted_certificate

SECONDS = 3.0


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
