"""Whether the training text of an encoder holds sentences of the sets that it is evaluated on.

mlsg.json says with which sets `mlsg prepare` compared the text, and with which bytes of them. With any other set (of
another language and on the hub, declared later, read from another copy) the text is compared now, if the workspace
still has it. What neither compared is not known, and nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.cache.artefact import Request
from mlsg.cache.files import sha256_file
from mlsg.cache.workspace import Workspace
from mlsg.data.pairs import LocatedSet, read_pairs
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.hub import Hub
from mlsg.prepare import STAGE, count_forms, sentences_file, text_sha256
from mlsg.text.evaluation import EvaluationSentences

FORMAT = 1


def transductive(
    encoder: EncoderRef, sets: Sequence[LocatedSet], workspace: Workspace, hub: Hub
) -> dict[str, bool | None]:
    """By set: whether the training text holds sentences of it; None where that is not known.

    Raises DataError and HubUnreachableError for a set that cannot be read.
    """
    known = {each.pair_set.name: encoder.transductive(each) for each in sets}
    unknown = [each for each in sets if known[each.pair_set.name] is None]
    text = encoder.provenance.text if encoder.provenance else ""
    return {**known, **_compared(text, unknown, workspace, hub)} if text and unknown else known


def _compared(text: str, sets: Sequence[LocatedSet], workspace: Workspace, hub: Hub) -> dict[str, bool]:
    """The sets that can be compared with the text of this sha256 now; none where it is not there any more."""
    fingerprints = {f"set {each.pair_set.name}": each.text for each in sets}
    request = Request("overlaps", FORMAT, "text", {}, {"sentences": text}, fingerprints)
    found = workspace.find(request)
    if found is None:
        path = _path_of(text, workspace)
        if path is None:
            return {}
        found = workspace.build(request, lambda _folder, _scratch: _lines(path, sets, hub))
    return {each.pair_set.name: found.facts[each.pair_set.name] > 0 for each in sets}


def _lines(path: Path, sets: Sequence[LocatedSet], hub: Hub) -> Mapping[str, Any]:
    """How many lines of a file of sentences are sentences of each set."""
    sentences = EvaluationSentences()
    for each in sets:
        pairs = read_pairs(each, hub)
        sentences.add(pairs.name, [*pairs.first, *pairs.second])
    sentences.found(count_forms(path, sentences.forms))
    return {name: count.lines for name, count in sentences.counts().items()}


def _path_of(text: str, workspace: Workspace) -> Path | None:
    """Where the text is, undamaged."""
    for artefact in workspace.artefacts(STAGE):
        if artefact.facts.get("kind") == "documents":  # their sentences do not stand by themselves
            continue
        path = sentences_file(artefact)
        if path.is_file() and text_sha256(artefact) == text == sha256_file(path):
            return path
    return None
