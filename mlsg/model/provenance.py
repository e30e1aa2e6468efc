"""What an encoder folder says of its own making (`mlsg.json`), read for tables and model cards.

A foreign folder has no such file: then nothing is known, and nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mlsg.errors import ModelError
from mlsg.model.folder import PROVENANCE, read_provenance
from mlsg.model.folder_keys import read_table, shown

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Provenance:
    """How an encoder was made.

    `trained` says whether there was any training text (None: not known), `text` is its sha256. `transductive` names the
    families of texts that it holds by declaration; `found` counts, for each pair set that it was compared with, the
    lines of it that are sentences of the set; `compared` says with which bytes of the set (`LocatedSet.text`). `prompt`
    stood before each sentence; `dropped` are modules of the base (Dense, ...) that were left out.
    """

    base: str = ""
    base_revision: str = ""
    base_fingerprint: str = ""
    objective: str = ""
    objective_settings: Mapping[str, Any] = field(default_factory=dict)
    transform: Mapping[str, Any] = field(default_factory=dict)
    train_settings: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = ""
    layer: int | None = None
    base_layers: int | None = None
    dimension: int | None = None
    trained: bool | None = None
    lang: str = ""
    corpus: str = ""
    licence: str = ""
    prompt: str = ""
    dropped: tuple[str, ...] = ()
    sentences: int | None = None
    text: str = ""
    transductive: frozenset[str] = frozenset()
    found: Mapping[str, int] = field(default_factory=dict)
    compared: Mapping[str, str] = field(default_factory=dict)
    dev_scores: tuple[float, float] | None = None
    """Spearman on the dev set before training, and the best after it."""

    @property
    def below_base(self) -> bool:
        """Whether no measurement on the dev set reached the score before training."""
        return self.dev_scores is not None and self.dev_scores[1] < self.dev_scores[0]

    @property
    def base_is_local(self) -> bool:
        """Whether the base was a folder (or the starter), not a model of the hub."""
        return is_local(self.base_fingerprint)


def is_local(fingerprint: str) -> bool:
    """Whether a model was read from a folder: the fingerprint of a hub model is `owner/name@commit`, else a sha256."""
    return "@" not in fingerprint


def name_of(model: str, fingerprint: str) -> str:
    """A model for people: `../models/mini/` -> `mini`; with a hub fingerprint `owner/name` -> `owner/name`."""
    if not is_local(fingerprint) or not model:
        return model
    return Path(model).name or Path(model).resolve().name


def provenance_in(folder: Path) -> Provenance | None:
    """The provenance of an encoder folder, None if mlsg did not write it. Raises ModelError if it cannot be read."""
    table = read_provenance(folder)
    try:
        return replace(provenance_of(table), dev_scores=_dev_scores(folder / "history.json")) if table else None
    except ModelError as error:
        raise ModelError(f"{folder / PROVENANCE}: {error.problem}", error.remedy) from error


def provenance_of(table: Mapping[str, Any]) -> Provenance:
    """The provenance in the table of an `mlsg.json`; what the table does not say stays empty.

    Raises ModelError for a value of another kind than mlsg writes.
    """
    base, objective, text = _table(table, "base"), _table(table, "objective"), _table(table, "sentences")
    encoder, compared = _table(table, "encoder"), _table(text, "evaluation")
    settings = {name: value for name, value in objective.items() if name != "name"}
    transductive = _value(text, "transductive", list) or []
    return Provenance(
        base=_value(base, "name", str) or "",
        base_revision=_value(base, "revision", str) or "",
        base_fingerprint=_value(base, "fingerprint", str) or "",
        objective=_value(objective, "name", str) or "",
        objective_settings=settings,
        transform=_table(table, "transform"),
        train_settings=_table(table, "train"),
        pooling=_value(encoder, "pooling", str) or "",
        layer=_value(encoder, "layer", int),
        base_layers=_value(encoder, "base_layers", int),
        dimension=_value(encoder, "dimension", int),
        trained=bool(table["sentences"]) if "sentences" in table else None,
        lang=_value(text, "lang", str) or "",
        corpus=_value(text, "corpus", str) or "",
        licence=_value(text, "licence", str) or "",
        prompt=_value(table, "prompt", str) or "",
        dropped=tuple(_checked(each, "dropped", str) for each in _value(table, "dropped", list) or ()),
        sentences=_value(text, "kept", int),
        text=_value(text, "sha256", str) or "",
        transductive=frozenset(_checked(each, "transductive", str) for each in transductive),
        found={
            # of `{"kept": 3, "dropped": 40}` the lines of the training text that remained
            name: (_value(count, "kept", int) or 0) if isinstance(count, Mapping) else 0
            for name, count in compared.items()
        },
        compared={name: each["fingerprint"] for name in compared if "fingerprint" in (each := _table(compared, name))},
    )


def _dev_scores(history: Path) -> tuple[float, float] | None:
    table = read_table(history) if history.is_file() else {}
    measured = table.get("measurements")
    first = measured[0] if isinstance(measured, list) and measured else None
    before, after = first.get("dev") if isinstance(first, Mapping) else None, table.get("best_dev")
    return (before, after) if isinstance(before, float) and isinstance(after, float) else None


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name)
    return value if isinstance(value, Mapping) else {}


def _value(table: Mapping[str, Any], name: str, kind: type[_Kind]) -> _Kind | None:
    value = table.get(name)
    return None if value is None else _checked(value, name, kind)


def _checked(value: object, name: str, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ModelError(f"mlsg never writes {name} = {shown(value)}", "export the encoder again")
    return value
