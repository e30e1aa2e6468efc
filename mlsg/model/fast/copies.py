"""A base made ready to be trained on a CPU: the same weights, with dropout, attention and linear layers that cost less.

    model = trainable(backbone.model, attends=backbone.packs)       # shares every tensor with backbone.model

On other devices and in modules of other kinds everything is as it was.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from mlsg.model.fast import attention
from mlsg.model.fast.dropout import StreamDropout
from mlsg.model.fast.linear import Float32Linear, faster, shared_copy, with_gelu_inside


def trainable(model: PreTrainedModel, *, attends: bool) -> nn.Module:
    """A copy of the modules, not of the tensors; `attends` says that attention may be ours."""
    made = shared_copy(model, {nn.Linear: Float32Linear, nn.Dropout: StreamDropout})
    return with_own_attention(made) if attends else made


def measurable(model: PreTrainedModel, precision: str, *, attends: bool) -> nn.Module:
    """The same to be looked at on the way: what `faster` does and, in bf16, a GELU inside the product before it."""
    made = with_gelu_inside(faster(model, precision))
    return with_own_attention(made) if attends else made


def with_own_attention(made: nn.Module) -> nn.Module:
    """Have a copy of a model attend by `mlsg.model.fast.attention`."""
    theirs: Any = made.config
    ours = copy.copy(theirs)
    ours._attn_implementation = attention.NAME
    for module in made.modules():
        if getattr(module, "config", None) is theirs:
            module.config = ours
    return made
