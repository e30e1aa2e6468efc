"""What a revision of a repository means: as the hub says now, as its cache last saw it, as this workspace recorded it.

The first answer is recorded in `<workspace>/revisions.json` and holds from then on. It is also noted in the hub's own
cache, as the hub's libraries do, so that a new workspace finds it offline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlsg.cache.files import read_json, readable_json, write_atomically
from mlsg.cache.writing import updating
from mlsg.errors import SettingError
from mlsg.hub import libraries
from mlsg.hub.errors import Kind, named, reworded
from mlsg.hub.retry import RetryPolicy, retry

FILE = "revisions.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 10.0


@dataclass(frozen=True)
class Repository:
    """One repository at one commit."""

    repo: str
    commit: str
    files: tuple[str, ...]


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit, which never changes its meaning."""
    return _COMMIT.fullmatch(revision) is not None


@lru_cache(maxsize=256)
def ask(kind: Kind, repo: str, revision: str, policy: RetryPolicy) -> Repository:
    """What the hub says now: the full commit and its files. Raises DataError or ModelError, and HubUnreachableError."""
    repo_info = libraries.hub().HfApi(library_name="mlsg").repo_info
    with reworded(kind, repo, revision):
        what, about = named(kind, repo, revision), {"repo_type": kind, "revision": revision, "timeout": _SECONDS}
        info = retry(lambda: repo_info(repo, **about), what, policy)
    return Repository(repo, info.sha, tuple(sorted(sibling.rfilename for sibling in info.siblings or ())))


def recorded(workspace: Path | None, kind: Kind, repo: str, revision: str) -> str | None:
    """The commit that this workspace uses for a branch or tag, or None. Raises SettingError for a damaged file."""
    entries = _read(workspace / FILE) if workspace else {}
    return entries.get(kind, {}).get(repo, {}).get(revision)


def record(workspace: Path | None, kind: Kind, repo: str, revision: str, commit: str) -> str:
    """Record a commit and return the one that holds, perhaps of another process. Raises SettingError."""
    if workspace is None:
        return commit
    with updating(workspace, FILE) as path:
        entries = _read(path)
        branches = entries.setdefault(kind, {}).setdefault(repo, {})
        if revision not in branches:
            branches[revision] = commit
            entries = {kind: dict(sorted(repos.items())) for kind, repos in sorted(entries.items())}
            write_atomically(path, readable_json(entries))
        return branches[revision]


def cached(kind: Kind, repo: str, revision: str) -> str | None:
    """The commit that the hub's cache last saw for a branch or tag, or None."""
    try:
        commit = (repository_folder(kind, repo) / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # a damaged one is as good as none: it is written anew when the hub is asked
        return None
    return commit if is_commit(commit) else None


def note_in_cache(kind: Kind, repo: str, revision: str, commit: str) -> None:
    """Tell the hub's cache what a branch or tag means now."""
    if cached(kind, repo, revision) != commit:
        write_atomically(repository_folder(kind, repo) / "refs" / revision, commit)


def repository_folder(kind: Kind, repo: str) -> Path:
    """The folder of a repository in the hub's cache: `datasets--owner--name`."""
    return libraries.hub_cache() / "--".join((f"{kind}s", *repo.split("/")))


def _read(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Kind -> repository -> branch or tag -> commit."""
    try:
        entries = read_json(path)
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        entries = None
    if not _is_record(entries):
        raise SettingError(f"{path} is damaged", "delete it; branches are then asked for anew")
    return entries  # type: ignore[no-any-return]


def _is_record(entries: object, depth: int = 3) -> bool:
    """Whether these are tables in tables in tables of full commits."""
    if depth == 0:
        return isinstance(entries, str) and is_commit(entries)
    return isinstance(entries, dict) and all(_is_record(each, depth - 1) for each in entries.values())
