"""LoRA adapters beside weights: merged by peft, or refused by a line that names it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mlsg.errors import ModelError
from mlsg.model.encoder import Encoder
from tests.model.texts import TEXTS
from tests.tiny_models import tiny_bert

_PEFT = importlib.util.find_spec("peft") is not None
_TARGETS = [f"encoder.layer.{layer}.attention.self.{name}" for layer in range(2) for name in ("query", "value")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    """The base with an adapter of rank 3 beside it."""
    folder = shutil.copytree(base, tmp_path / "model")
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name in _TARGETS:
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(3, 32, generator=generator) * 0.3
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(32, 3, generator=generator) * 0.3
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": "../elsewhere", "r": 3,
        "lora_alpha": 12, "lora_dropout": 0.1, "bias": "none", "target_modules": ["query", "value"],
        "layer_replication": None, "megatron_config": None, "megatron_core": "megatron.core", "use_dora": False,
        "loftq_config": {}, "rank_pattern": {}, "a_key_of_a_later_version": None,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Encoder.from_pretrained(folder, pooling="mean", device="cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_peft_the_line_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: found(name, *rest) if name != "peft" else None)
    said = _refusal(folder)
    assert "LoRA adapter" in said
    assert "pip install peft" in said


def test_an_adapter_without_its_base_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    assert "an adapter without its base; merge it into its base with peft" in _refusal(folder)


_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"peft_type": "PROMPT_TUNING"}, "peft_type = 'PROMPT_TUNING'"),
    "a key that decides something": ({"layer_replication": [[0, 2]]}, "layer_replication"),
    "code of a module that it names": ({"megatron_config": {"a": 1}}, "megatron_config"),
    "other weights of the base": ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa'"),
    "a pattern": ({"target_modules": "(a+)+$"}, "target_modules"),
    "a pattern in a table": ({"rank_pattern": {"(a+)+$": 3}}, "rank_pattern"),
    "a rank that is no number": ({"r": "3"}, "r = '3'"),
    "an alpha that is true": ({"lora_alpha": True}, "lora_alpha = True"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_other_adapters_are_refused_by_name(folder: Path, case: str) -> None:
    changes, said = _REFUSED[case]
    _edit(folder, **changes)
    assert said in _refusal(folder)


# with peft


needs_peft = pytest.mark.skipif(not _PEFT, reason="peft is not installed")


def _by_hand(base: Path, folder: Path, to: Path, scale: float) -> Path:
    shutil.copytree(base, to)
    tensors, adapter = load_file(to / "model.safetensors"), load_file(folder / "adapter_model.safetensors")
    for name in _TARGETS:
        down, up = (adapter[f"base_model.model.{name}.lora_{each}.weight"] for each in "AB")
        key = next(each for each in tensors if each.endswith(f"{name}.weight"))
        tensors[key] = tensors[key] + scale * up @ down
    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    return to


@needs_peft
@pytest.mark.parametrize(
    ("changes", "scale"), [({}, 4.0), ({"lora_alpha": 3}, 1.0), ({"use_rslora": True}, 12 / 3**0.5)]
)
def test_the_adapter_is_added_to_the_weights(
    base: Path, folder: Path, tmp_path: Path, changes: dict[str, Any], scale: float
) -> None:
    _edit(folder, **changes)
    encoder = Encoder.from_pretrained(folder, pooling="mean", device="cpu")
    expected = Encoder.from_pretrained(_by_hand(base, folder, tmp_path / "hand", scale), pooling="mean", device="cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.encode(TEXTS), atol=1e-5)
    encoder.save_pretrained(tmp_path / "saved")
    expected.save_pretrained(tmp_path / "expected")
    names = [sorted(path.name for path in (tmp_path / each).iterdir()) for each in ("saved", "expected")]
    assert names[0] == names[1]
    configs = [json.loads((tmp_path / each / "config.json").read_text()) for each in ("saved", "expected")]
    assert configs[0] == configs[1]
    again = Encoder.from_pretrained(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


def _of_another_model(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    renamed = {name.replace("base_model.model.", "base_model.model.bert."): each for name, each in tensors.items()}
    save_file(renamed, folder / "adapter_model.safetensors")


def _of_another_width(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name: each[..., :2].contiguous() for name, each in tensors.items()}, folder / "adapter_model.safetensors"
    )


_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickled": (lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"), "cannot be read"),
    "of another model": (_of_another_model, "is not of this model"),
    "of another width": (_of_another_width, "cannot be merged"),
    "of another rank": (lambda f: _edit(f, r=10**9), "not of the rank"),
    "of no module": (lambda f: _edit(f, target_modules=["nothing"]), "cannot be merged"),
    "of more modules than it has weights": (
        lambda f: _edit(f, target_modules=["query", "value", "key"]),
        "not of this",
    ),
}


@needs_peft
@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_damaged_adapter_is_refused(folder: Path, damage: str) -> None:
    change, said = _DAMAGE[damage]
    change(folder)
    assert said in _refusal(folder)


@needs_peft
def test_weights_that_the_base_lacks_are_still_seen(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: each for name, each in tensors.items() if "layer.1." not in name}, folder / "model.safetensors")
    assert "lack" in _refusal(folder)
