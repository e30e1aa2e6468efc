"""AdamW as the paper's authors run it: two groups of parameters, linear warm-up, linear decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mlsg.config.recipes import TrainSettings

_FUSED = {"cpu", "cuda"}


def adamw(parameters: Mapping[str, Tensor], settings: TrainSettings) -> torch.optim.AdamW:
    """Weight decay on matrices, none on biases and LayerNorm (every parameter of one dimension)."""
    matrices = [value for value in parameters.values() if value.ndim > 1]
    others = [value for value in parameters.values() if value.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = all(value.device.type in _FUSED for value in parameters.values())
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.adam_betas, eps=settings.adam_epsilon, fused=fused
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


def update(optimiser: torch.optim.Optimizer, clip: float) -> None:
    """Move the parameters by their gradients, scaled down to a norm of `clip` together if they are longer; 0: never.

    A fused step scales on the way. It does not count its parameters as changed: what keeps weights rounded
    (`mlsg.model.fast.linear`) asks for that count.
    """
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


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups the same rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def moments(optimiser: torch.optim.Optimizer, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors: `exp_avg/<parameter>`, `exp_avg_sq/<parameter>`, `step/<parameter>`."""
    return {
        f"{kind}/{name}": value
        for name, parameter in names.items()
        for kind, value in optimiser.state.get(parameter, {}).items()
    }


def restore_moments(
    optimiser: torch.optim.Optimizer, names: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Undo `moments`."""
    name_of = {id(parameter): name for name, parameter in names.items()}
    ordered = [name_of[id(p)] for group in optimiser.param_groups for p in group["params"]]
    kinds = sorted({key.partition("/")[0] for key in tensors})
    state: dict[int, dict[str, Any]] = {}
    for number, name in enumerate(ordered):
        found = {kind: tensors[f"{kind}/{name}"] for kind in kinds if f"{kind}/{name}" in tensors}
        if found:
            state[number] = found
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
