"""The Hugging Face hub as mlsg uses it; importing this package imports none of the hub's own libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.errors import HubUnreachableError, MlsgError
from mlsg.hub import libraries, revisions, rows, snapshot, stream
from mlsg.hub.errors import Kind, named
from mlsg.hub.retry import RetryPolicy, why_out_of_reach
from mlsg.hub.stream import RowStream, Sample

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

__all__ = ["Hub", "RowStream", "Sample"]


@dataclass(frozen=True)
class Hub:
    """Data sets, models and revisions: from the caches under HF_HOME, else from the hub.

    `workspace` records what a branch meant when it was first used; with None nothing is recorded.
    """

    workspace: Path | None = None
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @classmethod
    def from_environment(cls, workspace: Path | None = None) -> Hub:
        """The hub as HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME and the proxy variables describe it."""
        return cls(workspace)

    def why_unreachable(self) -> str:
        """Empty, or in a few words: why the hub is out of reach; asked once, within 3 s. Never raises."""
        return libraries.offline_because() or why_out_of_reach(libraries.endpoint())

    def resolve(self, repo: str, revision: str = "main", kind: Kind = "dataset") -> str | None:
        """The full commit of `revision`, or None when it is unknown and the hub is out of reach.

        Raises DataError or ModelError when it does not exist, HubUnreachableError when the hub keeps failing and the
        cache does not know it, and SettingError when the workspace cannot be written.
        """
        if revisions.is_commit(revision):
            return revision
        if known := revisions.recorded(self.workspace, kind, repo, revision):
            return known
        found = None if self.why_unreachable() else self._ask_commit(repo, revision, kind)
        found = found or revisions.cached(kind, repo, revision)
        return revisions.record(self.workspace, kind, repo, revision, found) if found else None

    def rows(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        """The rows of a data set that `where` selects, declared columns only. Raises DataError, HubUnreachableError."""
        return rows.read_rows(source, self._readable_commit(source), self.retry_policy)

    def stream(self, source: HubSource, sample: Sample | None = None) -> Iterator[Mapping[str, Any]]:
        """As `rows`, for data too large to download first: read while it arrives, and not kept; a sample comes first.

        A sample is read from the hub itself, so that it is the same whatever the cache holds.
        """
        commit = self._readable_commit(source)
        if sample and (why := self.why_unreachable()):
            problem = f"a sample of {named('dataset', source.path)} is read from the hub, which is out of reach ({why})"
            raise HubUnreachableError(problem, "connect to the network, or leave out --limit")
        return stream.read_stream(source, commit, self.retry_policy, sample)

    def check(self, source: HubSource) -> str:
        """The commit whose rows are available now; found out within seconds. Raises as `rows` does."""
        brief = replace(self, retry_policy=self.retry_policy.brief())
        commit = brief._readable_commit(source)
        if not rows.cached_table(source, commit):
            rows.refuse_scripts(revisions.ask("dataset", source.path, commit, brief.retry_policy))
        return commit

    def available(self, source: HubSource) -> str:
        """Empty, or one line: why the rows are not available now, and what to do where connecting is not enough."""
        try:
            self.check(source)
        except HubUnreachableError as error:
            return error.problem
        except MlsgError as error:
            return str(error)
        return ""

    def snapshot(self, repo: str, revision: str = "main") -> Path:
        """The local folder of a model, without any pickle. Raises ModelError, HubUnreachableError."""
        commit = self.resolve(repo, revision, "model")
        folder = snapshot.cached_model(repo, commit) if commit else None
        if folder is not None:
            return folder
        if commit is None or self.why_unreachable():
            raise self._out_of_reach("model", repo, revision, "name a local folder")
        return snapshot.download_model(repo, commit, self.retry_policy)

    def _ask_commit(self, repo: str, revision: str, kind: Kind) -> str | None:
        """What the hub says; None where it keeps failing and the cache knows an answer."""
        try:
            found = revisions.ask(kind, repo, revision, self.retry_policy).commit
        except HubUnreachableError:
            if revisions.cached(kind, repo, revision) is None:
                raise
            return None
        with suppress(OSError):  # a read-only cache is still a cache
            revisions.note_in_cache(kind, repo, revision, found)
        return found

    def _readable_commit(self, source: HubSource) -> str:
        """The commit to read; HubUnreachableError when its rows are neither cached nor in reach."""
        commit = self.resolve(source.path, source.revision)
        if commit and (rows.cached_table(source, commit) or not self.why_unreachable()):
            return commit
        raise self._out_of_reach("dataset", source.path, source.revision, "read local files with --data-root")

    def _out_of_reach(self, kind: Kind, repo: str, revision: str, instead: str) -> HubUnreachableError:
        why = self.why_unreachable()
        problem = f"{named(kind, repo, revision)} is not in the local cache and the hub is out of reach ({why})"
        return HubUnreachableError(problem, f"connect to the network once, or {instead}")
