"""The regulariser: how far the tuned copy has drifted from the guide.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1 and footnote 5: the squared L2 norm of theta_T - theta_F over all
parameters of the tuned copy, a sum and not a mean. The head is not in it; a frozen parameter adds zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def squared_drift(parameters: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
    """Sum over all entries of (parameter - fixed)^2, a scalar; the gradient is 2 (parameter - fixed)."""
    return _SquaredDrift.apply(len(parameters), *parameters, *fixed)


class _SquaredDrift(torch.autograd.Function):
    """A written-out gradient: autograd would keep and rebuild three copies of the model at each step."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.count = count
        differences = _differences(tensors, count)
        return torch.stack([torch.linalg.vecdot(d.flatten(), d.flatten()) for d in differences]).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        differences = _differences(ctx.saved_tensors, ctx.count)
        torch._foreach_mul_(differences, 2 * upstream[0])
        return (None, *differences, *(None for _ in range(ctx.count)))


def _differences(tensors: Sequence[Tensor], count: int) -> list[Tensor]:
    return list(torch._foreach_sub(list(tensors[:count]), list(tensors[count:])))
