"""Which errors are transient, how long mlsg waits before the next try, and what it says of the others."""

from __future__ import annotations

import errno
import ssl

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from mlsg.errors import DataError, HubUnreachableError, ModelError
from mlsg.hub.errors import reason, user_error
from mlsg.hub.retry import RetryPolicy, is_transient, retry


def answered(status: int, **headers: str) -> HfHubHTTPError:
    request = httpx.Request("GET", "http://hub.example/api")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HfHubHTTPError(f"{status}", response=httpx.Response(status, request=request, headers=named))


def caused(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (answered(503), True),
        (answered(429), True),
        (answered(404), False),
        (answered(403), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.ConnectError("refused"), True),
        (httpx.RemoteProtocolError("cut off"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (caused(ValueError("cannot read"), answered(502)), True),
        (caused(LocalEntryNotFoundError("x"), answered(401)), True),
        (OfflineModeIsEnabled("off"), False),
        (caused(httpx.ConnectError("ssl"), ssl.SSLCertVerificationError(1, "not trusted")), False),
        (ValueError("Unknown split"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_transient_errors(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_waits_double_up_to_the_longest_and_the_server_may_ask_for_more() -> None:
    policy = RetryPolicy(first_wait=1, longest_wait=10)
    assert [policy.wait(failures, TimeoutError()) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 10]
    assert policy.wait(1, answered(429, Retry_After="7")) == 7
    assert policy.wait(1, answered(429, Retry_After="3600")) == 10
    assert policy.wait(1, answered(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")) == 1


def test_each_try_is_one_call_and_the_last_failure_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise answered(503)

    with pytest.raises(HubUnreachableError, match=r"data set a/b: the hub fails after 4 tries \(it answers 503\); "):
        retry(fail, "data set a/b", RetryPolicy(tries=4, first_wait=0))
    assert len(calls) == 4
    assert capsys.readouterr() == ("", "")  # nothing is said where nothing is waited for


def test_other_errors_are_not_tried_again() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        retry(fail, "data set a/b", RetryPolicy(first_wait=0))
    assert len(calls) == 1


def test_a_reason_is_short_and_one_line() -> None:
    assert reason(ValueError("word " * 200 + "\nmore")).endswith("...")
    assert len(reason(ValueError("word " * 200))) <= 200
    assert reason(TimeoutError()) == "TimeoutError"
    assert reason(OSError(errno.ENOENT, "No such file", "a/b.csv")) == "No such file: 'a/b.csv'"


def test_a_certificate_that_is_not_trusted_and_a_full_disk_say_what_to_do() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "failed")
    untrusted.verify_message = "self-signed certificate"
    hidden = httpx.ConnectError("failed")
    hidden.__context__, hidden.__suppress_context__ = untrusted, True  # as the HTTP library raises it
    assert not is_transient(hidden)
    said = user_error(hidden, "dataset", "a/b", "main")
    assert isinstance(said, HubUnreachableError)
    assert "not trusted (self-signed certificate)" in str(said) and "SSL_CERT_FILE" in str(said)
    full = OSError(errno.ENOSPC, "No space left on device", "/cache/hub/blob")
    for kind, family in (("dataset", DataError), ("model", ModelError)):
        said = user_error(full, kind, "a/b", "main")
        assert isinstance(said, family)
        assert "/cache/hub/blob: No space left on device" in str(said) and "HF_HOME" in str(said)
