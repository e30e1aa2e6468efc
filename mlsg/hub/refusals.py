"""What the hub or its libraries object to, said in one line: which repository, what is wrong, what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Literal

from mlsg.errors import DataError, MlsgError, ModelError, nearest
from mlsg.hub import libraries
from mlsg.hub.patience import chain, reason

Kind = Literal["dataset", "model"]

_NOUN = {"dataset": "data set", "model": "model"}
_ERROR: dict[Kind, type[MlsgError]] = {"dataset": DataError, "model": ModelError}
_WHERE = {"dataset": "the path in the catalog", "model": "the name"}


def named(kind: Kind, repo: str, revision: str = "") -> str:
    """`data set mteb/sts17 (main)`; of a full commit, the first 12 digits."""
    return f"{_NOUN[kind]} {repo}" + (f" ({revision[:12]})" if revision else "")


def refuse(kind: Kind, problem: str, remedy: str) -> MlsgError:
    """The error of this kind of repository."""
    return _ERROR[kind](problem, remedy)


def in_one_line(error: Exception, kind: Kind, repo: str, revision: str) -> MlsgError | None:
    """The error that a user can act on, or None where `error` is none of the hub's refusals."""
    from huggingface_hub import errors

    host = libraries.endpoint()
    for each in chain(error):
        if isinstance(each, MlsgError):
            return each
        if isinstance(each, errors.RevisionNotFoundError):
            return refuse(
                kind, f"{named(kind, repo)} has no revision {revision}", "give a branch, a tag or a full commit"
            )
        status = getattr(getattr(each, "response", None), "status_code", None)
        if isinstance(each, errors.GatedRepoError) or status == 403:
            page = f"{host}/{'datasets/' if kind == 'dataset' else ''}{repo}"
            return refuse(kind, f"{named(kind, repo)} is gated", f"accept its terms at {page} and set HF_TOKEN")
        if isinstance(each, errors.RepositoryNotFoundError) or status in {401, 404}:
            problem = f"{named(kind, repo)} is not on {host}, or is private"
            return refuse(kind, problem, f"check {_WHERE[kind]}; for a private one set HF_TOKEN")
        if isinstance(each, errors.HFValidationError):
            return refuse(kind, f'"{repo}" is no {_NOUN[kind]} of the hub', f"check {_WHERE[kind]}: owner/name")
        if isinstance(each, OSError) and each.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
            problem = f"{named(kind, repo)} cannot be kept in {libraries.hub_cache()}: {each.strerror}"
            return refuse(kind, problem, "free some space there, or set HF_HOME to another folder")
    return None


def unreadable(error: Exception, repo: str, config: str | None, split: str) -> MlsgError:
    """What `datasets` says of a configuration, a split or a file that it cannot read, in one line."""
    text = str(error)
    where = named("dataset", repo)
    if "BuilderConfig" in text or "Config name is missing" in text or "available configs" in text.lower():
        known = _listed(text)
        problem = f'{where} has no configuration "{config}"' if config else f"{where} has several configurations"
        return DataError(problem, nearest(config, known) if config else f"name one of: {', '.join(known)}")
    if "split" in text.lower():
        return DataError(f'{where} has no split "{split}"', nearest(split, _listed(text)))
    first = next(chain(error).__iter__())
    root = list(chain(first))[-1]
    return DataError(f"{where} cannot be read: {reason(root)}", "declare another data set or revision")


def no_data_files(repo: str, files: Sequence[str]) -> MlsgError:
    """A repository without any file that is read here."""
    held = f"holds {', '.join(files[:3])}" if files else "is empty"
    return DataError(f"{named('dataset', repo)} has no data that can be read ({held})", "declare another data set")


def _listed(text: str) -> list[str]:
    """The names in the last bracketed list of a message: `Available: ['a', 'b']` -> a, b."""
    lists = re.findall(r"\[([^\[\]]*)\]", text)
    return re.findall(r"'([^']+)'", lists[-1]) if lists else []
