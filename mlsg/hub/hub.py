"""`Hub`: the one door to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mlsg.catalog import HubSource


@dataclass(frozen=True)
class Hub:
    """Access to data sets, models and revisions, honest about being offline."""

    workspace: Path | None = None

    @classmethod
    def from_environment(cls, workspace: Path | None = None) -> Hub:
        """The hub as HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and HF_HOME describe it."""
        return cls(workspace)

    def reachable(self) -> bool:
        """Whether the hub answers; tested once for the process, within 3 s."""
        return False

    def why_unreachable(self) -> str:
        """Empty, or one line: why the hub is out of reach."""
        return "the hub is not there yet"

    def resolve(self, repo: str, revision: str = "main", kind: Literal["dataset", "model"] = "dataset") -> str | None:
        """The full commit of `revision`; None when it is unknown and the hub is out of reach."""
        return revision if len(revision) == 40 else None

    def rows(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        """The rows of a data set that `where` lets through, declared columns only."""
        raise NotImplementedError

    def stream(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        """As `rows`, read while they arrive."""
        raise NotImplementedError

    def available(self, source: HubSource) -> str:
        """Empty, or one line: why the rows cannot be had now."""
        return self.why_unreachable()

    def snapshot(self, repo: str, revision: str = "main") -> Path:
        """The local folder of a model: config, tokenizer files and safetensors."""
        raise NotImplementedError

    def model_available(self, repo: str, revision: str = "main") -> str:
        """Empty, or one line: why the model cannot be had now."""
        return self.why_unreachable()
