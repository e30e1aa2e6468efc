"""What follows the pooling: a linear map (`Dense`), scaling to length 1 (`Normalize`). As in sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mlsg.errors import ModelError
from mlsg.model.folder import ModuleFolder, read_table, write_json

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
        found: Tensor = self._function(self.linear(vectors))
        return found


class Normalize(nn.Module):
    """x / |x|; a zero vector stays zero."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, d)."""
        return nn.functional.normalize(vectors, dim=-1)


def read_module(module: ModuleFolder, dimension: int) -> Dense | Normalize:
    """The module in a folder, taking vectors of `dimension`. Raises ModelError for what mlsg does not have."""
    folder = module.folder
    path = folder / "config.json"
    settings = read_table(path) if module.kind == "Dense" or path.is_file() else {}
    for key, plain in _PLAIN.items():
        if settings.get(key) not in (None, plain):
            problem = f"{folder}: mlsg does not have {key} = {settings[key]!r}"
            raise ModelError(problem, "use a plain Dense or Normalize")
    if module.kind == "Normalize":
        return Normalize()
    activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if activation not in _ACTIVATIONS:
        raise ModelError(f"{folder}: mlsg does not have the activation {activation}", "use Identity or Tanh")
    try:
        tensors = load_file(folder / _WEIGHTS)
        weight, bias = tensors["linear.weight"].float(), tensors.get("linear.bias")
    except (OSError, KeyError, SafetensorError) as error:
        problem = f"{folder / _WEIGHTS} cannot be read ({error})"
        raise ModelError(problem, "save the model again with sentence-transformers, as safetensors") from error
    if weight.ndim != 2 or weight.shape[1] != dimension:
        raise ModelError(f"{folder} does not take vectors of {dimension} dimensions", "download the model again")
    linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias.float())
    return Dense(linear, activation)


def write_module(module: Dense | Normalize, folder: Path) -> None:
    """Write a module into its folder, where `write_layout` has made it."""
    if isinstance(module, Normalize):
        return
    linear = module.linear
    settings = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": linear.bias is not None}
    write_json(folder / "config.json", {**settings, "activation_function": module.activation})
    save_tensors({f"linear.{name}": value for name, value in linear.state_dict().items()}, folder)


def write_layer_average(folder: Path, layers: int, dimension: int) -> None:
    """first_last: sentence-transformers' average of layers 1..L with weights 1, 0, ..., 0, 1."""
    weights = torch.zeros(layers)
    weights[0] = weights[-1] = 1.0
    settings = {"word_embedding_dimension": dimension, "layer_start": 1, "num_hidden_layers": layers}
    write_json(folder / "config.json", settings)
    save_tensors({"layer_weights": weights}, folder)


def save_tensors(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write model.safetensors: float32, contiguous, from the CPU."""
    path = folder / _WEIGHTS
    save_file({n: t.detach().to("cpu", torch.float32).contiguous() for n, t in tensors.items()}, path, {"format": "pt"})
    path.chmod((folder.stat().st_mode & 0o666) | 0o600)
