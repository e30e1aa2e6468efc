"""`mlsg starter build` as a whole, on a folder of generated text."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from mlsg.cache.files import sha256_file
from mlsg.config.recipes import load_recipe
from mlsg.errors import DataError, SettingError
from mlsg.pretraining import loop
from mlsg.pretraining.build import build
from mlsg.pretraining.store import load_store
from tests.command import REPOSITORY, environment, mlsg
from tests.pretraining.tiny import HELD_OUT, WORDS, small_recipe, write_data, write_text


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A build's bits depend on the number of threads; other tests have theirs back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "corpora")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def built(text: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The out folder of a whole build."""
    out = tmp_path_factory.mktemp("built")
    build(small_recipe(), text=text, out=out, data_root=data)
    return out


def _facts(out: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((out / "model" / "training.json").read_text())
    return facts


def test_the_model_loads_in_transformers_without_a_missing_weight(built: Path) -> None:
    model, report = AutoModel.from_pretrained(built / "model", output_loading_info=True)
    assert not report["missing_keys"]
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.1
    tokenizer = AutoTokenizer.from_pretrained(built / "model")
    assert tokenizer("The river.")["input_ids"][0] == tokenizer.cls_token_id
    assert tokenizer.model_max_length == model.config.max_position_embeddings == 32


def test_the_model_loads_in_sentence_transformers(built: Path) -> None:
    vectors = SentenceTransformer(str(built / "model"), device="cpu").encode(["The river.", "Nehir.", ""])
    assert vectors.shape == (3, 32)


@pytest.mark.parametrize("eighths", [1, 2, 4, 8])
def test_weights_are_kept_on_the_way(built: Path, eighths: int) -> None:
    snapshot = AutoModel.from_pretrained(built / "snapshots" / f"{eighths}-of-8")
    last = AutoModel.from_pretrained(built / "model")
    word = "embeddings.word_embeddings.weight"
    same = torch.equal(snapshot.state_dict()[word], last.state_dict()[word])
    assert same == (eighths == 8)


def test_it_learns(built: Path) -> None:
    history = [record["all"] for record in _facts(built)["history"]]
    assert sum(history[-8:]) / 8 < history[0] - 0.1


def test_little_is_padding(built: Path) -> None:
    assert 0 <= _facts(built)["padding"] < 0.05


def test_a_loss_is_kept_for_every_language_and_the_translations(built: Path) -> None:
    assert set(_facts(built)["losses"]["words"]) == {*WORDS, "translations"}


def test_an_evaluation_sentence_is_left_out_and_named(built: Path, text: Path) -> None:
    assert _facts(built)["dropped"]["en.txt"] == {"set": 1}
    assert "en.txt: 1 (set)" in (built / "model" / "README.md").read_text()
    store = load_store(built / "prepared")
    tokenizer = AutoTokenizer.from_pretrained(built / "model")
    bounds = store.documents["en"]
    lines = [tokenizer.decode(store.line(line)) for line in range(int(bounds[0]), int(bounds[-1]))]
    assert HELD_OUT in (text / "en.txt").read_text()
    assert not any("evaluation" in line for line in lines)


def test_the_card_names_every_file_with_its_hash(built: Path, text: Path) -> None:
    card = (built / "model" / "README.md").read_text()
    for path in text.iterdir():
        assert f"| {path.name} | `{sha256_file(path)}` |" in card
    assert "not stated" in card
    assert "license: other" in card
    assert "Where no licence is stated" in card


def test_a_killed_build_ends_with_the_same_bytes(built: Path, text: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    code = (
        "import sys, torch; from pathlib import Path; from mlsg.pretraining.build import build;"
        "from tests.pretraining.tiny import small_recipe; torch.set_num_threads(1);"
        "text, data, out = map(Path, sys.argv[1:]);"
        "build(small_recipe(), text=text, out=out, data_root=data, checkpoint_seconds=0)"
    )
    command = [sys.executable, "-c", code, str(text), str(data), str(out)]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "snapshots" / "2-of-8").is_dir():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "model").exists(), "the build was over before it was killed"
    build(small_recipe(), text=text, out=out, data_root=data)
    for name in ("model/model.safetensors", "model/tokenizer.json", "snapshots/4-of-8/model.safetensors"):
        assert sha256_file(out / name) == sha256_file(built / name), name
    assert _facts(out)["losses"] == _facts(built)["losses"]


def test_another_setting_in_a_begun_folder_is_refused(built: Path, text: Path, data: Path) -> None:
    with pytest.raises(SettingError, match=r"pretrain.matrix_rate 0.02, now 0.01.*new folder with --out"):
        build(small_recipe(matrix_rate=0.01), text=text, out=built, data_root=data)
    with pytest.raises(SettingError, match="was begun with a --data-root"):
        build(small_recipe(), text=text, out=built)


def test_a_begun_build_may_go_on_for_longer_but_not_a_finished_one(text: Path, data: Path, tmp_path: Path) -> None:
    build(small_recipe(tokens=4000), text=text, out=tmp_path, data_root=data)
    with pytest.raises(SettingError, match=r"pretrain.tokens 4000, and is finished"):
        build(small_recipe(tokens=6000), text=text, out=tmp_path, data_root=data)
    shutil.rmtree(tmp_path / "model")
    build(small_recipe(tokens=6000), text=text, out=tmp_path, data_root=data)
    assert _facts(tmp_path)["tokens"] >= 6000
    assert _facts(tmp_path)["processor_seconds"] > 0


def test_running_the_recipe_of_a_build_is_refused(tmp_path: Path) -> None:
    ended = mlsg("run", "starter", cwd=tmp_path)
    assert ended.code == 2
    assert "is for mlsg starter build" in ended.error_line


def test_a_finished_build_is_found(built: Path, text: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "fit", None)
    assert build(small_recipe(), text=text, out=built, data_root=data) == built / "model"


@pytest.mark.parametrize(
    "changes",
    [
        {"bag": 1.0, "embedding_start": "random", "next_sentence": 0.0},
        {"bag": 1.0, "bag_pooling": "mean", "pair_share": 0.0, "precision": "bf16"},
    ],
)
def test_losses_can_be_chosen(text: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    build(small_recipe(tokens=3000, **changes), text=text, out=tmp_path)
    losses = _facts(tmp_path)["losses"]
    assert ("next_sentence" in losses) == ("next_sentence" not in changes)
    assert "bag" in losses


def test_one_language_without_translations_is_enough(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "en.txt").write_text("The river was high.\nNo one dared.\n\nAnother day came.\n" * 30)
    build(small_recipe(tokens=2000, vocabulary=64), text=tmp_path / "text", out=tmp_path / "out")
    assert set(_facts(tmp_path / "out")["losses"]["words"]) == {"en"}


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        (None, DataError, "there is no folder"),
        ({}, DataError, "holds no <lang>.txt"),
        ({"en.txt": ""}, DataError, "en.txt is empty"),
        ({"en.txt": "\n\n"}, DataError, "en.txt holds no text"),
        ({"en.txt": "A river.\n", "parallel.tsv": "en\ttr\tone\n"}, DataError, "parallel.tsv, line 1: 3 columns"),
    ],
)
def test_unfit_text_is_one_line(tmp_path: Path, files: dict[str, str] | None, error: type, words: str) -> None:
    if files is not None:
        (tmp_path / "text").mkdir()
        for name, content in files.items():
            (tmp_path / "text" / name).write_text(content)
    with pytest.raises(error, match=words) as caught:
        build(small_recipe(), text=tmp_path / "text", out=tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"languages": ["xx"]}, 'holds no text of "xx"'),
        ({"heads": 3}, "no multiple of pretrain.heads"),
        ({"lengths": [32, 16]}, "give numbers from 8 on"),
        ({"length_shares": [1.0]}, "give one share for each"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    text: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        build(small_recipe(**changes), text=text, out=tmp_path)


def test_a_recipe_without_the_section_is_refused(text: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"recipe zero_shot has no \[pretrain\]"):
        build(load_recipe("zero_shot"), text=text, out=tmp_path)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    ended = mlsg("starter", "build", "--text", tmp_path / "none", "--out", tmp_path / "out", cwd=tmp_path)
    assert ended.code == 3
    assert "there is no folder" in ended.error_line
    ended = mlsg("starter", "build", "--text", ".", "--out", "o", "--set", "pretrain.layer=3", cwd=tmp_path)
    assert ended.code == 2
    assert 'did you mean "layers"' in ended.error_line


def test_show_prints_the_settings_with_their_meaning(tmp_path: Path) -> None:
    shown = mlsg("show", "starter", cwd=tmp_path).out
    assert "[pretrain]" in shown
    assert "matrix_rate" in shown
    assert "(Muon)" in shown
