"""What is not a model is reported in one line that says what to do, and nothing in it is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BartConfig,
    ConvBertConfig,
    FNetConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    T5Config,
)

from mlsg.errors import HubUnreachableError, ModelError
from mlsg.model.backbone import load_backbone
from mlsg.model.source import find_model
from tests.tiny_models import tiny_bert


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "broken")


def _edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")


def _other_weights(folder: Path) -> None:
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"})


def _without_a_layer(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "layer.1." not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def _not_finite(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][:] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "not a configuration"),
    "config that is a list": (lambda f: (f / "config.json").write_text("[]"), "not a configuration"),
    "binary config": (lambda f: (f / "config.json").write_bytes(b"\xff\x00\xfe"), "not a configuration"),
    "unknown architecture": (lambda f: _edit_config(f, model_type="bertissimo"), "not a configuration"),
    "code of its own": (
        lambda f: _edit_config(f, model_type="mine", auto_map={"AutoConfig": "mine.C", "AutoModel": "mine.M"}),
        "not a configuration",
    ),
    "gpt2": (lambda f: GPT2Config().save_pretrained(f), "is a gpt2 model, not an encoder"),
    "t5": (lambda f: T5Config().save_pretrained(f), "is a t5 model, not an encoder"),
    "bart": (lambda f: BartConfig().save_pretrained(f), "is a bart model, not an encoder"),
    "bert as a decoder": (lambda f: _edit_config(f, is_decoder=True), "not an encoder"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "pickled weights": (_pickle_only, "only pickled weights (pytorch_model.bin)"),
    "truncated weights": (lambda f: _truncate(f / "model.safetensors"), "cannot be read"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read"),
    "another model's weights": (_other_weights, "lack"),
    "a layer too few": (_without_a_layer, "lack 16 tensors"),
    "another width": (lambda f: _edit_config(f, hidden_size=64), "cannot be read"),
    "weights that are not finite": (_not_finite, "not finite"),
    "no tokenizer": (_no_tokenizer, "has no tokenizer"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer"),
    "another tokenizer": (lambda f: _edit_config(f, vocab_size=100), "352 tokens, its model 100"),
}


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_damaged_model_is_one_line(
    folder: Path, damage: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    make, said = _DAMAGE[damage]
    make(folder)
    capfd.readouterr()
    with pytest.raises(ModelError) as caught:
        load_backbone(str(folder))
    assert said in caught.value.problem
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.remedy
    assert capfd.readouterr() == ("", "")
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize("kind", [FNetConfig, ConvBertConfig])
def test_an_encoder_that_mixes_padding_in_is_refused(kind: type[PreTrainedConfig], folder: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(kind(vocab_size=352, max_position_embeddings=64, **sizes)).save_pretrained(folder)
    with pytest.raises(ModelError, match="lets padding change its vectors"):
        load_backbone(str(folder))


def test_a_middle_layer_below_a_last_normalisation_is_refused_as_a_model(folder: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    config = ModernBertConfig(vocab_size=352, max_position_embeddings=64, pad_token_id=0, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    backbone = load_backbone(str(folder))
    assert backbone.truncated(3).layers == 3
    with pytest.raises(ModelError, match="layer 2 of broken cannot be taken out as a model of 2 layers"):
        backbone.truncated(2)


def test_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle")
    assert load_backbone(str(folder)).layers == 2


def test_an_empty_folder_a_file_and_a_path_to_nowhere_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    for name, said in (("empty", "no config.json"), ("file.txt", "is a file"), ("absent/../x", "does not exist")):
        with pytest.raises(ModelError, match=said):
            load_backbone(str(tmp_path / name))


def test_a_hub_id_out_of_reach_is_the_hubs_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnreachableError, match="nobody/nothing"):
        load_backbone("nobody/nothing")


def test_a_hub_id_is_looked_up_at_its_commit(good: Path) -> None:
    asked = []

    class FakeHub:
        def resolve(self, repo: str, revision: str, kind: str) -> str:
            asked.append((repo, revision, kind))
            return "c" * 40

        def snapshot(self, repo: str, revision: str) -> Path:
            asked.append((repo, revision))
            return good

    located = find_model("someone/model", "v1", FakeHub())  # type: ignore[arg-type]
    assert (located.name, located.folder, located.revision) == ("someone/model", good, "c" * 40)
    assert asked == [("someone/model", "v1", "model"), ("someone/model", "c" * 40)]
