"""Muon: momentum whose matrices are made orthogonal by Newton-Schulz steps (Jordan et al. 2024, "Muon").

The quintic's coefficients are that paper's: after five steps every singular value lies between about 0.7 and 1.2, which
is near enough for an update. Matrices of one shape go through it together.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """(n, rows, columns) -> the same shape: nearly U V^T of each matrix U S V^T, in bfloat16."""
    x = matrices.to(torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def _gradient(matrix: Tensor) -> Tensor:
    if matrix.grad is None:
        raise ValueError("a matrix has no gradient")
    return matrix.grad


class Muon:
    """Updates matrices in place; `momenta` is all its state."""

    def __init__(self, matrices: Iterable[Tensor], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.shapes: dict[torch.Size, list[Tensor]] = {}
        for matrix in matrices:
            self.shapes.setdefault(matrix.shape, []).append(matrix)
        self.momenta = {id(each): torch.zeros_like(each) for same in self.shapes.values() for each in same}

    @torch.no_grad()
    def step(self, rate: float, weight_decay: float) -> None:
        """One step along the gradients: Nesterov's momentum, made orthogonal; decay as AdamW's."""
        for shape, same in self.shapes.items():
            gradients = [_gradient(each) for each in same]
            momenta = [self.momenta[id(each)] for each in same]
            torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
            updates = orthogonal(torch.stack(torch._foreach_lerp(gradients, momenta, self.momentum)))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(same, 1 - rate * weight_decay)
            torch._foreach_add_(same, list(updates.to(same[0].dtype).unbind()), alpha=-scale)
