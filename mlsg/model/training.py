"""A base made ready to be trained on a CPU: the same weights, with dropout, attention and linear layers that cost less.

    model = trainable(backbone.model, attends=backbone.packs)       # shares every tensor with backbone.model

On other devices and in modules of other kinds everything is as it was.
"""

from __future__ import annotations

import copy

from torch import nn
from transformers import PreTrainedModel

from mlsg.model import attention
from mlsg.model.dropout import StreamDropout
from mlsg.model.faster import Float32Linear, shared_copy


def trainable(model: PreTrainedModel, *, attends: bool) -> nn.Module:
    """A copy of the modules, not of the tensors; `attends` says that attention may be ours."""
    made = shared_copy(model, {nn.Linear: Float32Linear, nn.Dropout: StreamDropout})
    if attends:
        config = copy.copy(model.config)
        config._attn_implementation = attention.NAME
        for module in made.modules():
            if getattr(module, "config", None) is model.config:
                module.config = config  # type: ignore[assignment]
    return made
