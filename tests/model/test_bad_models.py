"""What is not a model is reported in one line that says what to do, and nothing in it is run."""

from __future__ import annotations

import json
import os
import shutil
import signal
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


def _pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")


def _renamed(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)


def _pickle_with_another_name(folder: Path) -> None:
    torch.save({"a": torch.zeros(2)}, folder / "model.safetensors")


def _prefixed(folder: Path, prefix: str) -> None:
    tensors = {prefix + name: value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _sharded(folder: Path, shard: str) -> None:
    _renamed(folder, "model-00001-of-00001.safetensors")
    names = dict.fromkeys(load_file(folder / "model-00001-of-00001.safetensors"), shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


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
    "config that is nested without end": (lambda f: (f / "config.json").write_text("[" * 10**5), "not a configuration"),
    "layers without end": (lambda f: _edit_config(f, num_hidden_layers=10**9), "num_hidden_layers is 1e+09"),
    "more layers than weights": (
        lambda f: _edit_config(f, num_hidden_layers=900),
        "num_hidden_layers = 900, but they hold",
    ),
    "fewer than no layers": (lambda f: _edit_config(f, num_hidden_layers=-1), "num_hidden_layers = -1"),
    "labels without end": (lambda f: _edit_config(f, num_labels=10**9), "num_labels is 1e+09"),
    "a width without end": (lambda f: _edit_config(f, hidden_size=4 * 10**6), "hidden_size = 4000000, and they lack"),
    "no heads": (lambda f: _edit_config(f, num_attention_heads=0), "cannot be read"),
    "a number that is text": (lambda f: _edit_config(f, hidden_size="wide"), "not a configuration"),
    "more positions than weights": (
        lambda f: _edit_config(f, max_position_embeddings=512),
        "max_position_embeddings = 512, but embeddings.position_embeddings.weight has 64 rows",
    ),
    "fewer rows than weights": (lambda f: _edit_config(f, vocab_size=400), "vocab_size = 400, but embeddings.word"),
    "weights under a name of their own": (
        lambda f: _edit_config(f, transformers_weights="x.safetensors"),
        "names weights of its own",
    ),
    "a pointer for weights": (lambda f: _pointer(f / "model.safetensors"), "model.safetensors is a Git LFS pointer"),
    "a pointer for a tokenizer": (lambda f: _pointer(f / "tokenizer.json"), "tokenizer.json is a Git LFS pointer"),
    "a pickle named safetensors": (_pickle_with_another_name, "is a pickle under another name"),
    "weights of another name": (
        lambda f: _renamed(f, "pytorch_model.safetensors"),
        "has pytorch_model.safetensors, but",
    ),
    "a wrong suffix": (lambda f: _renamed(f, "model.safetensor"), "has model.safetensor, but weights are read from"),
    "a shard without an index": (
        lambda f: _renamed(f, "model-00001-of-00002.safetensors"),
        "but no model.safetensors.in",
    ),
    "weights for TensorFlow": (lambda f: _renamed(f, "tf_model.h5"), "weights of another library only (tf_model.h5)"),
    "weights of DataParallel": (
        lambda f: _prefixed(f, "module."),
        'named "module....": the model was saved inside Data',
    ),
    "compiled weights": (lambda f: _prefixed(f, "_orig_mod."), "saved inside torch.compile"),
    "a shard that is not there": (lambda f: _sharded(f, "model-00002-of-00002.safetensors"), "which is not there"),
    "a shard that is a pickle": (lambda f: _sharded(f, "pytorch_model.bin"), "not a safetensors file inside the model"),
    "a shard outside": (lambda f: _sharded(f, "../good/model.safetensors"), "not a safetensors file inside the model"),
    "an index that is a list": (
        lambda f: (_sharded(f, "x.safetensors"), (f / "model.safetensors.index.json").write_text("[]")),
        "index.json cannot be read",
    ),
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


def test_shards_inside_the_folder_are_read(folder: Path, good: Path) -> None:
    _sharded(folder, "model-00001-of-00001.safetensors")
    found, expected = load_backbone(str(folder)), load_backbone(str(good))
    for (name, one), (_, two) in zip(found.named_parameters(), expected.named_parameters(), strict=True):
        assert torch.equal(one, two), name


@pytest.mark.parametrize(
    "setting", [{"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True}]
)
def test_what_a_config_asks_of_the_outputs_changes_nothing(setting: dict[str, bool], folder: Path, good: Path) -> None:
    _edit_config(folder, **setting)
    found, expected = load_backbone(str(folder)), load_backbone(str(good))
    batch = expected.tokenize(["The cat sleeps.", "a"]).batch([0, 1])
    with torch.no_grad():
        for one, two in zip(found.hidden_states(*batch), expected.hidden_states(*batch), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("what", ["fugashi", "sentencepiece", "peft"])
def test_a_missing_package_is_named_with_its_command(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*names: object, **options: object) -> object:
        raise ImportError(f"You need to install {what} to use this tokenizer")

    monkeypatch.setattr("mlsg.model.tokenizer.AutoTokenizer.from_pretrained", missing)
    with pytest.raises(ModelError, match=f"run: pip install {what}"):
        load_backbone(str(folder))


class Panic(BaseException):
    """What a panic of Rust code becomes: no Exception."""


def test_a_panic_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def panic(*names: object, **options: object) -> object:
        os.write(2, b"thread '<unnamed>' panicked at src/lib.rs:1:1\n")
        raise Panic("index out of bounds")

    monkeypatch.setattr("mlsg.model.tokenizer.AutoTokenizer.from_pretrained", panic)
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be read \(Panic: index out of bounds\)"):
        load_backbone(str(folder))
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_what_does_not_end_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*names: object, **options: object) -> object:
        while True:
            pass

    monkeypatch.setattr("mlsg.model.guard._SECONDS", 0.2)
    monkeypatch.setattr("mlsg.model.tokenizer.AutoTokenizer.from_pretrained", endless)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(ModelError, match="stopped after 0 s of computing"):
        load_backbone(str(folder))
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.parametrize("what", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_fault_of_the_model(
    what: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*names: object, **options: object) -> object:
        raise what

    monkeypatch.setattr("mlsg.model.tokenizer.AutoTokenizer.from_pretrained", interrupted)
    with pytest.raises(what):
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
