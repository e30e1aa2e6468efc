"""What the hub or its libraries object to, said in one line: which repository, what is wrong, what to do."""

from __future__ import annotations

import errno
import re
from typing import Literal

from mlsg.errors import DataError, HubUnreachableError, MlsgError, ModelError, nearest
from mlsg.hub import libraries
from mlsg.hub.retry import chain, reason, untrusted

Kind = Literal["dataset", "model"]

_NOUN = {"dataset": "data set", "model": "model"}
_ERROR: dict[Kind, type[MlsgError]] = {"dataset": DataError, "model": ModelError}
_WHERE = {"dataset": "the path in the catalog", "model": "the name"}
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


def named(kind: Kind, repo: str, revision: str = "") -> str:
    """`data set mteb/sts17 (main)`; of a full commit, the first 12 digits."""
    return f"{_NOUN[kind]} {repo}" + (f" ({revision[:12]})" if revision else "")


def refuse(kind: Kind, problem: str, remedy: str) -> MlsgError:
    """The error of this kind of repository."""
    return _ERROR[kind](problem, remedy)


def in_one_line(error: Exception, kind: Kind, repo: str, revision: str) -> MlsgError | None:
    """The error that a user can act on, or None where `error` is none of the hub's refusals."""
    complaint = untrusted(error)
    if complaint is not None:
        problem = (
            f"{libraries.endpoint()} shows a certificate that is not trusted ({complaint.verify_message.rstrip('.')})"
        )
        return HubUnreachableError(
            problem, "set SSL_CERT_FILE to the certificates of your network, or mend HF_ENDPOINT"
        )
    for each in chain(error):
        if isinstance(each, MlsgError):
            return each
        said = _no_access(each, kind, repo) or _no_such_thing(each, kind, repo, revision) or _no_room(each, kind, repo)
        if said is not None:
            return said
    return None


def unreadable(error: Exception, repo: str, config: str | None, split: str) -> MlsgError:
    """What `datasets` says of a configuration, a split or a file that it cannot read, in one line."""
    text, what = str(error), named("dataset", repo)
    if "BuilderConfig" in text:
        return DataError(f'{what} has no configuration "{config}"', nearest(config or "", _listed(text)))
    if "Config name is missing" in text:
        return DataError(f"{what} has several configurations", f"name one of: {', '.join(_listed(text))}")
    if "split" in text.lower() and _listed(text):
        return DataError(f'{what} has no split "{split}"', nearest(split, _listed(text)))
    return DataError(f"{what} cannot be read: {reason(error)}", "declare another data set or revision")


def _no_access(error: BaseException, kind: Kind, repo: str) -> MlsgError | None:
    from huggingface_hub.errors import GatedRepoError

    if not isinstance(error, GatedRepoError) and _status(error) != 403:
        return None
    page = f"{libraries.endpoint()}/{'datasets/' if kind == 'dataset' else ''}{repo}"
    return refuse(kind, f"{named(kind, repo)} is gated", f"accept its terms at {page} and set HF_TOKEN")


def _no_such_thing(error: BaseException, kind: Kind, repo: str, revision: str) -> MlsgError | None:
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, RevisionNotFoundError):
        return refuse(kind, f"{named(kind, repo)} has no revision {revision}", "give a branch, a tag or a full commit")
    if isinstance(error, HFValidationError):
        return refuse(kind, f'"{repo}" is no {_NOUN[kind]} of the hub', f"check {_WHERE[kind]}: owner/name")
    if isinstance(error, RepositoryNotFoundError) or _status(error) in {401, 404}:
        problem = f"{named(kind, repo)} is not on {libraries.endpoint()}, or is private"
        return refuse(kind, problem, f"check {_WHERE[kind]}; for a private one set HF_TOKEN")
    return None


def _no_room(error: BaseException, kind: Kind, repo: str) -> MlsgError | None:
    if not isinstance(error, OSError) or error.errno not in _DISK_FAULTS:
        return None
    place = error.filename or libraries.hub_cache()
    problem = f"{named(kind, repo)} cannot be kept ({place}: {error.strerror})"
    return refuse(kind, problem, "free some space there, or set HF_HOME to another folder")


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _listed(text: str) -> list[str]:
    """The names in the last bracketed list of a message: `Available: ['a', 'b']` -> a, b."""
    lists = re.findall(r"\[([^\[\]]*)\]", text)
    return re.findall(r"'([^']+)'", lists[-1]) if lists else []
