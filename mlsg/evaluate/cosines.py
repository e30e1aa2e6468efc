"""Stage `cosines`: the cosine of every pair of the located sets under one encoder.

This is the only part of an evaluation that needs a model, so it is an artefact of its own: statistics over it are
redone in a second, and the base of many encoders is encoded once for all of them. The vectors below it are kept on disk
(`mlsg.evaluate.vectors`): killed, or asked for other sets, it encodes what is new.

`cosines.json` maps each set to `{"gold": [..], "cosine": [..], "truncated": n, "unknown": n}`, pairs in the
set's order; `encoder.json` holds what is known of the encoder once it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import canonical_json, read_json
from mlsg.cache.workspace import Workspace
from mlsg.data.pairs import GradedPairs, LocatedSet, read_pairs
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.encoding import encode_sentences
from mlsg.evaluate.statistics import Floats
from mlsg.evaluate.vectors import Rows

if TYPE_CHECKING:
    from mlsg.hub import Hub

FORMAT = 1
_COSINES = "cosines.json"
_ENCODER = "encoder.json"


@dataclass(frozen=True)
class SetCosines:
    """The pairs of one set as numbers; a cosine that is not finite is NaN."""

    gold: Floats
    cosine: Floats
    truncated: int
    unknown: int


def build_cosines(
    subject: EncoderRef,
    located: Sequence[LocatedSet],
    precision: str,
    *,
    also: Sequence[EncoderRef] = (),
    workspace: Workspace,
    hub: Hub,
) -> Artefact:
    """The cosines of `subject` on `located`; torch is imported only when sentences have to be encoded.

    `also` are poolings of the same base that will be asked for next: one pass makes the vectors of all.
    Raises ModelError where the encoder cannot be read, DataError where a set cannot.
    """
    request = Request(
        stage="cosines",
        format=FORMAT,
        name=subject.label,
        settings={"pooling": subject.pooling, "layer": subject.layer, "precision": precision},
        inputs=subject.inputs,
        fingerprints={**subject.fingerprints, **set_fingerprints(located)},
    )

    def make(folder: Path, _scratch: Path) -> Mapping[str, Any]:
        pairs = [read_pairs(each, hub) for each in located]
        sentences = distinct_sentences(pairs)
        rows, described = encode_sentences(subject, sentences, precision, also=also, workspace=workspace, hub=hub)
        found = score_pairs(sentences, rows, pairs)
        (folder / _COSINES).write_text(canonical_json({name: _table(each) for name, each in found.items()}), "utf-8")
        (folder / _ENCODER).write_text(canonical_json(described), "utf-8")
        return {"sets": len(found), "pairs": sum(len(each.gold) for each in found.values()), **described}

    return workspace.build(request, make)


def set_fingerprints(located: Sequence[LocatedSet]) -> dict[str, str]:
    """What the scores of these sets depend on, for a key."""
    return {f"set {each.pair_set.name}": each.fingerprint for each in located}


def read_cosines(artefact: Artefact) -> dict[str, SetCosines]:
    """The numbers of a `cosines` artefact by set."""
    return {
        name: SetCosines(
            np.array(table["gold"], dtype=np.float64),
            np.array(table["cosine"], dtype=np.float64),  # null becomes NaN
            table["truncated"],
            table["unknown"],
        )
        for name, table in read_json(artefact.folder / _COSINES).items()
    }


def read_encoder_facts(artefact: Artefact) -> dict[str, Any]:
    """Pooling, layer and dimension of the encoder that a `cosines` artefact was made with."""
    return read_json(artefact.folder / _ENCODER)


def distinct_sentences(sets: Sequence[GradedPairs]) -> list[str]:
    """The sentences of all sets, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(text for pairs in sets for text in (*pairs.first, *pairs.second)))


def score_pairs(sentences: Sequence[str], rows: Rows, sets: Sequence[GradedPairs]) -> dict[str, SetCosines]:
    """Each pair's cosine, and each set's counts, from the rows of all sentences."""
    place = {text: number for number, text in enumerate(sentences)}
    found = {}
    for pairs in sets:
        first = np.array([place[text] for text in pairs.first])
        second = np.array([place[text] for text in pairs.second])
        used = np.unique(np.concatenate([first, second]))
        found[pairs.name] = SetCosines(
            np.array(pairs.scores, dtype=np.float64),
            cosines(rows.vectors[first], rows.vectors[second]),
            int(rows.truncated[used].sum()),
            int(rows.unknown[used].sum()),
        )
    return found


def cosines(first: np.ndarray, second: np.ndarray) -> Floats:
    """Cosine of corresponding rows (n, d), in float64; 0 where a vector is zero.

    Equal rows give exactly 1 (not 1 minus a rounding error), so that identical sentences stay tied.
    """
    u, v = first.astype(np.float64), second.astype(np.float64)
    products = np.einsum("nd,nd->n", u, u) * np.einsum("nd,nd->n", v, v)
    with np.errstate(invalid="ignore"):
        return np.einsum("nd,nd->n", u, v) / np.sqrt(np.where(products == 0, 1.0, products))


def _table(scored: SetCosines) -> dict[str, Any]:
    return {
        "gold": scored.gold.tolist(),
        "cosine": [value if np.isfinite(value) else None for value in scored.cosine.tolist()],
        "truncated": scored.truncated,
        "unknown": scored.unknown,
    }
