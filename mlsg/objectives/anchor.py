"""The anchor: the vector that the encoder will give for a sentence, read off the tuned copy."""

from __future__ import annotations

from contextvars import ContextVar

from torch import Tensor, nn

from mlsg.config.recipes import EncoderSettings
from mlsg.model.backbone import Backbone
from mlsg.model.fast.packing import Packed, pool_packed, pool_rows
from mlsg.model.folder_keys import LAYER_MEANS

_CLS_ONLY: ContextVar[Packed | None] = ContextVar("cls_only", default=None)
"""The sentences whose [CLS] alone is wanted; each thread has its own."""


def anchors_of(backbone: Backbone, packed: Packed, encoder: EncoderSettings) -> Tensor:
    """(b, d) of the b sentences in `packed`, in their order; what is not pooled is not kept."""
    if encoder.pooling in LAYER_MEANS or encoder.layer not in {-1, backbone.layers}:
        return pool_packed(backbone.states_of(packed), packed, encoder.pooling, encoder.layer)
    attended = _attended(backbone) if encoder.pooling == "cls" else None
    if attended is None:
        return pool_rows(backbone.last_state_of(packed), packed, encoder.pooling)
    if not any(hook is _firsts for hook in attended._forward_pre_hooks.values()):
        attended.register_forward_pre_hook(_firsts)
    token = _CLS_ONLY.set(packed)
    try:
        return backbone.last_state_of(packed)[0]
    finally:
        _CLS_ONLY.reset(token)


def _attended(backbone: Backbone) -> nn.Module | None:
    """What follows the attention of the last layer, in bases that are built as BERT is: called with (r, t, d) twice."""
    layers = getattr(getattr(backbone.model, "encoder", None), "layer", None)
    if not backbone.packs or not isinstance(layers, nn.ModuleList) or not len(layers):
        return None
    return getattr(getattr(layers[-1], "attention", None), "output", None)


def _firsts(module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """From the last attention on, go on with the first token of each sentence alone: (1, b, d).

    Three quarters of the last layer's products are in what follows its attention, and the other tokens are not read.
    """
    packed = _CLS_ONLY.get()
    return None if packed is None else tuple(state.flatten(0, 1)[packed.firsts][None] for state in states)
