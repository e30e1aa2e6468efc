"""A look at the encoder while it trains: dev Spearman, and the mean cosine of random pairs that tells a collapse.

No label of any language but that of the dev set picks anything; with `dev = "none"` only the cosine is measured, on a
fixed sample of the training text. What is measured before training is an artefact (its facts are those of
`Measurement`) for all seeds and settings that begin there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from mlsg.cache.artefact import Request
from mlsg.config.recipes import EncoderSettings
from mlsg.config.settings import table_of
from mlsg.model.backbone import Backbone
from mlsg.model.fast.packing import pack
from mlsg.model.fast.threads import parallel_map
from mlsg.model.precision import autocast
from mlsg.model.tokens import token_batches
from mlsg.objectives.anchor import anchors_of
from mlsg.train.distributed import SINGLE_PROCESS, ProcessGroup
from mlsg.train.schedule import raw_numbers
from mlsg.train.text import TokenisedText

if TYPE_CHECKING:
    from mlsg.train import TrainJob

STAGE = "measurements"
FORMAT = 1
_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}
_SAMPLE = 256


@dataclass(frozen=True)
class Measurement:
    """What a probe saw."""

    dev: float | None  # spearman of cosine and score; None without a dev set, or where no order can be told
    random_cosine: float  # mean cosine over all pairs of different sentences


@dataclass(frozen=True)
class Probe:
    """Distinct sentences, and the pairs of them that have a score."""

    text: TokenisedText
    rows: NDArray[np.int64]  # (n,) the distinct sentences
    first: NDArray[np.int64]
    """(p,) for each pair, the place of its first sentence in `rows`; without a dev set there are no pairs."""
    second: NDArray[np.int64]
    scores: NDArray[np.float64]
    group: ProcessGroup = SINGLE_PROCESS  # over whom the sentences are shared out; all get the same numbers

    def measure(self, backbone: Backbone, encoder: EncoderSettings, precision: str) -> Measurement:
        """Encode every distinct sentence once, with a backbone that is `Backbone.for_measuring`.

        Whole batches are shared out, so that a sentence is computed beside the same others as by one process. Each
        process fills its unit vectors into zeros, and the sum has them all.
        """
        n, device = len(self.rows), backbone.device
        filled = torch.zeros(n, backbone.dimension, dtype=torch.float64, device=device)
        budget = _BATCH_TOKENS.get(device.type, _BATCH_TOKENS["cuda"])
        batches = token_batches(self.text.tokens.lengths[self.rows], budget)
        mine = islice(batches, self.group.rank, None, self.group.size)

        @torch.no_grad()  # a thread's own, as autocast is
        def computed(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensor]:
            packed = pack(self.text.tokens, self.rows[places], together=backbone.packs).to(device)
            with autocast(device, precision):
                found = anchors_of(backbone, packed, encoder)
            return places, torch.nn.functional.normalize(found.double(), dim=-1)

        for places, found in parallel_map(computed, mine) if device.type == "cpu" else map(computed, mine):
            filled[torch.from_numpy(places).to(device)] = found
        self.group.sum_([filled])
        vectors = filled.cpu().numpy()
        total = float((vectors.sum(0) ** 2).sum())
        cosine = (total - n) / (n * (n - 1)) if n > 1 else 0.0
        cosines = (vectors[self.first] * vectors[self.second]).sum(1)
        ordered = len(cosines) > 0 and np.isfinite(cosines).all() and np.ptp(cosines) > 0
        dev = float(spearmanr(cosines, self.scores).statistic) if ordered else None
        return Measurement(*self.group.broadcast_object((dev, cosine)))


def dev_probe(text: TokenisedText, scores: Sequence[float], group: ProcessGroup = SINGLE_PROCESS) -> Probe:
    """The probe of a dev set: `text` is the first sentences of all pairs, then the second ones."""
    rows = text.distinct
    place = np.empty(len(text), dtype=np.int64)
    place[text.groups[rows]] = np.arange(len(rows))
    places = place[text.groups]
    return Probe(text, rows, places[: len(scores)], places[len(scores) :], np.asarray(scores, dtype=np.float64), group)


def sample_probe(text: TokenisedText, seed: int, group: ProcessGroup = SINGLE_PROCESS) -> Probe:
    """The probe without a dev set: a fixed sample of distinct training sentences."""
    chosen = np.argsort(raw_numbers(len(text.distinct), seed, "probe"), kind="stable")[:_SAMPLE]
    no_pairs = np.zeros(0, dtype=np.int64)
    return Probe(text, text.distinct[np.sort(chosen)], no_pairs, no_pairs, np.zeros(0), group)


Measure = Callable[[], Measurement]


def before_training(
    job: TrainJob, encoder: EncoderSettings, max_length: int, group: ProcessGroup, measure: Measure
) -> Measurement:
    """What `measure` sees of the untuned base, or saw of it in another training. Called by all of the group.

    It is kept where a dev set is measured. Without one the probe is a sample of the text, drawn by the seed.
    """
    if job.dev is None:
        return measure()
    recipe = job.recipe
    wanted = {"dev": recipe.train.dev, "max_length": max_length, "precision": recipe.train.precision}
    request = Request(
        stage=STAGE,
        format=FORMAT,
        name=f"{job.base_name.rpartition('/')[2]}-{recipe.train.dev}",
        settings={**wanted, "encoder": table_of(encoder)},
        inputs={},
        fingerprints={"base": job.base_fingerprint, "dev": job.dev.fingerprint},
    )
    # Nobody waits for another one's measurement: two that measure at the same time see the same.
    found = job.workspace.find(request) if group.is_main else None
    facts = group.broadcast_object(found and dict(found.facts))
    if facts is not None:
        return Measurement(**facts)
    seen = measure()
    if group.is_main:
        job.workspace.build(request, lambda folder, scratch: vars(seen))
    return seen
