"""Evaluation: scores of an encoder on the pair sets of languages that its training never saw.

Importing this package, and asking for scores that are there already, imports neither torch nor transformers.
"""

from __future__ import annotations

from pathlib import Path

from mlsg.artefact import Artefact
from mlsg.catalog import Catalog
from mlsg.evaluate.compare import compare
from mlsg.evaluate.sts import Scores, evaluate_sts
from mlsg.evaluate.subject import resolve_encoder
from mlsg.hub import Hub
from mlsg.recipes import EvalSettings
from mlsg.workspace import Workspace

__all__ = ["Scores", "compare", "evaluate"]


def evaluate(
    encoder: str | Artefact,
    settings: EvalSettings,
    *,
    workspace: Workspace,
    catalog: Catalog,
    data_root: Path | None = None,
    pooling: str | None = None,
) -> Scores:
    """Scores of an encoder (artefact, folder or hub id) on the sets of `settings.langs`.

    Raises SettingError for an unknown language or pooling, ModelError and DataError for what cannot be read,
    HubUnreachableError when no set at all, or not the encoder, can be had.
    """
    hub = Hub.from_environment(workspace.root)
    subject = resolve_encoder(encoder, pooling, workspace, hub)
    return evaluate_sts(subject, settings, workspace=workspace, catalog=catalog, data_root=data_root, hub=hub)
