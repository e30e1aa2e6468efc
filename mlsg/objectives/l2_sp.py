"""The regulariser: the squared distance of the tuned copy's weights from the guide's.

Source: Kim, Yoo, Lee, ACL 2021, section 3.1 and footnote 5: the squared L2 norm of theta_T - theta_F over all
parameters of the tuned copy, a sum and not a mean. The head is not in it; a frozen parameter adds zero.

Its gradient is 2 lambda (theta_T - theta_F), so it is added to the others and autograd never sees the sum: that would
keep and rebuild three copies of the model at each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class L2ToStart:
    """lambda times the squared distance from where training began."""

    strength: float  # lambda
    towards: Mapping[str, Tensor]  # theta_F by its name in the tuned copy's model

    @torch.no_grad()
    def add_gradient(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Add the penalty's gradient to `.grad` of each parameter, named as in `towards`; returns the penalty."""
        moved = list(parameters.values())
        fixed = [self.towards[name] for name in parameters]
        for parameter in moved:
            if parameter.grad is None:  # not in the loss: the penalty is all that moves it
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
        if all(parameter.is_cuda for parameter in moved):
            differences = torch._foreach_sub(moved, fixed)
            torch._foreach_add_(gradients, differences, alpha=2 * self.strength)
            norms = list(torch._foreach_norm(differences))
        else:  # one after the other: on a CPU the difference is still in the cache when it is used again
            # all in the same place: memory fresh from the system costs more than the subtraction
            norms, room = [], moved[0].new_empty(max(parameter.numel() for parameter in moved))
            for parameter, start, gradient in zip(moved, fixed, gradients, strict=True):
                difference = torch.sub(parameter, start, out=room[: parameter.numel()].view(parameter.shape))
                gradient.add_(difference, alpha=2 * self.strength)
                norms.append(torch.linalg.vector_norm(difference))
        return self.strength * torch.stack(norms).square().sum()
