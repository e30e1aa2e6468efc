"""The contrastive losses of self-guided training, as pure functions of tensors.

What is here: temperature-scaled similarities and the four losses base, opt1, opt2, opt3. What is not: the head, the
guide, the draw of a layer. Every function takes vectors that have passed the head already.

Source: T. Kim, K. M. Yoo, S. Lee: Self-Guided Contrastive Learning for BERT Sentence Representations, ACL 2021,
section 3. Legend: b sentences, n views of each, d' width after the head; phi(u, v) = exp(cos(u, v) / tau).

Where this departs from the authors' code: their opt2 loses one true negative of each anchor and their base loss cannot
run; these follow the formulas. Each loss is one matrix product of normalised vectors and a log-sum-exp, with no loop.

`duplicates` (b, b) is true where sentence j holds the same tokens as sentence i, j != i: those terms leave the
denominator. Without it a repeated sentence is its own negative, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, float, Tensor | None], Tensor]


def similarities(left: Tensor, right: Tensor, tau: float) -> Tensor:
    """Cosines over tau, (m, d') and (k, d') -> (m, k), in float32 or wider whatever the precision around.

    At tau = 0.01 the exponent spans 200; bf16 would round it by a whole unit.
    """
    with torch.autocast(left.device.type, enabled=False):
        wide = torch.promote_types(left.dtype, torch.float32)
        return F.normalize(left.to(wide), dim=-1) @ F.normalize(right.to(wide), dim=-1).T / tau


def base(anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None) -> Tensor:
    """NT-Xent over anchors and one view of each sentence (SG, section 3.1).

    anchors (b, d'), views (b, d') -> scalar: the mean over all 2b elements x of -log phi(x, partner) / sum of all
    phi(x, x') with x' != x. When to use it: as the point of departure; opt3 was better in the paper.
    """
    b = len(anchors)
    both = torch.cat([anchors, views])  # (2b, d')
    left_out = torch.eye(2 * b, dtype=torch.bool, device=both.device)
    if duplicates is not None:
        left_out = left_out | duplicates.repeat(2, 2)
    scores = similarities(both, both, tau).masked_fill(left_out, -torch.inf)  # (2b, 2b)
    partners = torch.arange(2 * b, device=both.device).roll(b)
    return F.cross_entropy(scores, partners)


def opt1(anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None) -> Tensor:
    """`base` with only the b terms whose anchor is the tuned copy's vector (section 3.2, first optimisation).

    anchors (b, d'), views (b, d') -> scalar. Z(i) = phi(c_i, h_i) + sum over j != i of [phi(c_i, c_j) + phi(c_i, h_j)].
    """
    scores = similarities(anchors, torch.cat([anchors, views]), tau).unflatten(1, (2, -1))  # (b, 2, b)
    return _loss(scores[:, 1].diagonal()[:, None], _log_sum_of_others(scores, duplicates))


def opt2(anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None) -> Tensor:
    """`opt1` without the other anchors: all b - 1 other views are the negatives (section 3.2, second optimisation).

    anchors (b, d'), views (b, d') -> scalar. Z(i) = phi(c_i, h_i) + sum over j != i of phi(c_i, h_j).
    """
    return opt3(anchors, views[:, None], tau, duplicates)


def opt3(anchors: Tensor, views: Tensor, tau: float, duplicates: Tensor | None = None) -> Tensor:
    """SG-OPT: every view is a positive once; every view of the other sentences is a negative (section 3.2).

    anchors (b, d'), views (b, n, d') -> scalar: the mean over the b n pairs (i, k) of
    -log phi(c_i, h_ik) / [phi(c_i, h_ik) + sum over j != i and all m of phi(c_i, h_jm)]. The other views of sentence i
    are in neither place. When to use it: the paper's best, and the default.
    """
    b, n, _ = views.shape
    scores = similarities(anchors, views.flatten(0, 1), tau).view(b, b, n).transpose(1, 2)  # (b, n, b)
    own = scores.diagonal(dim1=0, dim2=2).T  # (b, n)
    return _loss(own, _log_sum_of_others(scores, duplicates))


LOSSES: Mapping[str, Loss] = {"base": base, "opt1": opt1, "opt2": opt2, "opt3": opt3}


def _log_sum_of_others(scores: Tensor, duplicates: Tensor | None) -> Tensor:
    """(b, m, b) -> (b, 1): log of the sum over j != i (and not a duplicate of i) and all m of exp(scores[i, m, j])."""
    left_out = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if duplicates is not None:
        left_out = left_out | duplicates
    return scores.masked_fill(left_out[:, None], -torch.inf).flatten(1).logsumexp(1, keepdim=True)


def _loss(own: Tensor, others: Tensor) -> Tensor:
    """Mean of -log exp(own) / (exp(own) + exp(others)); own (b, n), others (b, 1)."""
    return (torch.logaddexp(own, others.expand_as(own)) - own).mean()
