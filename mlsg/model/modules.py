"""What follows the pooling: a linear map (`Dense`), scaling to length 1 (`Normalize`). As in sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mlsg.cache.files import read_json
from mlsg.errors import ModelError
from mlsg.model.folder import Step, write_json

_WEIGHTS = "model.safetensors"
_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.modules.activation.Tanh": nn.Tanh,
}
_PLAIN = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding", "use_residual": False}


class Dense(nn.Module):
    """activation(x W^T + b), (b, d) -> (b, e)."""

    def __init__(self, linear: nn.Linear, activation: str = "torch.nn.modules.linear.Identity") -> None:
        super().__init__()
        self.linear, self.activation = linear, activation
        self._function = _ACTIVATIONS[activation]()

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, e)."""
        return self._function(self.linear(vectors))


class Normalize(nn.Module):
    """x / |x|; a zero vector stays zero."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, d)."""
        return nn.functional.normalize(vectors, dim=-1)


def read_step(step: Step, dimension: int) -> Dense | Normalize:
    """The module in a step's folder, taking vectors of `dimension`. Raises ModelError for what mlsg does not have."""
    if step.kind == "Normalize":
        settings = _settings(step.folder) if (step.folder / "config.json").is_file() else {}
        _check_plain(step.folder, settings)
        return Normalize()
    settings = _settings(step.folder)
    _check_plain(step.folder, settings)
    activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if activation not in _ACTIVATIONS:
        raise ModelError(f"{step.folder}: mlsg does not have the activation {activation}", "use Identity or Tanh")
    try:
        tensors = load_file(step.folder / _WEIGHTS)
        weight, bias = tensors["linear.weight"].float(), tensors.get("linear.bias")
    except (OSError, KeyError, SafetensorError) as error:
        problem = f"{step.folder / _WEIGHTS} cannot be read ({error})"
        raise ModelError(problem, "save the model again with sentence-transformers, as safetensors") from error
    if weight.ndim != 2 or weight.shape[1] != dimension:
        raise ModelError(f"{step.folder} does not take vectors of {dimension} dimensions", "download the model again")
    linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias.float())
    return Dense(linear, activation)


def write_step(step: Dense | Normalize, folder: Path) -> None:
    """Write a module into its folder, where `write_layout` has made it."""
    if isinstance(step, Normalize):
        return
    linear = step.linear
    settings = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": step.activation,
    }
    write_json(folder / "config.json", settings)
    save_tensors({f"linear.{name}": value for name, value in linear.state_dict().items()}, folder)


def save_tensors(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write model.safetensors: float32, contiguous, from the CPU."""
    path = folder / _WEIGHTS
    save_file({n: t.detach().to("cpu", torch.float32).contiguous() for n, t in tensors.items()}, path, {"format": "pt"})
    path.chmod((folder.stat().st_mode & 0o666) | 0o600)


def _settings(folder: Path) -> dict[str, object]:
    try:
        return dict(read_json(folder / "config.json"))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read ({error})", "download the model again") from error


def _check_plain(folder: Path, settings: Mapping[str, object]) -> None:
    for key, plain in _PLAIN.items():
        if settings.get(key) not in (None, plain):
            raise ModelError(
                f"{folder}: mlsg does not have {key} = {settings[key]!r}", "use a plain Dense or Normalize"
            )
