"""Which commit a branch meant when it was first used: `<workspace>/revisions.json`.

A branch moves on; a workspace does not follow it. The first answer is written down under a lock and holds from then
on. The commit is also noted as the branch's in the hub's own cache, as the hub's libraries do, so that a new workspace
finds it offline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from mlsg.cache.files import read_json, readable_json, remove_leftovers, write_atomically
from mlsg.errors import SettingError
from mlsg.hub import libraries
from mlsg.hub.repositories import is_commit

if TYPE_CHECKING:
    from mlsg.hub.errors import Kind

FILE = "revisions.json"


def recorded(workspace: Path | None, kind: Kind, repo: str, revision: str) -> str | None:
    """The commit that this workspace uses for a branch or tag, or None. Raises SettingError for a damaged file."""
    if workspace is None:
        return None
    return _read(workspace / FILE).get(kind, {}).get(repo, {}).get(revision)


def record(workspace: Path | None, kind: Kind, repo: str, revision: str, commit: str) -> str:
    """Write a commit down and return the one that holds: an earlier one, if another process was first."""
    if workspace is None:
        return commit
    try:
        (workspace / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(workspace / "locks" / f"{FILE}.lock"):
            entries = _read(workspace / FILE)
            branches = entries.setdefault(kind, {}).setdefault(repo, {})
            if revision not in branches:
                branches[revision] = commit
                remove_leftovers(workspace / FILE)
                write_atomically(workspace / FILE, readable_json(_sorted(entries)))
            return branches[revision]
    except OSError as error:
        problem = f"the workspace {workspace} cannot be written: {error.strerror}"
        raise SettingError(problem, "free some space there, or name another folder with --workspace") from error


def cached(kind: Kind, repo: str, revision: str) -> str | None:
    """The commit that the hub's cache last saw for a branch or tag, or None."""
    try:
        commit = _reference(kind, repo, revision).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return commit if is_commit(commit) else None


def note_in_cache(kind: Kind, repo: str, revision: str, commit: str) -> None:
    """Tell the hub's cache what a branch or tag means now."""
    if cached(kind, repo, revision) != commit:
        write_atomically(_reference(kind, repo, revision), commit)


def repository_folder(kind: Kind, repo: str) -> Path:
    """The folder of a repository in the hub's cache: `datasets--owner--name`."""
    return libraries.hub_cache() / "--".join((f"{kind}s", *repo.split("/")))


def _reference(kind: Kind, repo: str, revision: str) -> Path:
    return repository_folder(kind, repo) / "refs" / revision


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = read_json(path)
    except FileNotFoundError:
        return {}
    except ValueError:
        entries = None
    if not isinstance(entries, dict) or not all(isinstance(repos, dict) for repos in entries.values()):
        raise SettingError(f"{path} is damaged", "delete it; branches are then asked for anew")
    return entries


def _sorted(entries: dict[str, Any]) -> dict[str, Any]:
    return {kind: {repo: entries[kind][repo] for repo in sorted(entries[kind])} for kind in sorted(entries)}
