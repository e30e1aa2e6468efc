"""A model's fingerprint changes with what decides its vectors, and with nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsg.errors import HubUnreachableError, ModelError
from mlsg.model.encoder import Encoder
from mlsg.model.source import fingerprint_model
from tests.tiny_models import tiny_bert


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
    ],
)
def test_a_change_to_what_decides_vectors_shows(saved: Path, folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    assert fingerprint_model(str(folder)) != fingerprint_model(str(saved))


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
