"""Is the hub there? One short question for the whole process, whatever name servers, proxies and silent hosts do.

A thread asks for the endpoint's first page through the user's proxy, if there is one, and has three seconds. Any answer
counts, even an error: what is wrong with one data set is found out when that set is asked for.
"""

from __future__ import annotations

import base64
import http.client
import queue
import ssl
import threading
import time
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

SECONDS = 3.0

_answers: dict[str, str] = {}
_lock = threading.Lock()


def why_out_of_reach(endpoint: str, seconds: float = SECONDS) -> str:
    """Empty when something answers at `endpoint`, else a few words; asked once for the process."""
    with _lock:
        if endpoint not in _answers:
            _answers[endpoint] = _ask(endpoint, seconds)
        return _answers[endpoint]


def ask_again(endpoint: str) -> None:
    """The hub broke off while it was used: the next one who wants to know asks anew."""
    with _lock:
        _answers.pop(endpoint, None)


def _ask(endpoint: str, seconds: float) -> str:
    host = urlsplit(endpoint).hostname
    if not host:
        return f'HF_ENDPOINT "{endpoint}" is no address'
    heard: queue.Queue[str] = queue.Queue()
    # A daemon: a name server that never answers cannot be interrupted, and must not keep the process alive.
    threading.Thread(target=lambda: heard.put(_knock(endpoint, seconds)), daemon=True).start()
    try:
        return heard.get(timeout=seconds - 0.1)
    except queue.Empty:
        return f"{host} did not answer within {seconds:g} s"


def _knock(endpoint: str, seconds: float) -> str:
    url = urlsplit(endpoint)
    deadline = time.monotonic() + seconds
    try:
        proxy = _proxy_for(url)
        connection, target = _connection(
            url, proxy, seconds / 2
        )  # half: the first of two addresses may be a black hole
        try:
            connection.connect()
            if proxy and not proxy.scheme.startswith("http"):
                return ""  # SOCKS: that the proxy is there is all that can be asked
            connection.sock.settimeout(max(deadline - time.monotonic(), 0.1))
            connection.request("HEAD", target, headers=_proxy_headers(proxy) if url.scheme == "http" else {})
            status = connection.getresponse().status
        finally:
            connection.close()
    except ssl.SSLCertVerificationError:
        return ""  # something answers; whether it is trusted is the library's question
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{url.hostname}: {_reason(error)}"
    return f"the proxy answers {status}" if proxy and status in {407, 502, 503, 504} else ""


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".")


def _proxy_for(url: SplitResult) -> SplitResult | None:
    host = url.hostname or ""
    proxies = urllib.request.getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or urllib.request.proxy_bypass(f"{host}:{url.port}" if url.port else host):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _connection(url: SplitResult, proxy: SplitResult | None, seconds: float) -> tuple[http.client.HTTPConnection, str]:
    path = f"{url.path}/"
    secure = url.scheme == "https"
    if proxy is None:
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(url.hostname or "", url.port, timeout=seconds), path
    via = (proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80))
    if not secure or not proxy.scheme.startswith("http"):
        return http.client.HTTPConnection(*via, timeout=seconds), f"{url.scheme}://{url.netloc}{path}"
    tunnel = http.client.HTTPSConnection(*via, timeout=seconds)
    tunnel.set_tunnel(url.hostname or "", url.port or 443, headers=_proxy_headers(proxy))
    return tunnel, path


def _proxy_headers(proxy: SplitResult | None) -> dict[str, str]:
    if proxy is None or proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
