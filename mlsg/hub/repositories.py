"""What the hub says about one repository at one revision: the full commit and the names of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mlsg.hub import libraries
from mlsg.hub.errors import Kind, in_one_line, named
from mlsg.hub.retry import Patience, retry_while_passing

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 10.0


@dataclass(frozen=True)
class Repository:
    """One repository at one commit."""

    kind: Kind
    repo: str
    commit: str
    files: tuple[str, ...]


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit, which never changes its meaning."""
    return _COMMIT.fullmatch(revision) is not None


@lru_cache(maxsize=256)
def ask(kind: Kind, repo: str, revision: str, patience: Patience) -> Repository:
    """One question to the hub, repeated while it is out of breath.

    Raises DataError or ModelError for a repository or revision that is not there or not open to this user, and
    HubUnreachableError.
    """
    api = libraries.hub().HfApi(library_name="mlsg")
    what = named(kind, repo, revision)
    try:
        info = retry_while_passing(
            lambda: api.repo_info(repo, repo_type=kind, revision=revision, timeout=_SECONDS), what, patience
        )
    except Exception as error:
        said = in_one_line(error, kind, repo, revision)
        if said is None or said is error:
            raise
        raise said from None
    return Repository(kind, repo, info.sha, tuple(sorted(sibling.rfilename for sibling in info.siblings or ())))
