"""Loss and gradients of one batch, in one pass or, where it is too big for the memory, in several.

Several passes (`train.mini_batch_size`): all anchors are computed without a graph, the loss gives each of them its
gradient, then each chunk is computed again, with the same dropout masks, and its gradient handed on. The loss sees the
whole batch, so the result is that of one pass up to rounding. Source: L. Gao, Y. Zhang, J. Han, J. Callan: Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP 2021 (GradCache).

Nothing is compiled: on two cores torch.compile took 109 seconds of processor time for mBERT's shape and left the step
as it was (1.1 s after, 0.9 s before; bf16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlsg.model.backbone import Backbone
from mlsg.model.fast.dropout import masks_of
from mlsg.model.fast.packing import Packed
from mlsg.model.precision import autocast
from mlsg.objectives.interface import Batch, Objective


@dataclass(frozen=True)
class GradientCache:
    """The passes through a tuned copy for an objective."""

    tuned: Backbone
    objective: Objective
    device: torch.device
    precision: str

    def gradients(self, batch: Batch, seeds: Sequence[int]) -> Tensor:
        """Add the gradients of the batch's loss to every `.grad`; returns the loss.

        `seeds` are those of the dropout masks, one a chunk.
        """
        if len(batch.mini_batches) == 1:
            torch.manual_seed(seeds[0])
            # one autocast around both: the head's weights are cast here too
            with masks_of(seeds[0]), autocast(self.device, self.precision):
                loss = self.objective.loss(self.objective.anchors(self.tuned, batch.mini_batches[0]), batch)
            loss.backward()
            return loss.detach()
        passes = list(zip(batch.mini_batches, seeds, strict=True))
        with torch.no_grad():
            anchors = torch.cat([self._anchors(chunk, seed) for chunk, seed in passes])
        anchors.requires_grad_()
        with autocast(self.device, self.precision):
            loss = self.objective.loss(anchors, batch)
        loss.backward()
        assert anchors.grad is not None
        for (chunk, seed), upstream in zip(
            passes, anchors.grad.split([len(c) for c in batch.mini_batches]), strict=True
        ):
            self._anchors(chunk, seed).backward(upstream)
        return loss.detach()

    def _anchors(self, chunk: Packed, seed: int) -> Tensor:
        """One autocast for each pass: what is cast without a graph must not be met by the pass with one."""
        torch.manual_seed(seed)
        with masks_of(seed), autocast(self.device, self.precision):
            return self.objective.anchors(self.tuned, chunk)
