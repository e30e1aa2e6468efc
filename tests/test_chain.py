"""The whole job through the command line on the starter: made once, found again, rebuilt only where it depends."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.command import Ended, mlsg

_SMALL = ("--set", "train.max_steps=6", "--set", "objective.head_width=64", "--set", "train.dev=none")


def _tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of the artefacts with its time of change and hash."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


def _folders(workspace: Path) -> dict[str, set[str]]:
    return {
        stage.name: {artefact.name for artefact in stage.iterdir() if not artefact.name.startswith(".")}
        for stage in workspace.iterdir()
        if stage.is_dir() and stage.name != "locks"
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all three commands have run once on the starter."""
    folder = tmp_path_factory.mktemp("chain")
    for ended in _all_three(folder):
        assert ended.code == 0, ended.err
    return folder


def _all_three(folder: Path) -> list[Ended]:
    return [
        mlsg("prepare", "--corpus", "starter", "--limit", "200", cwd=folder, HF_HUB_OFFLINE="1"),
        mlsg("train", "--model", "starter", *_SMALL, cwd=folder, HF_HUB_OFFLINE="1"),
        mlsg("eval", "--recipe", "quickstart", "--langs", "tr,en", "--json", "-", cwd=folder, HF_HUB_OFFLINE="1"),
    ]


def test_the_scores_have_the_promised_form(folder: Path) -> None:
    ended = _all_three(folder)[2]
    scores = json.loads(ended.out)
    assert scores["schema"] == "mlsg.scores/1"
    assert list(scores["languages"]) == ["tr", "en"]
    turkish = scores["languages"]["tr"]
    assert turkish["primary"] == "starter.tr"
    assert turkish["pairs"] == 126
    low, high = turkish["interval"]
    assert -1 <= low <= turkish["spearman"] <= high <= 1
    assert set(turkish["baselines"]) == {"base_cls", "base_mean", "overlap", "idf_overlap"}
    assert {entry["made"] for entry in scores["sets"]} == {"written_for_project"}
    assert {"set", "languages", "split", "truncated", "unknown", "transductive"} <= set(scores["sets"][0])
    assert scores["encoder"]["base"] == "starter"
    assert scores["encoder"]["dimension"] == 256


def test_the_second_time_nothing_is_rebuilt_to_the_byte(folder: Path) -> None:
    before = _tree(folder / ".mlsg")
    first = _all_three(folder)
    again = _all_three(folder)
    assert _tree(folder / ".mlsg") == before
    assert first[2].out == again[2].out


def test_a_changed_setting_rebuilds_only_what_depends_on_it(folder: Path) -> None:
    before = _folders(folder / ".mlsg")
    assert mlsg("train", "--model", "starter", *_SMALL, "--seed", "2", cwd=folder).code == 0
    after = _folders(folder / ".mlsg")
    assert len(after["encoders"]) == len(before["encoders"]) + 1
    assert after["sentences"] == before["sentences"]
    assert after["scores"] == before["scores"]
    explained = mlsg("explain", cwd=folder).out
    assert "settings.train.seed: 1 -> 2" in explained
    # The first one is the last trained again, for the other tests.
    assert mlsg("train", "--model", "starter", *_SMALL, cwd=folder).code == 0
    assert _folders(folder / ".mlsg") == after


def test_hashes_are_verified_and_a_changed_file_is_named(folder: Path) -> None:
    assert mlsg("check", cwd=folder).code == 0
    sentences = next((folder / ".mlsg" / "sentences").glob("*/sentences.txt"))
    text = sentences.read_bytes()
    sentences.write_bytes(text.swapcase())
    ended = mlsg("check", cwd=folder)
    assert ended.code == 3
    assert "sentences.txt has changed" in ended.out
    assert "1 damaged" in ended.error_line
    sentences.write_bytes(text)
    assert mlsg("check", cwd=folder).code == 0


def test_a_truncated_artefact_is_named_and_rebuilt_the_same(folder: Path) -> None:
    sentences = next((folder / ".mlsg" / "sentences").glob("*/sentences.txt"))
    text = sentences.read_bytes()
    sentences.write_bytes(text[:100])
    ended = mlsg("prepare", "--corpus", "starter", "--limit", "200", cwd=folder, HF_HUB_OFFLINE="1")
    assert ended.code == 0
    assert "sentences.txt has 100 bytes" in ended.err
    assert sentences.read_bytes() == text


def test_gc_keeps_what_the_last_runs_need(folder: Path, tmp_path: Path) -> None:
    before = _folders(folder / ".mlsg")
    ended = mlsg("gc", "--workspace", folder / ".mlsg", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "")
    assert _folders(folder / ".mlsg") == before


def test_two_encoders_are_compared_pair_by_pair(folder: Path) -> None:
    artefact = next((folder / ".mlsg" / "encoders").iterdir())
    ended = mlsg(
        "eval", "--recipe", "quickstart", "--langs", "tr", "--json", "-", "--encoder", artefact, "--encoder", artefact,
        cwd=folder, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    difference = json.loads(ended.out)["differences"][0]["sets"][0]
    assert difference["difference"] == 0
    assert difference["interval"] == [0, 0]


def test_an_exported_encoder_has_a_card_with_scores(folder: Path, tmp_path: Path) -> None:
    assert mlsg("eval", "--recipe", "quickstart", "--langs", "tr,en", cwd=folder, HF_HUB_OFFLINE="1").code == 0
    ended = mlsg("export", tmp_path / "out", cwd=folder)
    assert ended.code == 0, ended.err
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "starter.tr" in card
    assert (tmp_path / "out" / "modules.json").is_file()


def test_seeds_trained_at_once_share_the_views_and_end_with_the_bytes_that_each_has_alone(tmp_path: Path) -> None:
    def train(workspace: str, *seeds: str) -> Ended:
        given = ("--model", "starter", *seeds, "--workspace", workspace, *_SMALL)
        return mlsg("train", *given, cwd=tmp_path, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")

    for workspace in ("together", "alone"):
        prepare = ("prepare", "--corpus", "starter", "--limit", "200", "--workspace", workspace)
        assert mlsg(*prepare, cwd=tmp_path, HF_HUB_OFFLINE="1").code == 0
    ended = [train("together", "--seeds", "1-2", "--jobs", "2")]
    ended += [train("alone", "--seed", seed) for seed in ("1", "2")]
    assert [each.code for each in ended] == [0] * 3, [each.err for each in ended]
    together, alone = (sorted((tmp_path / each / "encoders").iterdir()) for each in ("together", "alone"))
    assert [each.name for each in together] == [each.name for each in alone]
    weights = [[(each / "model.safetensors").read_bytes() for each in found] for found in (together, alone)]
    assert weights[0] == weights[1]
    assert weights[0][0] != weights[0][1]
    assert len(list((tmp_path / "together" / "views").iterdir())) == 1
