"""The anchor: the vector that the encoder will give for a sentence, read off the tuned copy."""

from __future__ import annotations

from torch import Tensor

from mlsg.model.backbone import Backbone
from mlsg.model.packing import Packed, pool_packed, pool_rows
from mlsg.recipes import EncoderSettings


def anchors_of(backbone: Backbone, packed: Packed, encoder: EncoderSettings) -> Tensor:
    """(b, d) of the b sentences in `packed`, in their order; layers that are not pooled are not kept."""
    if encoder.pooling != "first_last" and encoder.layer in {-1, backbone.layers}:
        return pool_rows(backbone.last_state_of(packed), packed, encoder.pooling)
    return pool_packed(backbone.states_of(packed), packed, encoder.pooling, encoder.layer)
