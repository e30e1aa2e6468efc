"""Masked language modelling: a word is told from the state in its place, by the embeddings of all words and a bias.

Source: J. Devlin, M. Chang, K. Lee, K. Toutanova: BERT, NAACL 2019, section 3.1, without the layer between states and
embeddings: it belongs to the base's output layer, which encoders are saved without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone
    from mlsg.model.fast.packing import Packed


class WordPredictor(nn.Module):
    """The bias of every word."""

    def __init__(self, base: Backbone) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(base.model.config.vocab_size))

    def forward(self, embeddings: Tensor, states: Tensor, packed: Packed) -> Tensor:
        """(s, 2) of the s sequences in `packed`: the cross-entropies of masked words added up, and how many these are.

        embeddings (vocabulary, d), states (r, t, d).
        """
        assert packed.targets is not None
        wanted = packed.targets.flatten()
        at = (wanted >= 0).nonzero()[:, 0]
        with torch.autocast(states.device.type, enabled=False):
            wide = torch.promote_types(states.dtype, torch.float32)
            logits = F.linear(states.flatten(0, 1)[at].to(wide), embeddings.to(wide), self.bias.to(wide))
            each = F.cross_entropy(logits, wanted[at], reduction="none")
            found = torch.stack([each, torch.ones_like(each)], dim=1)
            return found.new_zeros(len(packed), 2).index_add(0, packed.owners.flatten()[at], found)
