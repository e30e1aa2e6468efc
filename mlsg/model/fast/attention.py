"""Attention on a CPU with dropout, for which torch has no kernel, and in bf16, where its kernel is slow on short rows.

Products are in the precision of the queries, the softmax between them is in float32, as under autocast.
Shapes: r rows, h heads, t tokens, e dimensions of a head.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from mlsg.model.fast.dropout import drop

NAME = "mlsg_dropout"  # by which a model's config asks for it
_OWN_DROPOUT = {"flaubert", "layoutlm", "longformer", "squeezebert", "xlm"}  # written into their own code


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
    gains = dropout or query.dtype == torch.bfloat16
    if not gains or not plain or query.device.type != "cpu" or query.shape != key.shape:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return output
    rows, heads, tokens, width = query.shape
    with torch.autocast("cpu", enabled=False):
        q, k, v = (part.reshape(rows * heads, tokens, width) for part in (query, key, value))
        wide = torch.promote_types(query.dtype, torch.float32)
        scale = width**-0.5 if scaling is None else scaling
        scores = torch.baddbmm(q.new_zeros(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=scale).to(wide)
        if attention_mask is not None:  # added, which costs a sixth of what filling does
            barred = scores.new_zeros(attention_mask.shape).masked_fill_(~attention_mask, -torch.inf)
            scores.view(rows, heads, tokens, tokens).add_(barred)
        shares = scores.softmax(-1)
        if dropout:
            shares = drop(shares.view(rows, heads, tokens, tokens), dropout).view_as(shares)
        mixed = torch.bmm(shares.to(v.dtype), v)
    return mixed.view(rows, heads, tokens, width).transpose(1, 2).contiguous(), None


def can_attend(model: PreTrainedModel) -> bool:
    """Whether a model asks transformers for its attention, with masks that let each token look at some other."""
    return model.config._attn_implementation == "sdpa" and not _windows(model.config)


def masks_by_sentence(config: PreTrainedConfig) -> bool:
    """Whether all dropout of a base is drawn by sentence on a CPU: none of it is written where mlsg cannot reach."""
    in_windows = _windows(config) and config.to_dict().get("attention_dropout")
    return not in_windows and config.model_type not in _OWN_DROPOUT


def _windows(config: PreTrainedConfig) -> bool:
    table = config.to_dict()
    return bool(table.get("sliding_window")) or "sliding_attention" in (table.get("layer_types") or ())


def with_own_attention(model: nn.Module) -> nn.Module:
    """Have a copy of a model (`linear.shared_copy`) attend by `attention`; in place."""
    before: Any = model.config
    config = copy.copy(before)
    config._attn_implementation = NAME
    for module in model.modules():
        if getattr(module, "config", None) is before:
            module.config = config
    return model


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
