"""Attention with dropout on a CPU, where torch has no kernel for it and goes through many passes over all scores.

The arithmetic is that of torch's own fall-back: scores, softmax and sums in float32 whatever the precision around.
Shapes: r rows, h heads, t tokens, e dimensions of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from mlsg.model.dropout import drop

NAME = "mlsg_dropout"
"""By which a model's config asks for it."""


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """(r, t, h, e) from queries, keys, values (r, h, t, e) and a mask (r, 1, t or 1, t), true where one may look."""
    plain = attention_mask is None or attention_mask.dtype == torch.bool
    if not dropout or not plain or query.device.type != "cpu" or query.shape != key.shape:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return output
    rows, heads, tokens, width = query.shape
    with torch.autocast("cpu", enabled=False):
        q, k, v = (_wide(part).reshape(rows * heads, tokens, width) for part in (query, key, value))
        scores = torch.bmm(q * (width**-0.5 if scaling is None else scaling), k.transpose(1, 2))
        if attention_mask is not None:
            scores.view(rows, heads, tokens, tokens).masked_fill_(~attention_mask, -torch.inf)
        mixed = torch.bmm(drop(scores.softmax(-1), dropout), v)
    return mixed.view(rows, heads, tokens, width).to(query.dtype).transpose(1, 2).contiguous(), None


def _wide(part: Tensor) -> Tensor:
    return part.to(torch.promote_types(part.dtype, torch.float32))


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
