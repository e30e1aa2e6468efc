"""The four standing baselines of every score, on the same pairs (design, part 5).

`base_cls` and `base_mean` are the untuned base of an encoder, last layer; their cosines are an artefact of their own,
shared by all encoders of that base. `overlap` and `idf_overlap` count words and need no model; between two languages
words do not match, so there they are null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlsg.cache.artefact import Artefact
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog
from mlsg.data.pairs import GradedPairs, LocatedSet
from mlsg.errors import HubUnreachableError, ModelError
from mlsg.evaluate.cosines import build_cosines
from mlsg.evaluate.encoder_ref import EncoderRef, base_of
from mlsg.evaluate.statistics import spearman
from mlsg.text.overlap import idf_overlap, overlap

if TYPE_CHECKING:
    from mlsg.hub import Hub

BASE_POOLINGS: Mapping[str, str] = {"base_cls": "cls", "base_mean": "mean"}


def base_cosines(
    subject: EncoderRef, located: Sequence[LocatedSet], precision: str, *, workspace: Workspace, hub: Hub
) -> tuple[dict[str, Artefact], str]:
    """Role -> cosines of the base, and ""; or nothing and the reason why the base cannot be had any more."""
    found: dict[str, Artefact] = {}
    try:
        bases = {role: base_of(subject, pooling) for role, pooling in BASE_POOLINGS.items()}
        for role, base in bases.items():  # the first one's pass over the base makes the vectors of both
            also = tuple(bases.values())
            found[role] = build_cosines(base, located, precision, also=also, workspace=workspace, hub=hub)
    except (ModelError, HubUnreachableError) as error:
        return {}, f"no base_cls and base_mean: {error.problem}"
    return found, ""


def poolings_beside(subject: EncoderRef) -> tuple[EncoderRef, ...]:
    """The base poolings that a pass over this encoder gives as well: those of a plain model, which is its own base."""
    if subject.provenance is not None or not subject.pooling:
        return ()
    return tuple(base_of(subject, pooling) for pooling in BASE_POOLINGS.values())


def word_baselines(pairs: GradedPairs, languages: tuple[str, str], catalog: Catalog) -> dict[str, float | None]:
    """Spearman of `overlap` and `idf_overlap` with the gold scores of a set; None between two languages."""
    if languages[0] != languages[1]:
        return {"overlap": None, "idf_overlap": None}
    spaced = is_spaced(languages[0], catalog)
    return {
        "overlap": spearman(overlap(pairs.first, pairs.second, spaced), pairs.scores),
        "idf_overlap": spearman(idf_overlap(pairs.first, pairs.second, spaced), pairs.scores),
    }


def is_spaced(code: str, catalog: Catalog) -> bool:
    """Whether a language is written with spaces; one that the catalog does not have is taken to be."""
    language = catalog.languages.get(code)
    return language.spaced if language else True
