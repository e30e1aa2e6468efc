"""Every pair set whose original files are here: `mlsg.evaluate` against scipy over sentence-transformers' vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr

import mlsg
from mlsg.config.catalog import load_catalog
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.hub import Hub
from tests.audit.finding import Finding

_POOLING = "mean"


def findings(data_root: Path, encoder: Path) -> Iterator[Finding]:
    """The larger difference of Spearman and Pearson, for each set of each language that is evaluated by default."""
    catalog = load_catalog()
    with TemporaryDirectory() as temporary:
        scores = mlsg.evaluate(
            encoder,
            list(catalog.languages),
            pooling=_POOLING,
            workspace=temporary,
            data_root=data_root,
            resamples=100,
            precision="float32",
        )
        pairs = _pairs(data_root, {each.set for each in scores.sets})
        vectors = _vectors(encoder, [text for each in pairs for text in (*each.first, *each.second)])
        for each in pairs:
            score = scores.set_score(each.name)
            assert score is not None
            cosines = [_cosine(vectors[a], vectors[b]) for a, b in zip(each.first, each.second, strict=True)]
            expected = spearmanr(cosines, each.scores).statistic, pearsonr(cosines, each.scores).statistic
            found = np.array([score.spearman, score.pearson], dtype=float)
            yield Finding(f"{each.name}, {score.pairs} pairs", float(np.abs(found - expected).max()), 1e-4)


def _pairs(data_root: Path, names: set[str]) -> list[GradedPairs]:
    hub = Hub.from_environment()
    located = (locate_set(each, data_root, hub) for each in load_catalog().all_sets() if each.name in names)
    return [read_pairs(each, hub) for each in located if isinstance(each, LocatedSet)]


def _vectors(encoder: Path, texts: list[str]) -> dict[str, NDArray[np.float32]]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    base = Transformer(str(encoder), model_kwargs={"dtype": "float32"})  # its weights are in half precision
    model = SentenceTransformer(modules=[base, Pooling(base.get_word_embedding_dimension(), _POOLING)], device="cpu")
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, model.encode(distinct, batch_size=64), strict=True))


def _cosine(u: NDArray[np.float32], v: NDArray[np.float32]) -> float:
    """To six decimals: texts of the same tokens, of which a set can have hundreds, differ in the seventh there."""
    one, other = u.astype(np.float64), v.astype(np.float64)
    return round(float(one @ other / np.sqrt((one @ one) * (other @ other))), 6)
