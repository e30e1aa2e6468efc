"""One question whether the hub is there, answered within three seconds whatever the network does."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.utils import close_session

from mlsg.hub import Hub, retry
from tests.hub.server import HubServer

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies, no offline variables, a new client, and nothing asked yet."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in OFFLINE:
        monkeypatch.delenv(name, raising=False)
    retry.why_out_of_reach.cache_clear()
    close_session()  # the client takes its proxies from the environment when it is made


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_hub_that_answers_is_reached_and_asked_once(quiet_server: HubServer) -> None:
    assert [retry.why_out_of_reach(quiet_server.endpoint) for _ in range(3)] == ["", "", ""]
    assert [str(request) for request in quiet_server.log] == ["HEAD /"]


def test_a_refused_connection_is_a_reason() -> None:
    assert retry.why_out_of_reach(f"http://127.0.0.1:{free_port()}") == "127.0.0.1: Connection refused"


def test_a_name_server_that_never_answers_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        release.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    assert retry.why_out_of_reach("https://hub.example", seconds=0.4) == "hub.example did not answer within 0.4 s"
    assert retry.why_out_of_reach("https://hub.example", seconds=0.4)  # and nobody waits a second time
    assert time.monotonic() - began < 0.7
    release.set()


def test_a_host_that_takes_the_call_and_says_nothing_is_out_of_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        why = retry.why_out_of_reach(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.4)
    assert why in ("127.0.0.1: timed out", "127.0.0.1 did not answer within 0.4 s")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made by openssl")
def test_a_host_whose_certificate_is_not_trusted_answers(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HubServer() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        assert retry.why_out_of_reach(server.endpoint.replace("http:", "https:")) == ""
        assert server.log == []  # nothing was asked over a connection that is not trusted


@pytest.mark.parametrize(
    ("address", "words"),
    [("socks5://127.0.0.1:9", "hub.invalid: "), ("nonsense://127.0.0.1:9", "hub.invalid: Unknown scheme for proxy")],
)
def test_a_proxy_address_that_cannot_be_used_is_a_reason(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    assert retry.why_out_of_reach("https://hub.invalid").startswith(words)


def test_a_nameless_endpoint_is_a_reason() -> None:
    assert "is not an address" in retry.why_out_of_reach("huggingface.co")


def test_the_limit_is_three_seconds() -> None:
    assert retry.SECONDS == 3.0


class _Proxy(http.server.BaseHTTPRequestHandler):
    seen: list[str]

    def do_HEAD(self) -> None:
        type(self).seen.append(f"{self.command} {self.path} {self.headers.get('Proxy-Authorization')}")
        self.send_response(200)
        self.end_headers()

    def do_CONNECT(self) -> None:
        type(self).seen.append(f"{self.command} {self.path} {self.headers.get('Proxy-Authorization')}")
        self.send_response(407)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[str]:
    _Proxy.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_the_proxy_is_asked_and_not_the_hub(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy}")
    assert retry.why_out_of_reach("http://hub.invalid") == ""
    assert _Proxy.seen == ["HEAD http://hub.invalid/ Basic bWU6cEBzcw=="]


def test_a_proxy_that_wants_a_password_is_a_reason(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert "407" in retry.why_out_of_reach("https://hub.invalid")
    assert _Proxy.seen == ["CONNECT hub.invalid:443 None"]


def test_a_dead_proxy_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    assert "Connection refused" in retry.why_out_of_reach("https://hub.invalid")


def test_no_proxy_is_honoured(quiet_server: HubServer, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert retry.why_out_of_reach(quiet_server.endpoint) == ""
    assert _Proxy.seen == []


@pytest.mark.parametrize("name", OFFLINE)
def test_the_offline_variables_are_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_request", lambda *_: pytest.fail("nobody may be asked"))
    monkeypatch.setenv(name, "1")
    assert Hub().why_unreachable() == f"{name} is set"
