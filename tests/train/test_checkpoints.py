"""A damaged checkpoint is set aside and the one before it used, to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlsg.train.checkpoints import Checkpoint, latest_checkpoint, load_best, save_best, save_checkpoint
from tests.cache.damages import DAMAGES, damage_file
from tests.tiny_models import tiny_bert
from tests.train.small import Small

KINDS = [kind for kind in DAMAGES if kind != "longer"]


def tensors(seed: int) -> dict[str, torch.Tensor]:
    numbers = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
    return {"a": numbers, "half": numbers[:2].bfloat16(), "step": torch.tensor(float(seed)), "none": torch.zeros(0)}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and torch.equal(one[name], two[name]) for name in one
    )


def saved(scratch: Path, *steps: int) -> None:
    for step in steps:
        save_best(scratch, step - 1, tensors(step - 1))
        save_checkpoint(scratch, step, Checkpoint(tensors(step), {"step": step, "best_step": step - 1}))


def test_the_two_newest_stay_with_the_best_weights_that_they_name(tmp_path: Path) -> None:
    saved(tmp_path, 10, 20, 30)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("best-00000019.safetensors", "best-00000029.safetensors"),
        *("step-00000020", "step-00000030"),
    ]
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.state == {"step": 30, "best_step": 29}
    assert same(dict(found.tensors), tensors(30))
    assert same(load_best(tmp_path, 29), tensors(29))


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize(
    "name", ["step-00000030/tensors.safetensors", "step-00000030/state.json", "best-00000029.safetensors"]
)
def test_the_one_before_is_used_whatever_is_damaged(name: str, kind: str, tmp_path: Path) -> None:
    for seed in range(20 if kind in ("flipped", "another digit") else 1):
        scratch = tmp_path / str(seed)
        scratch.mkdir()
        saved(scratch, 20, 30)
        damage_file(scratch / name, kind, 100 * seed)
        found = latest_checkpoint(scratch)
        assert found is not None
        assert found.state["step"] == 20
        assert same(dict(found.tensors), tensors(20))
        assert (scratch / "damaged-step-00000030").is_dir()
        saved(scratch, 30)  # going on writes it again
        assert (latest_checkpoint(scratch) or found).state["step"] == 30


def test_without_one_before_it_training_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path, 10)
    damage_file(tmp_path / "step-00000010" / "state.json", "cut")
    assert latest_checkpoint(tmp_path) is None
    assert "damaged checkpoint" in capsys.readouterr().err


def test_a_damaged_older_one_does_not_stop_a_training(tmp_path: Path) -> None:
    saved(tmp_path, 10, 20)
    damage_file(tmp_path / "step-00000010" / "state.json", "emptied")
    saved(tmp_path, 30)
    damage_file(tmp_path / "step-00000020" / "state.json", "emptied")
    save_best(tmp_path, 35, tensors(35))
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.state["step"] == 30


@pytest.mark.parametrize("name", ["step-00000010/tensors.safetensors", "best-*.safetensors"])
def test_a_training_that_finds_damage_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bert")

    def small(scratch: str) -> Small:
        return Small(folder, tmp_path / scratch, train={"epochs": 2, "eval_steps": 5}, checkpoint_every=5)

    _, whole = small("whole").run()
    small("damaged").run()
    path = max((tmp_path / "damaged").glob(name.replace("00000010", "*")))
    damage_file(path, "flipped", 7)
    _, again = small("damaged").run()
    assert same(dict(whole.tuned.state_dict()), dict(again.tuned.state_dict()))
