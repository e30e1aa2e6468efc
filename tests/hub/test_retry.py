"""Which errors are transient, how long mlsg waits before the next try, and what it says of the others."""

from __future__ import annotations

import errno
import ssl
import sys
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import get_session

from mlsg.errors import DataError, HubUnreachableError, ModelError
from mlsg.hub.errors import reason, user_error
from mlsg.hub.retry import RetryPolicy, is_transient, retry

httpx: Any = sys.modules[type(get_session()).__module__.partition(".")[0]]  # httpx or httpx2, whichever the hub uses


def refused(status: int, headers: dict[str, str]) -> HfHubHTTPError:
    request = httpx.Request("GET", "http://hub.example/api")
    return HfHubHTTPError(f"{status}", response=httpx.Response(status, request=request, headers=headers))


def answered(status: int, **headers: str) -> HfHubHTTPError:
    return refused(status, {name.replace("_", "-"): value for name, value in headers.items()})


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
        (RuntimeError("Data processing error: CAS service error : ReqwestMiddleware Error"), True),
        (RuntimeError("dictionary changed size during iteration"), False),
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


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit": '"api";r=0;t=55'}, 56),
        ({"RateLimit": '"resolvers";r=0;t=3', "RateLimit-Policy": '"fixed window";"resolvers";q=5000;w=300'}, 4),
        ({"ratelimit": '"api";r=0;t=300'}, 301),
        ({"ratelimit": '"api";r=0;t=86400'}, 301),
        ({"ratelimit": '"api";r=0;t=55', "Retry-After": "2"}, 56),
        ({"ratelimit": '"api";r=17;t=55'}, 1),  # the limit is not the reason
        ({"ratelimit": '"api";r=17;t=55', "Retry-After": "7"}, 7),
        ({"ratelimit": "nonsense"}, 1),
        ({}, 1),
    ],
)
def test_a_rate_limit_is_waited_for_until_it_ends(headers: dict[str, str], seconds: int) -> None:
    """The seconds are those of huggingface_hub's own client: one more than the header says, which is rounded down."""
    limited, policy = refused(429, headers), RetryPolicy(longest_wait=10)
    assert policy.wait(1, limited) == seconds
    assert policy.wait(1, caused(ValueError("cannot read"), limited)) == seconds
    assert RetryPolicy(first_wait=2).brief().wait(1, limited) == (2 if seconds == 7 else seconds)
    assert RetryPolicy(first_wait=0).wait(1, limited) == 0
    assert policy.wait(1, refused(503, headers)) <= 7  # these headers come with every answer


def test_an_unending_rate_limit_and_a_failing_xet_say_what_to_do() -> None:
    limited = refused(429, {"ratelimit": '"api";r=0;t=9'})
    xet = RuntimeError("Data processing error: CAS service error : IO Error: Timer expired")
    for error, reasons in ((limited, ("rate limit", "HF_TOKEN")), (xet, ("CAS service error", "HF_HUB_DISABLE_XET=1"))):

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(HubUnreachableError) as caught:
            retry(fail, "data set a/b", RetryPolicy(tries=3, first_wait=0))
        assert "after 3 tries" in str(caught.value)
        assert all(word in str(caught.value) for word in reasons)


def said_of(status: int, message: str = "", code: str = "", kind: Any = "dataset") -> str:
    """What a user reads of a refusal, through huggingface_hub's own `hf_raise_for_status`."""
    from huggingface_hub.utils import hf_raise_for_status

    named = {"X-Error-Message": message, "X-Error-Code": code}
    url = "https://huggingface.co/api/datasets/a/b/revision/main"
    response = httpx.Response(status, request=httpx.Request("GET", url), headers={n: v for n, v in named.items() if v})
    with pytest.raises(HfHubHTTPError) as caught:
        hf_raise_for_status(response)
    assert not is_transient(caught.value)
    said = user_error(caught.value, kind, "a/b", "main")
    assert isinstance(said, DataError if kind == "dataset" else ModelError)
    return str(said)


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_a_stale_token_is_to_be_removed_and_not_to_be_set(kind: str) -> None:
    said = said_of(401, "Invalid credentials in Authorization header", kind=kind)
    assert "refuses the token" in said and "remove or renew it (HF_TOKEN, or `hf auth" in said
    assert "set HF_TOKEN" not in said and "is not on" not in said


def test_without_a_token_a_401_asks_for_one() -> None:
    assert "is private" in said_of(401, "Repository not found", "RepoNotFound")
    assert "for a private one set HF_TOKEN" in said_of(401, "Access denied")


def test_not_every_403_is_gated() -> None:
    gated = said_of(403, "Access to dataset a/b is restricted and you are not in the authorized list.", "GatedRepo")
    assert "is gated" in gated and "/datasets/a/b and set HF_TOKEN" in gated
    fine = (
        "Please enable access to public gated repositories in your fine-grained token settings to view this repository."
    )
    said = said_of(403, fine)
    assert fine.rstrip(".") in said and "settings/tokens" in said and "is gated" not in said
    assert "Access to this resource is disabled" in said_of(403, "Access to this resource is disabled.")
    assert "network or proxy" in said_of(403)
    for status in (401, 403):
        assert len(said_of(status, "word " * 5000)) < 600


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
