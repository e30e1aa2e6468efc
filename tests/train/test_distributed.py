"""Many processes give what one gives: losses, gradients, weights, dev scores; and what a team exchanges."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlsg.errors import DataError, DivergedError, MlsgError, SettingError
from mlsg.train import dev
from mlsg.train.distributed import _BUCKET, ALONE, Part, Team, _buckets
from mlsg.train.failures import ProcessLostError, error_of, failure_of
from mlsg.train.outside import Place, place_from_environment
from tests.command import REPOSITORY, environment
from tests.tiny_models import tiny_bert
from tests.train import ranks

Results = dict[tuple[int, int], dict[str, Tensor]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "tiny", dropout=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def together(base: Path, folder: Path) -> Results:
    """What each process of each stage of `tests.train.ranks` found; three processes, started once."""
    port = str(free_port())
    command = [sys.executable, "-m", "tests.train.ranks"]
    started = [
        subprocess.Popen(
            [*command, str(rank), port, str(base), str(folder)],
            cwd=REPOSITORY,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    try:
        told = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0, 0], "\n".join(told)
    sizes = enumerate((3, 2, 3))
    return {(stage, rank): load_file(folder / f"{stage}-{rank}") for stage, size in sizes for rank in range(size)}


@pytest.fixture(scope="module")
def alone(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The same with one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dev, "_BATCH_TOKENS", ranks.DEV_TOKENS)
        return ranks.everything(base, tmp_path_factory.mktemp("alone"), ALONE)


def of(case: str, kind: str, results: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {n.removeprefix(f"{case}/{kind}/"): t for n, t in results.items() if n.startswith(f"{case}/{kind}/")}
    assert found
    return found


@pytest.mark.parametrize("count", [16, 2, 4])
@pytest.mark.parametrize("case", ranks.CASES)
@pytest.mark.parametrize(("stage", "processes"), [(1, 2), (0, 3)])
def test_loss_and_gradients_are_those_of_one_process(
    stage: int, processes: int, case: str, count: int, together: Results, alone: dict[str, Tensor]
) -> None:
    expected = of(case, "once", alone)
    gradients = {name: t for name, t in expected.items() if name.startswith(f"gradient/{count}/")}
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for rank in range(processes):
        found = of(case, "once", together[stage, rank])
        assert found.keys() == expected.keys()
        assert float(found[f"loss/{count}"]) == pytest.approx(float(expected[f"loss/{count}"]), rel=1e-5, abs=1e-7)
        for name, gradient in gradients.items():
            assert float((found[name] - gradient).abs().max()) <= 1e-5 * max(largest, 0.1), name


@pytest.mark.parametrize("case", ranks.TRAINED)
@pytest.mark.parametrize(("stage", "processes"), [(1, 2), (0, 3)])
def test_weights_and_dev_scores_after_twenty_steps_are_those_of_one_process(
    stage: int, processes: int, case: str, together: Results, alone: dict[str, Tensor]
) -> None:
    expected = of(case, "trained", alone)
    for rank in range(processes):
        found = of(case, "trained", together[stage, rank])
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.allclose(found[name], tensor, rtol=0, atol=1e-10), name


def test_training_moved_the_weights_and_all_processes_hold_the_same_bits(together: Results, base: Path) -> None:
    before = load_file(base / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    for stage, processes in ((1, 2), (0, 3)):
        first = together[stage, 0]
        assert float((first[f"opt3/trained/model.{name}"] - before[name]).abs().max()) > 1e-3
        for rank in range(1, processes):
            assert all(torch.equal(tensor, together[stage, rank][key]) for key, tensor in first.items())


def test_two_stopped_half_way_go_on_as_three(together: Results, alone: dict[str, Tensor]) -> None:
    expected = of("opt1", "trained", alone)
    for rank in range(3):
        for name, tensor in expected.items():
            assert torch.allclose(together[2, rank][name], tensor, rtol=0, atol=1e-10), name


def test_two_stopped_half_way_go_on_as_one(
    together: Results,
    alone: dict[str, Tensor],
    base: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dev, "_BATCH_TOKENS", ranks.DEV_TOKENS)
    shutil.copytree(folder / "scratch-1-0" / "stopped", tmp_path / "scratch")
    assert (tmp_path / "scratch" / "step-00000008").is_dir()  # stopped after eleven
    found = ranks.trained(base, tmp_path / "scratch", "opt1", ALONE)
    for name, tensor in of("opt1", "trained", alone).items():
        assert torch.allclose(found[name], tensor, rtol=0, atol=1e-10), name


def test_only_the_first_process_writes(together: Results, folder: Path) -> None:
    assert any((folder / "scratch-0-0" / "opt3").iterdir())
    for rank in (1, 2):
        assert not [path for path in (folder / f"scratch-0-{rank}").rglob("*") if path.is_file()]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_parts_cover_a_batch_once_and_nobody_is_idle(size: int, count: int) -> None:
    batch = torch.arange(count)
    parts = [Part(Team(rank, size), count) for rank in range(size)]
    assert all(len(batch[part.places]) for part in parts)
    own = [part.own(batch[part.places]) for part in parts]
    assert torch.equal(torch.cat(own), batch)
    assert max(map(len, own)) - min(map(len, own)) <= 1
    for part, rows in zip(parts, own, strict=True):
        assert not len(rows) or int(rows[0]) == part.start


def test_one_process_has_the_whole_batch_and_sends_nothing() -> None:
    shard = ALONE.part(5)
    rows = torch.arange(5.0, requires_grad=True)
    assert shard.gather(shard.own(rows[shard.places])) is not None
    assert torch.equal(shard.gather(rows), rows)
    assert shard.processes == 1
    ALONE.sum_([rows])
    assert ALONE.as_first((None, 2.0)) == (None, 2.0)


def test_buckets_hold_one_type_each_and_keep_the_order() -> None:
    tensors = [torch.zeros(3), torch.zeros(2, 2), torch.zeros(1, dtype=torch.float64), torch.zeros(5)]
    assert [[t.numel() for t in bucket] for bucket in _buckets(tensors)] == [[3, 4], [1], [5]]
    large = [torch.empty(_BUCKET, device="meta"), torch.empty(1, device="meta"), torch.empty(2, device="meta")]
    assert [len(bucket) for bucket in _buckets(large)] == [1, 2]
    assert list(_buckets([])) == []


@pytest.mark.parametrize(
    "error", [SettingError("a", "b"), DataError("ş", "b"), DivergedError("a", "b"), ProcessLostError("a", "b")]
)
def test_an_error_survives_the_way_to_another_process(error: MlsgError) -> None:
    again = error_of(failure_of(error, 1))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_an_interrupt_and_a_fault_survive_too() -> None:
    assert isinstance(error_of(failure_of(KeyboardInterrupt(), 1)), KeyboardInterrupt)
    try:
        np.zeros(2)[5]
    except IndexError as error:
        again = error_of(failure_of(error, 1))
    assert "in process 1" in str(again)
    assert "np.zeros(2)[5]" in str(again)


def test_a_place_is_read_from_what_launchers_set() -> None:
    variables = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    meeting = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    place = place_from_environment({**variables, **meeting})
    assert place == Place(3, 4, 1, 2, "10.0.0.1", 29500, 0, store_is_there=True)
    assert place_from_environment({}) is None
    assert place_from_environment({"WORLD_SIZE": "1"}) is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"RANK": ""}, "RANK is not"), ({"RANK": "2"}, "RANK is 2"), ({"MASTER_PORT": "x"}, "MASTER_PORT is 'x'")],
)
def test_a_place_that_makes_no_sense_is_refused(changes: dict[str, str], word: str) -> None:
    with pytest.raises(SettingError, match=word):
        place_from_environment({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "29500", **changes})
