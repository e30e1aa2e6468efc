"""A step: the gradients of a batch, then AdamW, torch's or the authors', with linear warm-up and decay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from mlsg.config.recipes import TrainSettings
from mlsg.model.backbone import Backbone
from mlsg.model.fast.dropout import masks_of
from mlsg.model.fast.packing import Packed
from mlsg.model.precision import autocast
from mlsg.objectives.interface import Batch, Objective
from mlsg.train.adamw_hf import AdamWHF

_KINDS = {"adamw": torch.optim.AdamW, "adamw_hf": AdamWHF}


@dataclass(frozen=True)
class GradientCache:
    """Loss and gradients of one batch, in one pass or, where it is too big for the memory, in several.

    Several passes (`train.mini_batch_size`): all anchors are computed without a graph, the loss gives each of them its
    gradient, then each mini-batch is computed again, with the same dropout masks, and its gradient handed on. The loss
    sees the whole batch, so the result is that of one pass up to rounding. Source: L. Gao, Y. Zhang, J. Han, J. Callan:
    Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP 2021 (GradCache).
    """

    tuned: Backbone
    objective: Objective
    device: torch.device
    precision: str

    def gradients(self, batch: Batch, seeds: Sequence[int]) -> Tensor:
        """Add the gradients of the batch's loss to every `.grad`; returns the loss.

        `seeds` are those of the dropout masks, one a sentence, so that masks do not depend on the passes.
        """
        if len(batch.mini_batches) == 1:
            torch.manual_seed(seeds[0])
            # one autocast around both: the head's weights are cast here too
            with masks_of(seeds, batch.mini_batches[0]), autocast(self.device, self.precision):
                loss = self.objective.loss(self.objective.anchors(self.tuned, batch.mini_batches[0]), batch)
            loss.backward()
            return loss.detach()
        rest = iter(seeds)
        passes = [(packed, list(islice(rest, len(packed)))) for packed in batch.mini_batches]
        with torch.no_grad():
            anchors = torch.cat([self._anchors(*each) for each in passes])
        anchors.requires_grad_()
        with autocast(self.device, self.precision):
            loss = self.objective.loss(anchors, batch)
        loss.backward()
        assert anchors.grad is not None
        upstream = anchors.grad.split([len(packed) for packed, _ in passes])
        for each, gradient in zip(passes, upstream, strict=True):
            self._anchors(*each).backward(gradient)
        return loss.detach()

    def _anchors(self, packed: Packed, seeds: Sequence[int]) -> Tensor:
        """One autocast for each pass: what is cast without a graph must not be met by the pass with one."""
        torch.manual_seed(seeds[0])  # for the dropout of accelerators
        with masks_of(seeds, packed), autocast(self.device, self.precision):
            return self.objective.anchors(self.tuned, packed)


def adamw(parameters: Mapping[str, Tensor], settings: TrainSettings) -> torch.optim.AdamW:
    """Weight decay on matrices, none on biases and LayerNorm (every parameter of one dimension)."""
    matrices = [value for value in parameters.values() if value.ndim > 1]
    others = [value for value in parameters.values() if value.ndim <= 1]
    return _KINDS[settings.optimizer](
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=settings.adam_betas,
        eps=settings.adam_epsilon,
        fused=all(value.device.type in {"cpu", "cuda"} for value in parameters.values()),
    )


def make_moments(optimiser: torch.optim.AdamW) -> None:
    """Take the memory that the first step would take."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            optimiser.state[parameter] = {
                "step": torch.zeros((), device=parameter.device if group["fused"] else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def update(optimiser: torch.optim.Optimizer, rate: float, clip: float) -> None:
    """Move the parameters by their gradients, scaled down to a norm of `clip` together if they are longer; 0: never.

    A fused step scales on the way. It does not count its parameters as changed: what keeps weights rounded
    (`mlsg.model.fast.linear`) asks for that count.
    """
    for group in optimiser.param_groups:
        group["lr"] = rate
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    if clip:
        gradients = [value.grad for value in parameters if value.grad is not None]
        excess = ((nn.utils.get_total_norm(gradients, foreach=True) + 1e-6) / clip).clamp(min=1.0)
        if optimiser.defaults["fused"] and excess.dtype == torch.float32:
            optimiser.grad_scale = excess  # type: ignore[attr-defined]
        else:
            torch._foreach_div_(gradients, excess)
    optimiser.step()
    torch.autograd.graph.increment_version(parameters)


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """The rate of a step counted from 0: from 0 up to the peak over the first `warmup_ratio` share, then down to 0.

    1,079 steps with a warm-up of 0.1 climb for 108 of them, as `ceil` in the authors' code has it.
    """
    climb = math.ceil(steps * settings.warmup_ratio - 1e-9)
    share = step / climb if step < climb else (steps - step) / max(1, steps - climb)
    return settings.learning_rate * share


def moments(optimiser: torch.optim.Optimizer, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors: `exp_avg/<parameter>`, `exp_avg_sq/<parameter>`, `step/<parameter>`."""
    states = {name: optimiser.state.get(parameter, {}) for name, parameter in names.items()}
    return {f"{kind}/{name}": value for name, state in states.items() for kind, value in state.items()}


def restore_moments(
    optimiser: torch.optim.Optimizer, names: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Undo `moments`."""
    numbers = {id(p): n for n, p in enumerate(p for group in optimiser.param_groups for p in group["params"])}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        state.setdefault(numbers[id(names[name])], {})[kind] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
