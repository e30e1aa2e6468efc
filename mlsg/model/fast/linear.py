"""A base made ready to run without gradient: the same weights, linear layers that this machine runs faster.

    model = fast_model(backbone.model, "bf16")   # shares every tensor with backbone.model; the original stays as it is

On CPUs with AVX-512 the linear layers go to oneDNN: what torch's own float32 path (MKL) does there on AMD's processors
is half as fast. In bf16 each weight is rounded once and not, as autocast does, at every call; a weight that has changed
since (training goes on) is rounded again. What is not a linear layer stays in float32, as under autocast.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.activations import GELUActivation

_USUAL_ROWS = 256  # rows of a product that weights are laid out for


class _Product(torch.autograd.Function):
    """x W^T + b in float32 by oneDNN, and both products of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias).data  # no view, so that it may be changed in place (Longformer)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (x, weight), (of_x, of_weight, of_bias) = ctx.saved_tensors, ctx.needs_input_grad
        rows = upstream.reshape(-1, upstream.shape[-1])
        return (
            _product(upstream, weight.T) if of_x else None,
            _product(rows.T, x.reshape(-1, x.shape[-1]).T) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


class Float32Linear(nn.Linear):
    """x W^T + b, in float32 by oneDNN where that can be called; under autocast, and elsewhere, as torch has it."""

    def forward(self, x: Tensor) -> Tensor:
        """(.., d) -> (.., e)."""
        if not (x.dtype == self.weight.dtype == torch.float32 and x.device.type == "cpu" and has_onednn()):
            return super().forward(x)
        if torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        if not torch.is_grad_enabled():
            return _product(x, self.weight, self.bias)
        made: Tensor = _Product.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return made


class _Bf16Linear(nn.Linear):
    """x W^T + b in bf16, summed in float32; the weights are rounded once."""

    after = "none"  # what follows the product: none, gelu
    _made_of: tuple[Any, ...] = ()
    _weight: Tensor
    _bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """(.., d) -> (.., e) in bf16."""
        now = tuple(_state(part) for part in (self.weight, self.bias) if part is not None)
        if now != self._made_of:
            self._weight = _laid_out(self.weight.detach().to(torch.bfloat16))
            self._bias = None if self.bias is None else self.bias.detach().to(torch.bfloat16)
            self._made_of = now
        if self._weight.is_mkldnn:
            return _product(x.to(torch.bfloat16), self._weight, self._bias, self.after)
        made = functional.linear(x.to(torch.bfloat16), self._weight, self._bias)
        return functional.gelu(made) if self.after == "gelu" else made


def fast_model(model: nn.Module, precision: str) -> nn.Module:
    """A copy of the modules in evaluation mode, not of the tensors; precision: float32, bf16."""
    return shared_copy(model, {nn.Linear: _Bf16Linear if precision == "bf16" else Float32Linear}).eval()


def with_gelu_inside(model: nn.Module) -> nn.Module:
    """Have the bf16 layers of `fast_model` take the GELU after them along, of what they have summed; in place."""
    for module in list(model.modules()):
        dense, after = (module._modules.get(name) for name in ("dense", "intermediate_act_fn"))
        if isinstance(dense, _Bf16Linear) and isinstance(after, (nn.GELU, GELUActivation)) and _exact(after):
            dense.after = "gelu"
            module._modules["intermediate_act_fn"] = nn.Identity()
    return model


def _exact(gelu: nn.Module) -> bool:
    return getattr(gelu, "approximate", "none") == "none" and getattr(gelu, "act", functional.gelu) is functional.gelu


def shared_copy(model: nn.Module, kinds: Mapping[type[nn.Module], type[nn.Module]]) -> nn.Module:
    """A copy of the modules, not of the tensors, in which modules of some kinds are of others with the same fields."""
    return _copied(model, kinds, {})


@cache
@torch.no_grad()
def has_onednn() -> bool:
    """Whether oneDNN's linear layers can be called, gain something, and give what torch's own give, tried once.

    The calls are those that torch's compiler emits; they are not documented, so that a change is met by the usual path.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    x, weight = (torch.linspace(-1, 1, 48).sin().reshape(shape) for shape in ((4, 12), (4, 12)))
    bias = torch.linspace(-1, 1, 4)
    with torch.autocast("cpu", enabled=False):  # it may be on where this is called first, and would round what follows
        expected = functional.linear(x, weight, bias)
        try:
            for dtype, most in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
                packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), _USUAL_ROWS)
                for each in (packed, weight.to(dtype)):
                    found = _product(x.to(dtype), each, bias.to(dtype)).float()
                    active = _product(x.to(dtype), each, bias.to(dtype), "gelu").float()
                    if (found - expected).abs().max() > most or (active - functional.gelu(expected)).abs().max() > most:
                        return False
        except (AttributeError, RuntimeError):
            return False
    return True


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None, after: str = "none") -> Tensor:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "none" if after == "gelu" else "")
    return made


def _state(part: Tensor) -> tuple[int, int]:
    """What is another after an optimiser's step in place, and after new values were put into a parameter."""
    return (0 if part.is_inference() else part._version), part.data_ptr()


def _laid_out(weight: Tensor) -> Tensor:
    """A bf16 weight as oneDNN wants it, where there is one."""
    if weight.device.type != "cpu" or not has_onednn():
        return weight
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _USUAL_ROWS)
    return laid_out


def _copied(
    module: nn.Module, kinds: Mapping[type[nn.Module], type[nn.Module]], done: dict[int, nn.Module]
) -> nn.Module:
    """The module with its own tables of children, buffers and hooks, and the same parameters; a shared child stays one.

    transformers hooks itself into a model to collect its layers' outputs: in shared tables it would do so twice.
    """
    if id(module) not in done:
        copied = copy.copy(module)
        copied.__class__ = kinds.get(type(module), type(module))
        done[id(module)] = copied
        copied.__dict__.update({name: copy.copy(table) for name, table in vars(module).items() if "hooks" in name})
        copied._buffers = dict(module._buffers)
        copied._modules = {
            name: None if child is None else _copied(child, kinds, done) for name, child in module._modules.items()
        }
    return done[id(module)]
