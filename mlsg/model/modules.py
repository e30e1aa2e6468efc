"""What follows the pooling: a linear map (`Dense`), scaling to length 1 (`Normalize`), as in sentence-transformers.

`Flow` and `NearestMean` are mlsg's own: sentence-transformers refuses a folder that has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mlsg.errors import ModelError
from mlsg.model.flow import Flow
from mlsg.model.folder import ModuleFolder, write_json
from mlsg.model.folder_keys import DENSE, FLOW, NEAREST_MEAN, NORMALIZE, activation, read_known, shown
from mlsg.model.nearest_mean import NearestMean

_LARGEST_FLOW = 2**22  # levels, depth and width multiplied: larger ones are no settings of anyone
_AGAIN = "download the model again"
_WEIGHTS = "model.safetensors"
_IDENTITY, _TANH = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"
_FUNCTIONS: Mapping[str, Callable[[], nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
}


class Dense(nn.Module):
    """activation(x W^T + b), (b, d) -> (b, e)."""

    def __init__(self, linear: nn.Linear, activation_function: str = _IDENTITY) -> None:
        super().__init__()
        self.linear, self.activation_function = linear, activation_function
        self._function = _FUNCTIONS[activation(activation_function)]()

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, e)."""
        found: Tensor = self._function(self.linear(vectors))
        return found


class Normalize(nn.Module):
    """x / |x|; a zero vector stays zero."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, d) -> (b, d)."""
        return nn.functional.normalize(vectors, dim=-1)


AfterPooling = Dense | Normalize | Flow | NearestMean


def read_module(module: ModuleFolder, dimension: int) -> AfterPooling:
    """The module in a folder, taking vectors of `dimension`. Raises ModelError for what mlsg does not have."""
    folder = module.folder
    path = folder / "config.json"
    if module.kind == "Normalize":
        if path.exists():
            read_known(path, NORMALIZE)
        return Normalize()
    if module.kind == "Flow":
        return _read_flow(folder, dimension)
    if module.kind == "NearestMean":
        return _read_means(folder, dimension)
    settings = read_known(path, DENSE)
    tensors = read_tensors(folder / _WEIGHTS)
    weight, bias = tensors.pop("linear.weight", None), tensors.pop("linear.bias", None)
    if weight is None or tensors:
        holds = shown(sorted(tensors)) if tensors else "no linear.weight"
        raise ModelError(f"{folder / _WEIGHTS} holds {holds}", "use a plain Dense of sentence-transformers")
    if weight.ndim != 2 or weight.shape[1] != dimension or not len(weight):
        raise ModelError(f"{folder} does not take vectors of {dimension} dimensions", _AGAIN)
    width = len(weight)
    declared = [settings.get(key, own) for key, own in (("in_features", dimension), ("out_features", width))]
    agrees = bias is None or bias.shape == (width,)
    if declared != [dimension, width] or settings.get("bias", True) != (bias is not None) or not agrees:
        raise ModelError(f"{folder}: the weights are not of the shape that its config.json says", _AGAIN)
    linear = nn.utils.skip_init(nn.Linear, dimension, width, bias=bias is not None)
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias)
    return Dense(linear, settings.get("activation_function", _TANH))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file as float32. Raises ModelError for those that are no finite numbers."""
    try:
        found = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        remedy = "save the model again with sentence-transformers, as safetensors"
        raise ModelError(f"{path} cannot be read ({error})", remedy) from error
    for name, tensor in found.items():
        if not tensor.is_floating_point() or not tensor.float().isfinite().all():
            raise ModelError(f"{path}: {shown(name)} holds what is not a finite number", _AGAIN)
    return {name: tensor.float() for name, tensor in found.items()}


def _read_flow(folder: Path, dimension: int) -> Flow:
    settings, tensors = read_known(folder / "config.json", FLOW), read_tensors(folder / _WEIGHTS)
    shape = {name: settings.get(name, 0) for name in ("levels", "depth", "width")}
    if settings.get("dimension") != dimension or not 0 < math.prod(shape.values()) < _LARGEST_FLOW:
        raise ModelError(f"{folder} does not take vectors of {dimension} dimensions", _AGAIN)
    flow = Flow(dimension, **shape)
    try:
        flow.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the weights are not of the shape that its config.json says", _AGAIN) from error
    return flow.requires_grad_(False)


def _read_means(folder: Path, dimension: int) -> NearestMean:
    read_known(folder / "config.json", NEAREST_MEAN)
    means = read_tensors(folder / _WEIGHTS).get("means")
    if means is None or means.ndim != 2 or means.shape[1] != dimension or not len(means):
        raise ModelError(f"{folder} does not take vectors of {dimension} dimensions", _AGAIN)
    return NearestMean(means)


def write_module(module: AfterPooling, folder: Path) -> None:
    """Write a module into its folder, where `write_layout` has made it."""
    if isinstance(module, Normalize):
        return
    if isinstance(module, Flow):
        shape = {"levels": module.levels, "depth": module.depth, "width": module.width}
        write_json(folder / "config.json", {"dimension": module.dimension, **shape})
        save_tensors(module.state_dict(), folder)
        return
    if isinstance(module, NearestMean):
        write_json(folder / "config.json", {"dimension": module.means.shape[1]})
        save_tensors(module.state_dict(), folder)
        return
    linear = module.linear
    settings = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": linear.bias is not None}
    write_json(folder / "config.json", {**settings, "activation_function": module.activation_function})
    save_tensors({f"linear.{name}": value for name, value in linear.state_dict().items()}, folder)


def write_layer_mean(folder: Path, chosen: Sequence[int], layers: int, dimension: int) -> None:
    """sentence-transformers' average of layers s..L, s being 0 or 1, with weight 1 for each chosen one, else 0."""
    start = min(1, *chosen)
    weights = torch.zeros(layers + 1 - start)
    weights[[each - start for each in chosen]] = 1.0
    settings = {"word_embedding_dimension": dimension, "layer_start": start, "num_hidden_layers": layers}
    write_json(folder / "config.json", settings)
    save_tensors({"layer_weights": weights}, folder)


def save_tensors(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write model.safetensors: float32, contiguous, from the CPU."""
    path = folder / _WEIGHTS
    save_file({n: t.detach().to("cpu", torch.float32).contiguous() for n, t in tensors.items()}, path, {"format": "pt"})
    path.chmod((folder.stat().st_mode & 0o666) | 0o600)
