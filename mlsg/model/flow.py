"""Glow on vectors: an invertible map whose log-determinant is known, as BERT-flow has it.

Source: D. Kingma, P. Dhariwal: Glow, NeurIPS 2018, section 3; B. Li et al., EMNLP 2020, appendix B: a vector is an
image of one pixel, couplings are additive. A level is `depth` steps (scale and shift, an invertible matrix, a
coupling); then half of the dimensions is set apart, standardised by a mean and a scale that the other half predicts.

A vector may have any number of dimensions from 2 on: of an odd number the first half is the smaller. What is
given out is the halves that were set apart, in their order, and the last one.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Flow(nn.Module):
    """(b, d) -> (b, d), invertible."""

    def __init__(self, dimension: int, *, levels: int, depth: int, width: int, seed: int = 0) -> None:
        super().__init__()
        self.dimension, self.depth, self.width = dimension, depth, width
        sizes = [dimension]
        while len(sizes) < levels and sizes[-1] >= 4:
            sizes.append(sizes[-1] // 2)
        self.levels = len(sizes)
        draws = torch.Generator().manual_seed(seed)
        self.steps = nn.ModuleList(_Step(size, width, draws) for size in sizes for _ in range(depth))
        self.splits = nn.ModuleList(_Apart(kept, size - kept) for size, kept in pairwise(sizes))

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, d)."""
        found, _ = self.with_log_determinant(vectors)
        return found

    def with_log_determinant(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(b, d) -> the same as `forward`, and (b,) the logarithm of the Jacobian's determinant's absolute value."""
        rest, apart, total = vectors, [], vectors.new_zeros(len(vectors))
        for steps, split in self._by_level():
            for step in steps:
                rest, log_determinant = step(rest)
                total = total + log_determinant
            if split is not None:
                rest, half, log_determinant = split(rest)
                total = total + log_determinant
                apart.append(half)
        return torch.cat([*apart, rest], dim=1), total

    @torch.no_grad()
    def inverse(self, given: Tensor) -> Tensor:
        """(b, d) -> (b, d): what `forward` gave it for."""
        by_level = self._by_level()
        sizes = [split.size for _, split in by_level if split is not None]
        *apart, rest = given.split([*sizes, given.shape[1] - sum(sizes)], dim=1)
        for steps, split in reversed(by_level):
            if split is not None:
                rest = split.inverse(rest, apart.pop())
            for step in reversed(steps):
                rest = step.inverse(rest)
        found: Tensor = rest
        return found

    def bits_per_dimension(self, vectors: Tensor) -> Tensor:
        """The mean negative log-likelihood under a standard normal, in bits for each dimension: a scalar."""
        given, log_determinant = self.with_log_determinant(vectors)
        log_density = -(0.5 * given.square() + _LOG_SQRT_2PI).sum(1)
        bits: Tensor = -(log_density + log_determinant).mean() / (math.log(2) * self.dimension)
        return bits

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Set scales and shifts so that these vectors leave each of them with mean 0 and variance 1 (section 3.1)."""
        rest = vectors
        for steps, split in self._by_level():
            for step in steps:
                step.start_from(rest)
                rest, _ = step(rest)
            if split is not None:
                rest, _, _ = split(rest)

    def _by_level(self) -> list[tuple[list[_Step], _Apart | None]]:
        """The steps of each level, and what sets a half apart after them; after the last level there is none."""
        steps, splits = cast("list[_Step]", list(self.steps)), cast("list[_Apart | None]", list(self.splits))
        levels = [steps[first : first + self.depth] for first in range(0, len(steps), self.depth)]
        return list(zip(levels, [*splits, None], strict=True))


class _Step(nn.Module):
    """Scale and shift, an invertible matrix, an additive coupling."""

    def __init__(self, size: int, width: int, draws: torch.Generator) -> None:
        super().__init__()
        self.shift, self.log_scale = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(size))
        rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=draws, dtype=torch.float64))
        self.matrix = nn.Parameter(rotation.float())
        self.kept = size // 2
        self.coupling = _residual(self.kept, size - self.kept, width, draws)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, s) -> (b, s), and the log-determinant, a scalar."""
        x = (x + self.shift) * self.log_scale.exp() @ self.matrix
        left, right = x[:, : self.kept], x[:, self.kept :]
        moved = torch.cat([left, right + self.coupling(left)], dim=1)
        return moved, self.log_scale.sum() + torch.linalg.slogdet(self.matrix)[1]

    def inverse(self, x: Tensor) -> Tensor:
        left, right = x[:, : self.kept], x[:, self.kept :]
        x = torch.cat([left, right - self.coupling(left)], dim=1)
        x = torch.linalg.solve(self.matrix, x, left=False)
        back: Tensor = x * (-self.log_scale).exp() - self.shift
        return back

    def start_from(self, x: Tensor) -> None:
        self.shift.copy_(-x.mean(0))
        self.log_scale.copy_(-x.std(0, correction=0).clamp(min=1e-6).log())


class _Apart(nn.Module):
    """Sets the second part of the dimensions apart, standardised by what the first part says of it."""

    def __init__(self, kept: int, size: int) -> None:
        super().__init__()
        self.kept, self.size = kept, size
        self.prior = nn.Linear(kept, 2 * size)
        nn.init.zeros_(self.prior.weight)
        nn.init.zeros_(self.prior.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, s) -> (b, kept), (b, size), and the log-determinant (b,)."""
        rest, apart = x[:, : self.kept], x[:, self.kept :]
        mean, log_scale = self.prior(rest).chunk(2, dim=1)
        return rest, (apart - mean) * (-log_scale).exp(), -log_scale.sum(1)

    def inverse(self, rest: Tensor, apart: Tensor) -> Tensor:
        mean, log_scale = self.prior(rest).chunk(2, dim=1)
        return torch.cat([rest, apart * log_scale.exp() + mean], dim=1)


class _Residual(nn.Module):
    """x + Linear(ReLU(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.linear(torch.relu(x))
        return found


def _residual(kept: int, size: int, width: int, draws: torch.Generator) -> nn.Sequential:
    """(b, kept) -> (b, size), 0 in the beginning."""
    network = nn.Sequential(nn.Linear(kept, width), _Residual(width), nn.ReLU(), nn.Linear(width, size))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(0.0, 0.05, generator=draws)
            if name.endswith("bias") or name.startswith("3."):
                parameter.zero_()
    return network
