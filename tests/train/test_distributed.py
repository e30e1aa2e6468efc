"""Many processes give what one gives: losses, gradients, weights, dev scores; and what a group exchanges."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlsg.errors import DataError, DivergedError, MlsgError, ProcessLostError, SettingError
from mlsg.train import dev
from mlsg.train.distributed import _BUCKET, SINGLE_PROCESS, ProcessGroup, RankShard, _buckets
from mlsg.train.launch import launched, run_on_processes
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
    """What each process of each stage of `tests.train.ranks` found."""
    sizes = dict(enumerate((3, 2, 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        for stage, size in sizes.items():
            run_on_processes(size, ranks.stage, stage, base, folder)
    return {
        (stage, rank): load_file(folder / f"{stage}-{rank}") for stage, size in sizes.items() for rank in range(size)
    }


@pytest.fixture(scope="module")
def alone(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The same with one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dev, "_BATCH_TOKENS", ranks.DEV_TOKENS)
        return ranks.everything(base, tmp_path_factory.mktemp("alone"), SINGLE_PROCESS)


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
    found = ranks.trained(base, tmp_path / "scratch", "opt1", SINGLE_PROCESS)
    for name, tensor in of("opt1", "trained", alone).items():
        assert torch.allclose(found[name], tensor, rtol=0, atol=1e-10), name


def test_only_the_first_process_writes(together: Results, folder: Path) -> None:
    assert any((folder / "scratch-0-0" / "opt3").iterdir())
    for rank in (1, 2):
        assert not [path for path in (folder / f"scratch-0-{rank}").rglob("*") if path.is_file()]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_shards_cover_a_batch_once_and_nobody_is_idle(size: int, count: int) -> None:
    batch = torch.arange(count)
    shards = [RankShard(ProcessGroup(rank, size), count) for rank in range(size)]
    assert all(len(batch[part.places]) for part in shards)
    own = [part.own(batch[part.places]) for part in shards]
    assert torch.equal(torch.cat(own), batch)
    assert max(map(len, own)) - min(map(len, own)) <= 1
    for part, rows in zip(shards, own, strict=True):
        assert not len(rows) or int(rows[0]) == part.start


def test_one_process_has_the_whole_batch_and_sends_nothing() -> None:
    shard = SINGLE_PROCESS.shard(5)
    rows = torch.arange(5.0, requires_grad=True)
    assert shard.gather(shard.own(rows[shard.places])) is not None
    assert torch.equal(shard.gather(rows), rows)
    assert shard.processes == 1
    SINGLE_PROCESS.sum_([rows])
    assert SINGLE_PROCESS.broadcast_object((None, 2.0)) == (None, 2.0)


def test_buckets_hold_one_type_each_and_keep_the_order() -> None:
    tensors = [torch.zeros(3), torch.zeros(2, 2), torch.zeros(1, dtype=torch.float64), torch.zeros(5)]
    assert [[t.numel() for t in bucket] for bucket in _buckets(tensors)] == [[3, 4], [1], [5]]
    large = [torch.empty(_BUCKET, device="meta"), torch.empty(1, device="meta"), torch.empty(2, device="meta")]
    assert [len(bucket) for bucket in _buckets(large)] == [1, 2]
    assert list(_buckets([])) == []


def failing(group: ProcessGroup, error: BaseException) -> None:
    if group.rank == 1:
        raise error
    group.sum_([torch.zeros(1)])  # which never comes about


@pytest.mark.parametrize("error", [DataError("ş", "b"), ProcessLostError("a", "b"), DivergedError("a: b", "c; d")])
def test_an_error_of_a_process_is_raised_here(error: MlsgError) -> None:
    with pytest.raises(type(error)) as caught:
        run_on_processes(2, failing, error)
    assert str(caught.value) == str(error)


def test_a_bug_in_a_process_is_raised_here_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"in process 1:\n(.|\n)*in failing(.|\n)*IndexError: here"):
        run_on_processes(2, failing, IndexError("here"))


def one_fails(group: ProcessGroup) -> None:
    with group.shared_errors():
        if group.rank == 1:
            raise DataError("only process 1 knows", "b")


def test_processes_agree_on_an_error() -> None:
    with pytest.raises(DataError, match="only process 1 knows"):
        run_on_processes(2, one_fails)
    with pytest.raises(DataError, match="alone"), SINGLE_PROCESS.shared_errors():
        raise DataError("alone", "b")


def test_what_a_launcher_leaves_out_is_completed() -> None:
    variables = {"WORLD_SIZE": "4", "RANK": "3", "MASTER_PORT": "29500", "OMP_NUM_THREADS": "2"}
    assert launched(variables)
    assert {name: variables[name] for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")} == {
        "LOCAL_RANK": "3",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "2",
    }
    assert not launched({})
    assert not launched({"WORLD_SIZE": "1"})


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"RANK": ""}, "RANK is not"), ({"RANK": "2"}, "RANK is 2"), ({"MASTER_PORT": "x"}, "MASTER_PORT is 'x'")],
)
def test_variables_that_make_no_sense_are_refused(changes: dict[str, str], word: str) -> None:
    with pytest.raises(SettingError, match=word):
        launched({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "29500", **changes})


def test_accelerate_launch_that_starts_one_process_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert not launched({"ACCELERATE_USE_CPU": "True"})
    assert capsys.readouterr().err == ""
    assert not launched({"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"})
    assert capsys.readouterr().err.count("started one") == 1
