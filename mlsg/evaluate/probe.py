"""The probe: every layer under every plain pooling, language by language, and a choice among them without labels.

    probes/<key>/probe.json      Spearman of each layer and pooling on each language's primary set, and the agreements

Source: Kim, Yoo, Lee, ACL 2021, figure 1, with more languages. The choice without labels is an addition of mlsg: the
layer and pooling whose cosines agree most, by Spearman, with the mean rank of all candidates on the same pairs,
averaged over languages. The pairs' scores are not looked at for it, their sentences are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsg import console
from mlsg.cache.artefact import Request
from mlsg.cache.files import read_json, readable_json
from mlsg.cache.versions import vector_versions
from mlsg.config.recipes import EvalSettings
from mlsg.data.pairs import GradedPairs, read_pairs
from mlsg.evaluate.cosines import cosines
from mlsg.evaluate.encoder_ref import EncoderRef, resolve_encoder
from mlsg.evaluate.results import rounded
from mlsg.evaluate.statistics import Floats, average_ranks, spearman

if TYPE_CHECKING:
    from mlsg.cache.artefact import Artefact
    from mlsg.context import Context

STAGE = "probes"
FORMAT = 1
POOLINGS = ("cls", "mean", "max")
_FILE = "probe.json"

Place = tuple[int, str]
"""A layer, 0 being the embeddings, and a pooling."""


@dataclass(frozen=True)
class Probe:
    """What was found of a model."""

    artefact: Artefact
    name: str
    sets: Mapping[str, str]
    """The primary set of each language."""
    scores: Mapping[str, Mapping[Place, float | None]]
    """Spearman by language, then by layer and pooling."""
    agreements: Mapping[Place, float]
    """With the mean rank of all candidates, averaged over languages; no scores are in it."""

    @property
    def layers(self) -> int:
        """The last layer."""
        return max(layer for layer, _ in self.agreements)

    def mean(self, place: Place) -> float | None:
        """Over languages; None where one of them has no score."""
        found = [of_language[place] for of_language in self.scores.values()]
        values = [value for value in found if value is not None]
        return float(np.mean(values)) if len(values) == len(found) else None

    @property
    def best(self) -> Place:
        """By the scores, in the mean over languages."""
        return max(self.agreements, key=lambda place: self.mean(place) or -1.0)

    @property
    def chosen(self) -> Place:
        """Without scores."""
        return max(self.agreements, key=lambda place: self.agreements[place])

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able document of schema `mlsg.probe/1`."""
        rows = [
            {"layer": layer, "pooling": pooling, "agreement": agreement, "mean": self.mean((layer, pooling))}
            | {"spearman": {code: found[layer, pooling] for code, found in self.scores.items()}}
            for (layer, pooling), agreement in self.agreements.items()
        ]
        named = {"best": self.best, "chosen": self.chosen}
        found = {name: {"layer": layer, "pooling": pooling} for name, (layer, pooling) in named.items()}
        document = {"schema": "mlsg.probe/1", "model": self.name, "sets": dict(self.sets), **found, "rows": rows}
        return {name: rounded(value) for name, value in document.items()}


def probe(model: str, settings: EvalSettings, context: Context) -> Probe:
    """The probe of a model (folder or hub id; a sentence-transformers folder's transformer) on `settings.langs`.

    Raises as `mlsg.evaluate.evaluate` does.
    """
    from mlsg.evaluate.suites.sts import select_sets

    ref = resolve_encoder(model, "cls", context.workspace, context.hub)
    selection = select_sets(settings, context.catalog, context.data_root, context.hub)
    primaries = {code: name for code, name in selection.primaries.items() if name is not None}
    located = {each.pair_set.name: each for each in selection.located}
    sets = {code: name for code, name in primaries.items() if name in located}
    request = Request(
        stage=STAGE,
        format=FORMAT,
        name=ref.name,
        settings={"sets": dict(sets), "precision": settings.precision},
        inputs={},
        fingerprints={
            "model": ref.key,
            **{f"set {name}": located[name].fingerprint for name in sets.values()},
            **vector_versions(),
        },
    )

    def make(folder: Any, scratch: Any) -> Mapping[str, Any]:
        pairs = {code: read_pairs(located[name], context.hub) for code, name in sets.items()}
        (folder / _FILE).write_text(readable_json(_measured(ref, pairs, settings.precision, context)), "utf-8")
        return {}

    artefact = context.workspace.build(request, make)
    found = read_json(artefact.folder / _FILE)
    places = [(layer, pooling) for layer, pooling in found["places"]]
    scores = {code: dict(zip(places, values, strict=True)) for code, values in found["scores"].items()}
    return Probe(artefact, ref.name, sets, scores, dict(zip(places, found["agreements"], strict=True)))


def agreement(candidates: Sequence[Floats]) -> list[float]:
    """Of each candidate's cosines (pairs,) the Spearman correlation with the mean rank of all candidates' cosines.

    A candidate whose cosines are all equal, or not finite, agrees with none: -1.
    """
    defined = [np.isfinite(each).all() and np.ptp(each) > 0 for each in candidates]
    ranks = [average_ranks(each) for each, known in zip(candidates, defined, strict=True) if known]
    if not ranks:
        return [-1.0] * len(candidates)
    consensus = np.mean(ranks, axis=0)
    found = [spearman(each, consensus) if known else None for each, known in zip(candidates, defined, strict=True)]
    return [-1.0 if value is None else value for value in found]


def _measured(ref: EncoderRef, pairs: Mapping[str, GradedPairs], precision: str, context: Context) -> dict[str, Any]:
    from mlsg.model.encoder import Encoder, encode_tokens

    lead = ref.load(precision, context.hub)
    places = [(layer, pooling) for layer in range(lead.backbone.layers + 1) for pooling in POOLINGS]
    encoders = [Encoder(lead.backbone, pooling, layer, precision=precision) for layer, pooling in places]
    scores: dict[str, list[float | None]] = {}
    agreements = []
    texts = sum(len(set(each.first) | set(each.second)) for each in pairs.values())
    with console.progress("probe", texts, "sentences") as bar:
        for code, own in pairs.items():
            distinct = list(dict.fromkeys([*own.first, *own.second]))
            row_of = {text: row for row, text in enumerate(distinct)}
            first, second = ([row_of[text] for text in column] for column in (own.first, own.second))
            vectors = np.empty((len(places), len(distinct), lead.dimension), dtype=np.float32)
            for rows, found in encode_tokens(encoders, lead.tokenize(distinct), settled=True):
                vectors[:, rows] = np.stack(found)
                bar.advance(len(np.unique(rows)))
            of_places = [cosines(each[first], each[second]) for each in vectors]
            scores[code] = [spearman(each, own.scores) for each in of_places]
            agreements.append(agreement(of_places))
    return {"places": places, "scores": scores, "agreements": np.mean(agreements, axis=0).tolist()}
