"""What the hub or its libraries object to, in one line: which repository, what is wrong, what to do."""

from __future__ import annotations

import contextlib
import errno
import re
import ssl
import textwrap
from collections.abc import Iterator
from typing import Any, Literal

from mlsg.errors import DataError, HubUnreachableError, MlsgError, ModelError, nearest
from mlsg.hub import libraries

Kind = Literal["dataset", "model"]

_NOUN = {"dataset": "data set", "model": "model"}
_ERROR: dict[Kind, type[MlsgError]] = {"dataset": DataError, "model": ModelError}
_WHERE = {"dataset": "the path in the catalog", "model": "the name"}
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_LONGEST_REASON = 200
_XET = re.compile(r"CAS |CasObject|[Xx]et\b")


def named(kind: Kind, repo: str, revision: str = "") -> str:
    """`data set mteb/sts17 (main)`; of a full commit, the first 12 digits."""
    return f"{_NOUN[kind]} {repo}" + (f" ({revision[:12]})" if revision else "")


def user_error(error: BaseException, kind: Kind, repo: str, revision: str) -> MlsgError | None:
    """The error that a user can act on, or None where `error` is not an objection of the hub."""
    certificate = untrusted_certificate(error)
    if certificate is not None:
        why = certificate.verify_message.rstrip(".")
        problem = f"{libraries.endpoint()} shows a certificate that is not trusted ({why})"
        return HubUnreachableError(problem, "set SSL_CERT_FILE to the certificates of your network, or fix HF_ENDPOINT")
    found = (each if isinstance(each, MlsgError) else _objection(each, kind, repo, revision) for each in chain(error))
    return next((each for each in found if each is not None), None)


@contextlib.contextmanager
def reworded(kind: Kind, repo: str, revision: str) -> Iterator[None]:
    """Raise what the hub objects to as `user_error` words it, and all else as it is."""
    try:
        yield
    except Exception as error:
        objection = user_error(error, kind, repo, revision)
        if objection is None or objection is error:
            raise
        raise objection from error


def unreadable_data_set(error: Exception, repo: str, config: str | None, split: str) -> MlsgError:
    """What `datasets` says of a configuration, a split or a file that it cannot read, in one line."""
    text, what = str(error), named("dataset", repo)
    if "BuilderConfig" in text:
        return DataError(f'{what} has no configuration "{config}"', nearest(config or "", _listed(text)))
    if "Config name is missing" in text:
        return DataError(f"{what} has several configurations", f"name one of: {', '.join(_listed(text))}")
    if "split" in text.lower() and _listed(text) and split not in _listed(text):
        return DataError(f'{what} has no split "{split}"', nearest(split, _listed(text)))
    remedy = f"declare another data set or revision; a damaged copy under {libraries.hub_cache()} can be deleted"
    return DataError(f"{what} cannot be read: {reason(error)}", remedy)


def reason(error: BaseException) -> str:
    """The error in a few words: `it answers 503`, `Connection refused`, `The read operation timed out`."""
    if rate_limited_for(error):
        return "the rate limit is reached"
    for each in chain(error):
        if (status := status_of(each)) is not None:
            return f"it answers {status}"
    root = list(chain(error))[-1]
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(root).strip())
    first = next(iter(text.splitlines()), "")
    return textwrap.shorten(first.rstrip("."), _LONGEST_REASON, placeholder=" ...") or type(root).__name__


def chain(error: BaseException, *, suppressed: bool = False) -> Iterator[BaseException]:
    """An error and what it was raised from, outermost first; `suppressed`: what `from None` hides too."""
    current: BaseException | None = error
    while current is not None:
        yield current
        hidden = current.__suppress_context__ and not suppressed
        current = current.__cause__ or (None if hidden else current.__context__)


def failures_of(error: BaseException) -> Iterator[BaseException]:
    """As `chain`; where the hub fails, `datasets` says that files are not found, and hides the reason."""
    return chain(error, suppressed=isinstance(error, FileNotFoundError))


def untrusted_certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The certificate error that an error comes from; the HTTP library hides it among suppressed causes."""
    causes = chain(error, suppressed=True)
    return next((each for each in causes if isinstance(each, ssl.SSLCertVerificationError)), None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the response that an error was raised for, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)


def rate_limited_for(error: BaseException) -> int:
    """Seconds until the hub takes requests again, as its headers say; 0 where no rate limit is the reason."""
    for each in failures_of(error):
        if status_of(each) == 429:
            response: Any = getattr(each, "response", None)
            limit = libraries.hub().utils.parse_ratelimit_headers(response.headers)
            return int(limit.reset_in_seconds) + 1 if limit and not limit.remaining else 0  # they are rounded down
    return 0


def of_xet(error: BaseException) -> bool:
    """Whether Xet failed, the hub's storage of large files: `Data processing error: CAS service error : ...`."""
    # Its own kinds are called XetAuthenticationError and the like; all else that its code raises is a RuntimeError.
    return any(
        type(each).__name__.startswith("Xet") or (isinstance(each, RuntimeError) and _XET.search(str(each)))
        for each in chain(error)
    )


def _refusal(error: BaseException, kind: Kind, repo: str) -> tuple[str, str] | None:
    """What is wrong and what to do where the hub knows the repository and does not give it to this user, or None."""
    from huggingface_hub.errors import GatedRepoError

    what, status, here = named(kind, repo), status_of(error), libraries.endpoint()
    headers = getattr(getattr(error, "response", None), "headers", {})
    said = textwrap.shorten(headers.get("X-Error-Message", ""), _LONGEST_REASON, placeholder=" ...").rstrip(".")
    if status == 401 and "invalid credentials" in f"{said} {error}".lower():
        remedy = "remove or renew it (HF_TOKEN, or `hf auth logout` and `hf auth login`)"
        return f"{what}: {here} refuses the token that is sent along, perhaps an old one (invalid credentials)", remedy
    if isinstance(error, GatedRepoError):
        page = f"{here}/{'datasets/' if kind == 'dataset' else ''}{repo}"
        return f"{what} is gated", f"accept its terms at {page} and set HF_TOKEN"
    if status != 403:
        return None
    if "token" in said.lower():
        remedy = f"give the token that right at {here}/settings/tokens, or set another HF_TOKEN"
        return f"{what}: the token may not read it ({said})", remedy
    remedy = f"check {_WHERE[kind]}" if said else "ask who runs your network or proxy, or fix HF_ENDPOINT"
    return f"{what} is refused by {here} ({said or 'it answers 403 without a reason'})", remedy


def _objection(error: BaseException, kind: Kind, repo: str, revision: str) -> MlsgError | None:
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    family, what, status = _ERROR[kind], named(kind, repo), status_of(error)
    if (refusal := _refusal(error, kind, repo)) is not None:
        return family(*refusal)
    if isinstance(error, RevisionNotFoundError):
        return family(f"{what} has no revision {revision}", "give a branch, a tag or a full commit")
    if isinstance(error, HFValidationError):
        return family(f'"{repo}" is not the name of a {_NOUN[kind]}', f"check {_WHERE[kind]}: owner/name")
    if isinstance(error, RepositoryNotFoundError) or status in {401, 404}:
        problem = f"{what} is not on {libraries.endpoint()}, or is private"
        return family(problem, f"check {_WHERE[kind]}; for a private one set HF_TOKEN")
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        problem = f"{what} cannot be stored ({error.filename or libraries.hub_cache()}: {error.strerror})"
        return family(problem, "free some space there, or set HF_HOME to another folder")
    return None


def _listed(text: str) -> list[str]:
    """The names in the last bracketed list of a message: `Available: ['a', 'b']` -> a, b."""
    lists = re.findall(r"\[([^\[\]]*)\]", text)
    return re.findall(r"'([^']+)'", lists[-1]) if lists else []
