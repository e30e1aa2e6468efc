"""A model's fingerprint changes with what decides its vectors, and with nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

from mlsg.errors import HubUnreachableError, ModelError
from mlsg.model.backbone import load_backbone
from mlsg.model.encoder import Encoder
from mlsg.model.source import fingerprint_model
from tests.tiny_models import tiny_bert

NAMES_OF_TOKENIZER_FILES = {
    name
    for kind in {*filter(None, TOKENIZER_MAPPING_NAMES.values()), "PreTrainedTokenizerFast"}
    for name in getattr(tokenizer_class_from_name(kind), "vocab_files_names", {}).values()
    if isinstance(name, str) and hasattr(transformers, kind)
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tiny_bert(tmp_path_factory.mktemp("base") / "bert")
    folder = tmp_path_factory.mktemp("saved") / "encoder"
    Encoder.load(base, pooling="mean", device="cpu").save(folder, {})
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "copied under another name")


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def test_a_copy_has_the_same_fingerprint(saved: Path, folder: Path) -> None:
    found = fingerprint_model(str(saved), "main", None)
    assert re.fullmatch("sha256:[0-9a-f]{64}", found)
    assert fingerprint_model(str(folder)) == found


@pytest.mark.parametrize(
    "change",
    [
        lambda f: _append(f / "model.safetensors"),
        lambda f: _append(f / "config.json"),
        lambda f: _append(f / "tokenizer.json"),
        lambda f: _append(f / "modules.json"),
        lambda f: _append(f / "sentence_bert_config.json"),
        lambda f: _append(f / "1_Pooling" / "config.json"),
        lambda f: (f / "1_Pooling" / "config.json").unlink(),
        lambda f: (f / "vocab.txt").write_text("x"),
        lambda f: (f / "spm.spm").write_text("x"),
        lambda f: (f / "unigram.json").write_text("x"),
        lambda f: (f / "tokenizer.4.0.0.json").write_text("x"),
        lambda f: (f / "sentence_xlm-roberta_config.json").write_text("{}"),
        lambda f: (f / "adapter_config.json").write_text("{}"),
    ],
)
def test_a_change_to_what_decides_vectors_shows(saved: Path, folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    assert fingerprint_model(str(folder)) != fingerprint_model(str(saved))


@pytest.mark.parametrize("name", sorted(NAMES_OF_TOKENIZER_FILES))
def test_every_file_that_a_tokenizer_of_transformers_reads_shows(name: str, saved: Path, folder: Path) -> None:
    (folder / name).write_bytes(b"another" if (folder / name).is_file() else b"new")
    assert fingerprint_model(str(folder)) != fingerprint_model(str(saved))


def _sharded(folder: Path, **weight_map: str) -> None:
    """Move the weights into shards, `model.safetensors.index.json` naming what `weight_map` says."""
    place = folder / "parts" / "a.safetensors"
    place.parent.mkdir()
    (folder / "model.safetensors").rename(place)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_a_shard_in_a_folder_below_shows(folder: Path) -> None:
    _sharded(folder, x="parts/a.safetensors")
    before = fingerprint_model(str(folder))
    _append(folder / "parts" / "a.safetensors")
    assert fingerprint_model(str(folder)) != before


@pytest.mark.parametrize(
    "name", ["a.bin", "../out/w.safetensors", "/tmp/w.safetensors", "parts\\..\\..\\w.safetensors"]
)
def test_a_shard_that_is_a_pickle_or_outside_is_refused(name: str, folder: Path) -> None:
    _sharded(folder, x="parts/a.safetensors", y=name)
    for read in (fingerprint_model, load_backbone):
        with pytest.raises(ModelError, match="not a safetensors file inside the model"):
            read(str(folder))


def test_a_file_that_may_not_be_read_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("mlsg.model.source.sha256_file", refused)
    with pytest.raises(ModelError, match=r"cannot be read \(Permission denied\)"):
        fingerprint_model(str(folder))


def test_cards_notes_and_provenance_do_not_show(saved: Path, folder: Path) -> None:
    (folder / "README.md").write_text("# another card\n")
    (folder / "training.json").write_text("{}")
    _append(folder / "mlsg.json")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model.safetensors").write_bytes(b"x")
    assert fingerprint_model(str(folder)) == fingerprint_model(str(saved))


def test_a_folder_without_a_model_has_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        fingerprint_model(str(tmp_path))


def test_a_hub_model_is_its_commit() -> None:
    class FakeHub:
        def resolve(self, repo: str, revision: str, kind: str) -> str | None:
            return "d" * 40 if (repo, revision, kind) == ("someone/model", "main", "model") else None

        def why_unreachable(self) -> str:
            return "HF_HUB_OFFLINE is set"

    assert fingerprint_model("someone/model", "main", FakeHub()) == "someone/model@" + "d" * 40  # type: ignore[arg-type]
    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE is set"):
        fingerprint_model("someone/other", "main", FakeHub())  # type: ignore[arg-type]
