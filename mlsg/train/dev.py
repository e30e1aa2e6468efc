"""A look at the encoder while it trains: dev Spearman, and the mean cosine of random pairs that tells a collapse.

No label of any language but that of the dev set picks anything; with `dev = "none"` only the cosine is measured, on a
fixed sample of the training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from mlsg.errors import DataError
from mlsg.recipes import EncoderSettings
from mlsg.train.draws import raw_numbers
from mlsg.train.text import TokenisedText, tokenise

if TYPE_CHECKING:
    from mlsg.data.pairs import GradedPairs
    from mlsg.model.backbone import Backbone

_BATCH = 64
_SAMPLE = 256


@dataclass(frozen=True)
class Measurement:
    """What a probe saw."""

    dev: float | None
    """Spearman of cosine and score; None without a dev set."""
    random_cosine: float
    """Mean cosine over all pairs of different sentences."""


@dataclass(frozen=True)
class Probe:
    """Tokenised sentences, and the pairs of them that have a score."""

    text: TokenisedText
    rows: np.ndarray
    """The distinct sentences, longest first."""
    first: np.ndarray
    """(p,) for each pair, the place of its first sentence in `rows`."""
    second: np.ndarray
    scores: np.ndarray

    def measure(self, backbone: Backbone, encoder: EncoderSettings) -> Measurement:
        """Encode every distinct sentence once. The backbone is left in the mode in which it was."""
        vectors = _encode(self, backbone, encoder)
        n = len(vectors)
        total = float((vectors.sum(0) ** 2).sum())
        cosine = (total - n) / (n * (n - 1)) if n > 1 else 0.0
        if not len(self.scores) or not np.isfinite(vectors).all():
            return Measurement(None, cosine)
        cosines = (vectors[self.first] * vectors[self.second]).sum(1)
        return Measurement(_spearman(cosines, self.scores), cosine)


def dev_probe(pairs: GradedPairs, backbone: Backbone, max_length: int) -> Probe:
    """The probe of a dev set. Raises DataError where all pairs have the same score, since no order can be compared."""
    if len(set(pairs.scores)) < 2:
        raise DataError(f"every pair of dev set {pairs.name} has the same score", "choose another train.dev, or none")
    text = tokenise([*pairs.first, *pairs.second], backbone, max_length)
    rows = text.by_length(text.distinct)
    place = np.empty(len(text), dtype=np.int64)
    place[text.groups[rows]] = np.arange(len(rows))
    places = place[text.groups]
    return Probe(text, rows, places[: len(pairs.first)], places[len(pairs.first) :], np.asarray(pairs.scores))


def sample_probe(text: TokenisedText, seed: int) -> Probe:
    """The probe without a dev set: a fixed sample of distinct training sentences."""
    chosen = np.argsort(raw_numbers(len(text.distinct), seed, "probe"), kind="stable")[:_SAMPLE]
    none = np.zeros(0, dtype=np.int64)
    return Probe(text, text.by_length(text.distinct[np.sort(chosen)]), none, none, none)


@torch.no_grad()
def _encode(probe: Probe, backbone: Backbone, encoder: EncoderSettings) -> np.ndarray:
    """Unit vectors (n, d) of `probe.rows`, in float64."""
    from mlsg.model.pooling import pool

    was_training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    parts: list[Tensor] = []
    for start in range(0, len(probe.rows), _BATCH):
        ids, mask = (tensor.to(device) for tensor in probe.text.batch(probe.rows[start : start + _BATCH]))
        parts.append(pool(backbone.hidden_states(ids, mask), mask, encoder.pooling, encoder.layer).float().cpu())
    backbone.train(was_training)
    vectors = torch.cat(parts).double().numpy()
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _spearman(left: np.ndarray, right: Sequence[float] | np.ndarray) -> float:
    if np.ptp(left) == 0:
        return 0.0  # all cosines equal: no order, and the collapse check says so
    return float(spearmanr(left, right).statistic)
