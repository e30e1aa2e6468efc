"""A look at the encoder while it trains: dev Spearman, and the mean cosine of random pairs that tells a collapse.

No label of any language but that of the dev set picks anything; with `dev = "none"` only the cosine is measured, on a
fixed sample of the training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mlsg.model.backbone import Backbone
from mlsg.model.packing import pack
from mlsg.model.tokens import length_sorted
from mlsg.objectives.anchor import anchors_of
from mlsg.recipes import EncoderSettings
from mlsg.train.draws import raw_numbers
from mlsg.train.processes import ALONE, Team
from mlsg.train.text import TokenisedText

_BATCH = 64
_SAMPLE = 256


@dataclass(frozen=True)
class Measurement:
    """What a probe saw."""

    dev: float | None
    """Spearman of cosine and score; None without a dev set, or where no order can be told."""
    random_cosine: float
    """Mean cosine over all pairs of different sentences."""


@dataclass(frozen=True)
class Probe:
    """Distinct sentences, and the pairs of them that have a score."""

    text: TokenisedText
    rows: NDArray[np.int64]
    """(n,) the distinct sentences."""
    first: NDArray[np.int64]
    """(p,) for each pair, the place of its first sentence in `rows`; without a dev set there are no pairs."""
    second: NDArray[np.int64]
    scores: NDArray[np.float64]
    team: Team = ALONE
    """Over whom the sentences are shared out; all get the same numbers."""

    def measure(self, backbone: Backbone, encoder: EncoderSettings) -> Measurement:
        """Encode every distinct sentence once. The backbone is left in the mode in which it was."""
        vectors = self._encode(backbone, encoder)
        n = len(vectors)
        total = float((vectors.sum(0) ** 2).sum())
        cosine = (total - n) / (n * (n - 1)) if n > 1 else 0.0
        cosines = (vectors[self.first] * vectors[self.second]).sum(1)
        ordered = len(cosines) > 0 and np.isfinite(cosines).all() and np.ptp(cosines) > 0
        dev = float(spearmanr(cosines, self.scores).statistic) if ordered else None
        return Measurement(*self.team.as_first((dev, cosine)))

    @torch.no_grad()
    def _encode(self, backbone: Backbone, encoder: EncoderSettings) -> NDArray[np.float64]:
        """Unit vectors (n, d) of `rows`.

        Whole batches are shared out, so that a sentence is computed beside the same others as by one process. Each
        process fills its rows into zeros, and the sum has them all.
        """
        was_training = backbone.training
        backbone.eval()
        device = next(backbone.parameters()).device
        vectors = torch.zeros(len(self.rows), backbone.dimension, dtype=torch.float64, device=device)
        batches = length_sorted(self.text.tokens.lengths[self.rows], _BATCH)
        for places in islice(batches, self.team.rank, None, self.team.size):
            packed = pack(self.text.tokens, self.rows[places], together=backbone.packs).to(device)
            found = anchors_of(backbone, packed, encoder)
            vectors[torch.from_numpy(places).to(device)] = torch.nn.functional.normalize(found.double(), dim=-1)
        self.team.sum_([vectors])
        backbone.train(was_training)
        return vectors.cpu().numpy()


def dev_probe(text: TokenisedText, scores: Sequence[float], team: Team = ALONE) -> Probe:
    """The probe of a dev set: `text` is the first sentences of all pairs, then the second ones."""
    rows = text.distinct
    place = np.empty(len(text), dtype=np.int64)
    place[text.groups[rows]] = np.arange(len(rows))
    places = place[text.groups]
    return Probe(text, rows, places[: len(scores)], places[len(scores) :], np.asarray(scores, dtype=np.float64), team)


def sample_probe(text: TokenisedText, seed: int, team: Team = ALONE) -> Probe:
    """The probe without a dev set: a fixed sample of distinct training sentences."""
    chosen = np.argsort(raw_numbers(len(text.distinct), seed, "probe"), kind="stable")[:_SAMPLE]
    nothing = np.zeros(0, dtype=np.int64)
    return Probe(text, text.distinct[np.sort(chosen)], nothing, nothing, np.zeros(0), team)
