"""The sentences of pair sets in the form in which training text is compared with them, kept as an artefact.

    comparison/sets-<key>/forms.txt     match forms, each once, one a line; those of the same sets together

Parsing all sets takes seconds, reading this file a fraction of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.cache.artefact import Request
from mlsg.cache.workspace import Workspace
from mlsg.data.pairs import LocatedSet, read_pairs
from mlsg.errors import DataError
from mlsg.hub import Hub
from mlsg.text.evaluation import EvaluationSentences

FORMAT = 1
_FILE = "forms.txt"


def evaluation_sentences(
    sets: Sequence[LocatedSet], workspace: Workspace, hub: Hub
) -> tuple[EvaluationSentences, Mapping[str, str]]:
    """The sentences of both columns of all sets, and of the sets that cannot be read, by name, why.

    Raises HubUnreachableError.
    """
    if not sets:
        return EvaluationSentences(), {}
    fingerprints = {f"set {each.pair_set.name}": each.fingerprint for each in sets}
    request = Request("comparison", FORMAT, "sets", {}, {}, fingerprints)
    artefact = workspace.build(request, lambda folder, _scratch: _write(sets, hub, folder))
    forms = (artefact.folder / _FILE).read_bytes().decode().split("\n")
    found, start = EvaluationSentences(), 0
    for names, size in artefact.facts["forms"]:
        found.add_forms(tuple(names), forms[start : start + size])
        start += size
    return found, artefact.facts["unreadable"]


def _write(sets: Sequence[LocatedSet], hub: Hub, folder: Path) -> dict[str, Any]:
    found, unreadable = EvaluationSentences(), {}
    for each in sets:
        try:
            pairs = read_pairs(each, hub)
        except DataError as error:
            problem = error.problem
            for path in each.paths:  # an artefact holds no path of this machine
                problem = problem.replace(str(path), path.name)
            unreadable[each.pair_set.name] = problem
        else:
            found.add(pairs.name, [*pairs.first, *pairs.second])
    groups = sorted(found.by_sets().items())
    with (folder / _FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{form}\n" for _, forms in groups for form in sorted(forms))
    return {"forms": [[names, len(forms)] for names, forms in groups], "unreadable": unreadable}
