"""AdamW as transformers had it before version 5, which the paper's authors used.

It departs from torch's in two places: epsilon is added to the root of the second moment before the bias of that moment
is corrected, and weights decay after the step and not before it. With betas (0.9, 0.9) and an epsilon of 1e-6 the
first matters: gradients are divided by 1 / sqrt(1 - 0.9^t) times as much epsilon, 3.2 times at the first step.
"""

from __future__ import annotations

import math

import torch


class AdamWHF(torch.optim.AdamW):
    """torch's step with the epsilon of each step enlarged and without decay, then the decay."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        before = [(group["eps"], group["weight_decay"]) for group in self.param_groups]
        for group in self.param_groups:
            done = next((self.state[p].get("step", 0) for p in group["params"] if p.grad is not None), 0)
            correction = 1 - group["betas"][1] ** (1 + int(done))
            group["eps"], group["weight_decay"] = group["eps"] / math.sqrt(correction), 0.0
        super().step()
        for group, (epsilon, decay) in zip(self.param_groups, before, strict=True):
            group["eps"], group["weight_decay"] = epsilon, decay
            moved = [p for p in group["params"] if p.grad is not None]
            if decay and moved:
                torch._foreach_mul_(moved, 1 - group["lr"] * decay)
