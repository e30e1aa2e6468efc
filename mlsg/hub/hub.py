"""`Hub`: the one door to the Hugging Face hub, honest about being offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.errors import HubUnreachableError, MlsgError
from mlsg.hub import connectivity, libraries, revisions, rows, snapshot, streams
from mlsg.hub.errors import Kind, named
from mlsg.hub.repositories import ask, is_commit
from mlsg.hub.retry import Patience
from mlsg.hub.tables import cached_table

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource


@dataclass(frozen=True)
class Hub:
    """Data sets, models and revisions: from the caches under HF_HOME where they are, else from the hub.

    What is pinned and cached is never asked for. `workspace` keeps what a branch meant when it was first used; with
    None nothing is written down.
    """

    workspace: Path | None = None
    patience: Patience = field(default_factory=Patience)

    @classmethod
    def from_environment(cls, workspace: Path | None = None) -> Hub:
        """The hub as HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME and the proxy variables describe it."""
        return cls(workspace)

    def reachable(self) -> bool:
        """Whether the hub answers; tested once for the process, within 3 s."""
        return not self.why_unreachable()

    def why_unreachable(self) -> str:
        """Empty, or in a few words: why the hub is out of reach."""
        return libraries.offline_because() or connectivity.why_out_of_reach(libraries.endpoint())

    def resolve(self, repo: str, revision: str = "main", kind: Kind = "dataset") -> str | None:
        """The full commit of `revision`: itself, or as this workspace first saw it, or as the hub says now.

        None when it is unknown and the hub is out of reach. Raises DataError or ModelError when the hub knows no such
        repository or revision, HubUnreachableError when it answers with faults only and the cache knows nothing, and
        SettingError when the workspace cannot be written.
        """
        if is_commit(revision):
            return revision
        known = revisions.recorded(self.workspace, kind, repo, revision)
        if known:
            return known
        found = self._ask_commit(repo, revision, kind) if self.reachable() else None
        found = found or revisions.cached(kind, repo, revision)
        return revisions.record(self.workspace, kind, repo, revision, found) if found else None

    def rows(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        """The rows of a data set that `where` lets through, declared columns only, in the data set's order.

        Raises DataError for what is not there or cannot be read, HubUnreachableError when it is neither cached nor in
        reach.
        """
        return rows.read_rows(source, self._commit_at_hand(source), self.patience)

    def stream(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        """As `rows`, for data too large to fetch first: read while it arrives, and not kept."""
        return streams.read_stream(source, self._commit_at_hand(source), self.patience)

    def check(self, source: HubSource) -> str:
        """The commit whose rows can be had now; found out within seconds. Raises as `rows` does."""
        brief = Hub(self.workspace, self.patience.shorter())
        commit = brief._commit_at_hand(source)
        if not cached_table(source, commit):
            rows.check(ask("dataset", source.path, commit, brief.patience))
        return commit

    def available(self, source: HubSource) -> str:
        """Empty, or one line: why the rows cannot be had now, and what to do where connecting is not enough."""
        try:
            self.check(source)
        except HubUnreachableError as error:
            return error.problem
        except MlsgError as error:
            return str(error)
        return ""

    def snapshot(self, repo: str, revision: str = "main") -> Path:
        """The local folder of a model: configuration, tokenizer files and safetensors, never a pickle.

        Raises ModelError for what is no model or has only pickled weights, HubUnreachableError when it is neither
        cached nor in reach.
        """
        commit = self.resolve(repo, revision, "model")
        folder = snapshot.cached_model(repo, commit) if commit else None
        if folder is not None:
            return folder
        if commit is None or not self.reachable():
            raise self._out_of_reach("model", repo, revision, "name a local folder")
        return snapshot.fetched_model(repo, commit, self.patience)

    def model_available(self, repo: str, revision: str = "main") -> str:
        """Empty, or one line: why the model cannot be had now; within seconds."""
        brief = Hub(self.workspace, self.patience.shorter())
        try:
            commit = brief.resolve(repo, revision, "model")
            if commit is None or (not brief.reachable() and snapshot.cached_model(repo, commit) is None):
                raise self._out_of_reach("model", repo, revision, "name a local folder")
            if snapshot.cached_model(repo, commit) is None:
                snapshot.check_model(repo, ask("model", repo, commit, brief.patience).files)
        except HubUnreachableError as error:
            return error.problem
        except MlsgError as error:
            return str(error)
        return ""

    def _ask_commit(self, repo: str, revision: str, kind: Kind) -> str | None:
        """What the hub says; None where it is ill and the cache knows an answer."""
        try:
            found = ask(kind, repo, revision, self.patience).commit
        except HubUnreachableError:
            if revisions.cached(kind, repo, revision) is None:
                raise
            return None
        with suppress(OSError):  # a cache that may only be read is still a cache
            revisions.note_in_cache(kind, repo, revision, found)
        return found

    def _commit_at_hand(self, source: HubSource) -> str:
        """The commit to read; raises HubUnreachableError when its rows are neither cached nor in reach."""
        commit = self.resolve(source.path, source.revision)
        if commit and (cached_table(source, commit) or self.reachable()):
            return commit
        raise self._out_of_reach("dataset", source.path, source.revision, "read local files with --data-root")

    def _out_of_reach(self, kind: Kind, repo: str, revision: str, instead: str) -> HubUnreachableError:
        why = self.why_unreachable()
        problem = f"{named(kind, repo, revision)} is not in the local cache and the hub is out of reach ({why})"
        return HubUnreachableError(problem, f"connect to the network once, or {instead}")
