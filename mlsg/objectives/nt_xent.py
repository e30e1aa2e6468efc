"""The contrastive losses of self-guided training, as pure functions of tensors.

What is here: temperature-scaled similarities and the four losses base, opt1, opt2, opt3. What is not: the head, the
guide, the draw of a layer. Every function takes vectors that have passed the head already.

Source: T. Kim, K. M. Yoo, S. Lee: Self-Guided Contrastive Learning for BERT Sentence Representations, ACL 2021,
section 3. Legend: b sentences, n views of each, d' width after the head; phi(u, v) = exp(cos(u, v) / tau).

Where this departs from the authors' code: their opt2 loses one true negative of each anchor and their base loss cannot
run; these follow the formulas. Each loss is one matrix product of normalised vectors and a log-sum-exp, with no loop.

`duplicates` (b, b) is true where sentence j holds the same tokens as sentence i, j != i: those terms leave the
denominator. Without it a repeated sentence is its own negative, as in the authors' code.

Many processes (`shard`): anchors are those of this process (b of them), views and the columns of `duplicates` those of
the whole batch (B of them), and each loss is this process's part of the mean over the whole batch: the parts add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mlsg.objectives.interface import WHOLE_BATCH, BatchShard

Loss = Callable[[Tensor, Tensor, float, Tensor | None, BatchShard], Tensor]


def similarities(left: Tensor, right: Tensor, tau: float) -> Tensor:
    """Cosines over tau, (m, d') and (k, d') -> (m, k), in float32 or wider whatever the precision around.

    At tau = 0.01 the exponent spans 200; bf16 would round it by a whole unit.
    """
    with torch.autocast(left.device.type, enabled=False):
        wide = torch.promote_types(left.dtype, torch.float32)
        return F.normalize(left.to(wide), dim=-1) @ F.normalize(right.to(wide), dim=-1).T / tau


def base(
    anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None, shard: BatchShard = WHOLE_BATCH
) -> Tensor:
    """NT-Xent over anchors and one view of each sentence (SG, section 3.1).

    anchors (b, d'), views (b, d') -> scalar: the mean over all 2b elements x of -log phi(x, partner) / sum of all
    phi(x, x') with x' != x. When to use it: as the point of departure; opt3 was better in the paper.
    """
    whole = len(views)
    mine = _places(anchors, shard)  # (b,)
    own = torch.cat([anchors, views[mine]])  # (2b, d')
    both = torch.cat([shard.gather(anchors), views])  # (2B, d')
    themselves = torch.cat([mine, mine + whole])  # (2b,)
    left_out = _ones_at(themselves, 2 * whole)  # (2b, 2B)
    if duplicates is not None:
        left_out = left_out | duplicates.repeat(2, 2)
    scores = similarities(own, both, tau).masked_fill(left_out, -torch.inf)
    partners = torch.cat([mine + whole, mine])
    return F.cross_entropy(scores, partners, reduction="sum") / (2 * whole)


def opt1(
    anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None, shard: BatchShard = WHOLE_BATCH
) -> Tensor:
    """`base` with only the b terms whose anchor is the tuned copy's vector (section 3.2, first optimisation).

    anchors (b, d'), views (b, d') -> scalar. Z(i) = phi(c_i, h_i) + sum over j != i of [phi(c_i, c_j) + phi(c_i, h_j)].
    """
    mine = _places(anchors, shard)
    both = torch.cat([shard.gather(anchors), views])  # (2B, d')
    scores = similarities(anchors, both, tau).unflatten(1, (2, -1))  # (b, 2, B)
    own = scores[:, 1].gather(1, mine[:, None])  # (b, 1)
    return _loss(own, _log_sum_of_others(scores, mine, duplicates), len(views))


def opt2(
    anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None, shard: BatchShard = WHOLE_BATCH
) -> Tensor:
    """`opt1` without the other anchors: all b - 1 other views are the negatives (section 3.2, second optimisation).

    anchors (b, d'), views (b, d') -> scalar. Z(i) = phi(c_i, h_i) + sum over j != i of phi(c_i, h_j).
    """
    return opt3(anchors, views[:, None], tau, duplicates, shard)


def opt3(
    anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None, shard: BatchShard = WHOLE_BATCH
) -> Tensor:
    """SG-OPT: every view is a positive once; every view of the other sentences is a negative (section 3.2).

    anchors (b, d'), views (b, n, d') -> scalar: the mean over the b n pairs (i, k) of
    -log phi(c_i, h_ik) / [phi(c_i, h_ik) + sum over j != i and all m of phi(c_i, h_jm)]. The other views of sentence i
    are in neither place. When to use it: the paper's best, and the default.
    """
    whole, n, _ = views.shape
    mine = _places(anchors, shard)
    scores = similarities(anchors, views.flatten(0, 1), tau).view(len(anchors), whole, n).transpose(1, 2)  # (b, n, B)
    own = scores.gather(2, mine[:, None, None].expand(-1, n, 1))[:, :, 0]  # (b, n)
    return _loss(own, _log_sum_of_others(scores, mine, duplicates), whole * n)


LOSSES: Mapping[str, Loss] = {"base": base, "opt1": opt1, "opt2": opt2, "opt3": opt3}


def _places(anchors: Tensor, shard: BatchShard) -> Tensor:
    """(b,) the places of this process's sentences in the whole batch."""
    return torch.arange(shard.start, shard.start + len(anchors), device=anchors.device)


def _ones_at(places: Tensor, width: int) -> Tensor:
    """(b,) -> (b, width), true at each row's place."""
    return places[:, None] == torch.arange(width, device=places.device)


def _log_sum_of_others(scores: Tensor, mine: Tensor, duplicates: Tensor | None) -> Tensor:
    """(b, m, B) -> (b, 1): log of the sum over j != i (and not a duplicate of i) and all m of exp(scores[i, m, j])."""
    left_out = _ones_at(mine, scores.shape[2])
    if duplicates is not None:
        left_out = left_out | duplicates
    return scores.masked_fill(left_out[:, None], -torch.inf).flatten(1).logsumexp(1, keepdim=True)


def _loss(own: Tensor, others: Tensor, terms: int) -> Tensor:
    """Sum of -log exp(own) / (exp(own) + exp(others)) over `terms`, those of all processes; (b, n), others (b, 1)."""
    return (torch.logaddexp(own, others.expand_as(own)) - own).sum() / terms
