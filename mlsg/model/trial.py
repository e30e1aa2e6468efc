"""A base that has just been read is tried on two texts.

What cannot be run, or gives other numbers beside another sentence, is refused by name before any work is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlsg.errors import ModelError
from mlsg.model.guard import one_line

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

_TEXTS = ["1", "1 2 3 4 5 6 7 8 9"]
_INSTEAD = "use an encoder such as BERT or XLM-R"


@torch.no_grad()
def try_encoding(backbone: Backbone) -> None:
    """Raise ModelError unless vectors are finite and do not change with the sentences that share a batch.

    FNet, ConvBERT, Nystromformer and YOSO mix padding into sentences: their vectors would depend on what they are
    computed beside. So they would under BigBird, which attends to blocks in long texts until it has seen a short one.
    """
    name = f"{backbone.name} ({backbone.model.config.model_type})"
    with one_line(f"{name} cannot be run", _INSTEAD):
        ids, mask = backbone.tokenize(_TEXTS).batch([0, 1])
        own = mask[0] == 1
        states, alone = backbone.last_state(ids, mask), backbone.last_state(ids[:1, own], mask[:1, own])[0]
        if alone.shape != (int(own.sum()), backbone.dimension):
            raise ModelError(f"{name} gives {tuple(alone.shape)} numbers for {int(own.sum())} tokens", _INSTEAD)
        if not alone.isfinite().all():
            raise ModelError(f"{backbone.name} gives vectors that are not finite", "use an undamaged model")
        eager = backbone.layers and backbone.model.config._attn_implementation == "eager"
        if eager and torch.equal(states[0, 0], states[1, 0]):  # MRA where its kernels for GPUs are missing
            raise ModelError(f"{name} does not attend: all texts have one first vector", _INSTEAD)
        if not torch.allclose(alone, states[0, : len(alone)], rtol=1e-4, atol=1e-4 * float(alone.abs().max())):
            problem = f"{name} lets padding change its vectors"
            raise ModelError(problem, "use an encoder that masks padding, such as BERT or XLM-R")
        config = backbone.model.config
        if getattr(config, "attention_type", None) == "block_sparse":
            dense = (5 + 2 * config.num_random_blocks) * config.block_size
            if backbone.max_length > dense:
                problem = (
                    f"{name} attends to blocks only from {dense + 1} tokens on, so that a batch changes its vectors"
                )
                raise ModelError(problem, 'set "attention_type": "original_full" in its config.json')


def try_training(backbone: Backbone) -> None:
    """Raise ModelError unless a gradient comes back to the lowest layer; weights and random state stay as they are."""
    name, device = f"{backbone.name} ({backbone.model.config.model_type})", backbone.device
    learning = next((each for each in backbone.model.parameters() if each.requires_grad), None)
    drawn = [device] if device.type == "cuda" else []
    with one_line(f"{name} cannot be trained", _INSTEAD), torch.random.fork_rng(drawn), torch.enable_grad():
        ids, mask = (tensor.to(device) for tensor in backbone.tokenize(_TEXTS).batch([0, 1]))
        state = backbone.last_state(ids, mask)
        if learning is not None:
            torch.autograd.grad(state.square().sum(), [learning], allow_unused=True)
