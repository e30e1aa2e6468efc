"""The four standing baselines of every score, on the same pairs (docs/design.md, part 5).

`base_cls` and `base_mean` are the untuned base of an encoder, last layer. `overlap` and `idf_overlap` count words and
need no model; between two languages words do not match, so there they are null.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlsg.config.catalog import Catalog
from mlsg.data.pairs import GradedPairs
from mlsg.errors import ModelError
from mlsg.evaluate.encoder_ref import EncoderRef, base_of
from mlsg.evaluate.statistics import spearman
from mlsg.text.overlap import idf_overlap, overlap

BASE_POOLINGS: Mapping[str, str] = {"base_cls": "cls", "base_mean": "mean"}


class BaseUnavailableError(Exception):
    """The untuned base of an encoder is not known, or cannot be loaded any more."""


def bases_of(encoder: EncoderRef) -> dict[str, EncoderRef]:
    """The untuned base by role. Raises BaseUnavailableError where it is not known."""
    try:
        return {role: base_of(encoder, pooling) for role, pooling in BASE_POOLINGS.items()}
    except ModelError as error:
        raise BaseUnavailableError(error.problem) from error


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
