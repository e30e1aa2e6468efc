"""Why an artefact was built, or would be: how its request differs from the nearest artefact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.workspace import Help, Make, Workspace


class NotBuiltError(Exception):
    """Raised by `DryRunWorkspace.build` for a request that has no finished artefact."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.folder_name)
        self.request = request


class DryRunWorkspace(Workspace):
    """A workspace in which nothing is built: stages run up to the first artefact that is missing."""

    def build(
        self, request: Request, make: Make, *, recipe: Mapping[str, Any] | None = None, help_make: Help | None = None
    ) -> Artefact:
        """The finished artefact, or NotBuiltError."""
        found = self.find(request)
        if found is None:
            raise NotBuiltError(request)
        return found

    def remember(self, role: str, artefact: Artefact) -> None:
        """A dry run leaves no trace."""


def explain_built(artefact: Artefact, workspace: Workspace) -> list[str]:
    """Lines that say why this finished artefact was built and not an older one used."""
    others = [each for each in workspace.artefacts(artefact.stage) if each.key != artefact.key]
    first = f"{artefact.stage}: {artefact.folder.name} is up to date"
    return [first, *_nearest(artefact.identity, others, "it differs from")]


def explain_missing(request: Request, workspace: Workspace) -> list[str]:
    """Lines that say why a stage that is not built yet would be."""
    nearest = _nearest(request.identity, workspace.artefacts(request.stage), "nearest is")
    first = f"{request.stage}: {request.folder_name} would be built"
    return [first, *(nearest or [f"  there are no {request.stage} artefacts yet"])]


def _nearest(identity: Mapping[str, Any], others: Iterable[Artefact], words: str) -> list[str]:
    """Lines that name the one of `others` with the fewest differing entries, and those entries; none without others."""
    ranked = [(_differences(identity, other.identity), other.folder.name) for other in others]
    if not ranked:
        return []
    entries, name = min(ranked, key=lambda pair: (len(pair[0]), pair[1]))
    return [f"  {words} {name} in:", *(f"    {entry}" for entry in entries)]


def _differences(wanted: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Entries in which two identities differ: `settings.train.seed: 1 -> 2` reads `other has 1, wanted has 2`."""
    old, new = dict(_flat(other)), dict(_flat(wanted))
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return [f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}" for name in changed]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: object) -> str:
    text = "(none)" if value is None else str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text
