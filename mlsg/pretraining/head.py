"""The prediction over the vocabulary, its loss and its gradients in one go, some rows at a time.

Scores, their softmax and its gradient are as wide as the vocabulary: taken together they would be written to memory and
read again a dozen times. Here a chunk of rows is done with before the next one begins, and nothing of it is kept but
the gradients.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

_CHUNK = 256
"""Rows: enough for the matrix products, few enough for the cache."""


def asked_loss(
    hidden: Tensor, table: Tensor, bias: Tensor, asked: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """(sum over what is asked for of weight x loss, (asked,) the losses themselves, which have no gradient).

    hidden (n, d), table (vocabulary, d), bias (vocabulary,); `asked` are rows, ascending, tokens and weights, (asked,)
    each. The loss is -log softmax(hidden[row] table^T + bias)[token]. Under autocast products are in its precision.
    """
    return cast("tuple[Tensor, Tensor]", _Asked.apply(hidden, table, bias, *asked))


class _Asked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, bias: Tensor, *asked: Tensor) -> tuple[Tensor, Tensor]:
        device = hidden.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        rows, tokens, weights = asked
        low, words = hidden.to(kind), table.to(kind)
        given = torch.zeros(len(hidden), device=hidden.device).index_add_(0, rows, weights)
        losses = torch.empty_like(weights)
        to_hidden, to_table, to_bias = torch.empty_like(low), torch.zeros_like(table), torch.zeros_like(bias)
        bounds = [*range(0, len(hidden), _CHUNK), len(hidden)]
        places = torch.searchsorted(rows, torch.tensor(bounds, device=rows.device)).tolist()
        with torch.autocast(device, enabled=False):
            for first, last, begin, end in zip(bounds, bounds[1:], places, places[1:], strict=False):
                part, word, weight = rows[begin:end] - first, tokens[begin:end], weights[begin:end]
                scores = (low[first:last] @ words.T).float().add_(bias)
                total = scores.logsumexp(dim=-1)
                losses[begin:end] = total[part] - scores[part, word]
                scores.sub_(total[:, None]).exp_().mul_(given[first:last, None])
                scores.index_put_((part, word), -weight, accumulate=True)
                to_bias += scores.sum(dim=0)
                slope = scores.to(kind)
                to_hidden[first:last] = slope @ words
                to_table += slope.T @ low[first:last]
        ctx.save_for_backward(to_hidden.to(hidden.dtype), to_table, to_bias)
        ctx.mark_non_differentiable(losses)
        return (weights * losses).sum(), losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradients[0] * part for part in ctx.saved_tensors), None, None, None)
