"""The contrastive loss of one direction: every anchor is to find its positive among those of the whole batch.

Source: T. Gao, X. Yao, D. Chen: SimCSE: Simple Contrastive Learning of Sentence Embeddings, EMNLP 2021, equations 1
and 5; sentence-transformers calls it MultipleNegativesRankingLoss (scale = 1 / tau). Legend as in `nt_xent`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mlsg.objectives.interface import WHOLE_BATCH, BatchShard
from mlsg.objectives.nt_xent import similarities


def in_batch(
    anchors: Tensor,
    positives: Tensor,
    tau: float,
    negatives: Tensor | None = None,
    hard_weight: float = 0.0,
    duplicates: Tensor | None = None,
    shard: BatchShard = WHOLE_BATCH,
) -> Tensor:
    """The mean over i of -log phi(a_i, p_i) / sum over j of [phi(a_i, p_j) + phi(a_i, n_j)].

    anchors (b, d') of this process, positives and hard negatives (B, d') of the whole batch -> scalar, this process's
    part of the mean. `hard_weight` is added to the logit of a row's own hard negative, as the authors' code has it (the
    paper multiplies phi(a_i, n_i) by a factor: its logarithm).
    """
    whole, device = len(positives), anchors.device
    mine = torch.arange(shard.start, shard.start + len(anchors), device=device)
    scores = similarities(anchors, positives, tau)  # (b, B)
    if duplicates is not None:
        scores = scores.masked_fill(duplicates, -torch.inf)
    if negatives is not None:
        hard = similarities(anchors, negatives, tau)
        own = mine[:, None] == torch.arange(whole, device=device)
        scores = torch.cat([scores, hard + hard_weight * own.to(hard.dtype)], dim=1)
    return F.cross_entropy(scores, mine, reduction="sum") / whole
