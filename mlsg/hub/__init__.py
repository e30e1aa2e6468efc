"""The Hugging Face hub as mlsg uses it: data sets by pinned revision, models by snapshot, from the cache when offline.

    hub = Hub.from_environment(workspace)          # workspace: Path, or None (then nothing is recorded)
    hub.reachable() -> bool                        # one test for the process, within 3 s; never raises
    hub.why_unreachable() -> str                   # "" or one line
    hub.resolve(repo, revision="main", kind="dataset" | "model") -> str | None     # full commit; None = out of reach
    hub.rows(source) -> Iterator[Mapping[str, Any]]       # declared columns of the rows that `where` lets through
    hub.stream(source) -> Iterator[Mapping[str, Any]]     # the same without downloading first; survives broken lines
    hub.available(source) -> str                   # "" or why these rows cannot be had now, within seconds
    hub.snapshot(repo, revision="main") -> Path    # local folder of a model: config, tokenizer, safetensors
    hub.model_available(repo, revision="main") -> str     # "" or why the model cannot be had now

`source` is a `mlsg.config.catalog.HubSource`. Importing this package imports none of the hub's own libraries.
"""

from __future__ import annotations

from mlsg.hub.hub import Hub

__all__ = ["Hub"]
