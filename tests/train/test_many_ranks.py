"""`mlsg train` as many processes: started by mlsg or by a launcher, killed, interrupted, gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from mlsg.cache.artefact import Artefact
from mlsg.cache.files import sealed_json
from mlsg.cache.workspace import Workspace
from mlsg.cli import app
from mlsg.train.checkpoints import newest_step
from tests.command import Ended, environment
from tests.tiny_models import tiny_bert
from tests.train.small import PAIRS, TEXT
from tests.train.test_distributed import free_port

STEPS = 240


@dataclass(frozen=True)
class Place:
    """A folder with a base, prepared sentences and a dev set, and the command that trains there."""

    root: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root / "workspace")

    @property
    def arguments(self) -> list[str]:
        settings = {
            "train.batch_size": 4,
            "train.epochs": 99,
            "train.max_steps": STEPS,
            "train.dev": "mine@dev",
            "train.patience": 0,
            "train.keep": "last",
            "objective.head_width": 32,
        }
        changed = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
        return ["train", "--model", "tiny", "--langs-dir", "langs", "--workspace", "workspace", *changed]

    def start(self, *more: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mlsg", *self.arguments, *more]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *more: str, **env: str) -> Ended:
        return ended(self.start(*more, **env))

    def run_here(self) -> None:
        """One process, this one."""
        with contextlib.chdir(self.root):
            app(self.arguments, standalone_mode=False)

    def encoders(self) -> list[Artefact]:
        return self.workspace.artefacts("encoders")

    def wait_for_checkpoint(self, *watched: subprocess.Popen[str]) -> None:
        """Until there is one, which is after a hundred steps."""
        until = time.monotonic() + 120
        while not any(newest_step(path / "scratch") for path in self.workspace.partial_builds()):
            assert time.monotonic() < until
            assert all(process.poll() is None for process in watched), [ended(process) for process in watched]
            time.sleep(0.002)


def ended(process: subprocess.Popen[str], seconds: float = 120) -> Ended:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def workers(starter: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that it started, in their order."""
    found = psutil.Process(starter.pid).children()
    return sorted((p for p in found if "spawn_main" in " ".join(p.cmdline())), key=lambda p: p.pid)


@contextlib.contextmanager
def leaving_no_orphans(starter: subprocess.Popen[str]) -> Iterator[list[psutil.Process]]:
    """The started processes, which all have to be gone soon after."""
    started = psutil.Process(starter.pid).children(recursive=True)
    yield workers(starter)
    gone, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    assert len(gone) >= 2


def listening_elsewhere(processes: Sequence[psutil.Process]) -> list[str]:
    """Addresses beyond loopback on which these processes listen: local addresses of /proc/net/tcp*, in hex."""
    sockets = set()
    for process in processes:
        for handle in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(handle.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = row.split()[:10]
            loopback = local.startswith(("00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:"))
            if state == "0A" and inode in sockets and not (loopback or re.match(r"[0-9A-F]{6}7F:", local)):
                found.append(local)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tiny_bert(tmp_path / "tiny", dropout=0.0)
    langs = tmp_path / "langs"
    langs.mkdir()
    rows = "\n".join(f"{first}\t{second}\t{score}" for first, second, score in PAIRS)
    (langs / "dev.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}\n", encoding="utf-8")
    (langs / "xx.toml").write_text('code = "xx"\n[sets."mine@dev"]\nfiles = "dev.tsv"', encoding="utf-8")
    made = Place(tmp_path)
    prepare(made, TEXT)
    return made


def prepare(place: Place, lines: list[str]) -> None:
    from mlsg.cache.artefact import Request

    def make(folder: Path, scratch: Path) -> dict[str, object]:
        (folder / "sentences.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return {"lang": "xx", "corpus": "mine", "transductive": [], "evaluation": {}, "kept": len(lines)}

    artefact = place.workspace.build(Request("sentences", 1, "xx", {"lines": len(lines)}, {}, {}), make)
    place.workspace.remember("prepare", artefact)


def weights(artefact: Artefact) -> dict[str, np.ndarray]:
    return load_file(artefact.folder / "model.safetensors")


def test_a_killed_process_ends_all_with_one_line_and_the_same_command_goes_on(place: Place) -> None:
    starter = place.start("--processes", "2")
    place.wait_for_checkpoint(starter)
    with leaving_no_orphans(starter) as started:
        assert len(started) == 2
        assert listening_elsewhere([psutil.Process(starter.pid), *started]) == []
        started[1].send_signal(signal.SIGKILL)
        began = time.monotonic()
        end = ended(starter)
        assert time.monotonic() - began < 30
    assert end.code == 1
    assert "process 1 of 2 was killed by SIGKILL" in end.error_line
    assert "same command" in end.error_line
    assert place.encoders() == []
    again = place.run("--processes", "2")
    assert again.code == 0, again.err
    assert "going on from the checkpoint of step" in again.err
    assert again.err.count("2 processes") == 1  # only the first one talks
    (two,) = place.encoders()
    assert two.facts["steps"] == STEPS
    found = place.run("--processes", "3")  # another number is the same encoder
    assert found.code == 0, found.err
    assert "training" not in found.err


def test_an_interrupt_ends_all_with_130_and_one_process_goes_on(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = place.start("--processes", "2")
    place.wait_for_checkpoint(starter)
    with leaving_no_orphans(starter):
        os.killpg(starter.pid, signal.SIGINT)  # as Ctrl-C in a terminal: all of them get it
        end = ended(starter)
    assert end.code == 130
    assert "interrupted" in end.error_line
    assert place.encoders() == []
    place.run_here()
    assert "going on from the checkpoint of step" in capsys.readouterr().err
    (mixed,) = place.encoders()
    whole = Place(place.root / "whole")
    whole.root.mkdir()
    for name in ("tiny", "langs"):
        (whole.root / name).symlink_to(place.root / name)
    prepare(whole, TEXT)
    whole.run_here()
    (alone,) = whole.encoders()
    assert alone.key == mixed.key
    expected, found = weights(alone), weights(mixed)
    assert max(float(np.abs(expected[name] - found[name]).max()) for name in expected) < 1e-4


def launched(place: Place, rank: int, port: int, *more: str) -> subprocess.Popen[str]:
    return place.start(
        *more,
        RANK=str(rank),
        WORLD_SIZE="2",
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )


def test_ranks_of_a_launcher_train_one_encoder_and_the_first_one_talks(place: Place) -> None:
    port = free_port()
    first, second = (ended(process) for process in [launched(place, rank, port) for rank in range(2)])
    assert (first.code, second.code) == (0, 0), first.err
    assert "2 processes" in first.err
    assert (second.out, second.err) == ("", "")
    (made,) = place.encoders()
    assert made.facts["steps"] == STEPS
    assert place.workspace.last("train") == made


def test_processes_share_what_another_training_has_measured_of_the_base(place: Place) -> None:
    few = ("--set", "train.max_steps=4", "--set", "train.eval_steps=2", "--processes", "2")
    done = place.run("--seed", "1", *few)
    assert done.code == 0, done.err
    (kept,) = place.workspace.artefacts("measurements")
    told = {**kept.manifest, "facts": {**kept.facts, "dev": 0.125}}
    (kept.folder / "artefact.json").write_text(sealed_json(told), encoding="utf-8")
    done = place.run("--seed", "2", *few)
    assert done.code == 0, done.err
    second = next(made for made in place.encoders() if made.settings["train"]["seed"] == 2)
    before, *after = json.loads((second.folder / "history.json").read_text())["measurements"]
    assert before == {"step": 0, "loss": None, "dev": 0.125, "random_cosine": kept.facts["random_cosine"]}
    assert len(after) == 2 and all(each["dev"] != 0.125 for each in after)


def test_ranks_that_are_asked_for_different_encoders_end_with_one_line(place: Place) -> None:
    port = free_port()
    started = [launched(place, rank, port, "--seed", str(rank)) for rank in range(2)]
    first, second = (ended(process) for process in started)
    assert (first.code, second.code) == (2, 2)
    assert "another encoder" in first.error_line
    assert second.err == ""
    assert place.encoders() == []


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_rank_of_a_launcher_ends_the_other_with_one_line(dead: int, place: Place) -> None:
    port = free_port()
    started = [launched(place, rank, port) for rank in range(2)]
    place.wait_for_checkpoint(*started)
    began = time.monotonic()
    started[dead].send_signal(signal.SIGKILL)
    left = ended(started[1 - dead])
    ended(started[dead])
    assert time.monotonic() - began < 60
    assert left.code == 1
    lines = [line for line in left.err.splitlines() if line.startswith("error:")]
    if dead == 1:
        assert len(lines) == 1 and "another process of 2 has died" in lines[0]
    else:
        assert lines == []  # without a launcher that watches, only the first one tells people
    assert place.encoders() == []
    assert place.run("--processes", "2").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 2])
def test_any_process_may_be_the_one_that_dies(dead: int, place: Place) -> None:
    starter = place.start("--processes", "3")
    place.wait_for_checkpoint(starter)
    with leaving_no_orphans(starter) as started:
        started[dead].send_signal(signal.SIGKILL)
        end = ended(starter)
    assert (end.code, f"process {dead} of 3 was killed" in end.error_line) == (1, True)


@pytest.mark.slow
def test_processes_whose_starter_is_killed_end_too(place: Place) -> None:
    starter = place.start("--processes", "2")
    place.wait_for_checkpoint(starter)
    with leaving_no_orphans(starter):
        starter.send_signal(signal.SIGKILL)
        ended(starter)


@pytest.mark.slow
def test_torchrun_trains(place: Place) -> None:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
    ]
    done = launched_by([*command, "-m", "mlsg"], place)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 processes") == 1
    assert len(place.encoders()) == 1
    failed = launched_by([*command, "-m", "mlsg"], place, "--set", "train.learning_rate=1e6")
    assert failed.returncode != 0
    lines = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "diverged" in lines[0]


def launched_by(launcher: list[str], place: Place, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*launcher, *place.arguments, *more],
        check=False,
        cwd=place.root,
        env=environment(ACCELERATE_USE_CPU="true"),
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
def test_accelerate_launch_trains(place: Place) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [*launcher, "--num_machines", "1", "--main_process_port", str(free_port()), "-m", "mlsg"]
    done = launched_by(command, place)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 processes") == 1
    assert len(place.encoders()) == 1


def test_what_one_process_finds_wrong_is_said_once(place: Place) -> None:
    end = place.run("--processes", "2", "--set", "train.learning_rate=1e6", "--set", "train.max_steps=60")
    assert end.code == 5
    assert "diverged" in end.error_line
    refused = place.run("--processes", "5")
    assert refused.code == 2
    assert "batches of 4" in refused.error_line


_SIGNALS = {"Ctrl-C": [signal.SIGINT], "three times Ctrl-C": [signal.SIGINT] * 3, "SIGTERM": [signal.SIGTERM]}


@pytest.mark.slow
@pytest.mark.parametrize("what", _SIGNALS)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_at_any_moment_is_one_line_without_orphans_and_the_command_goes_on(
    what: str, processes: str, place: Place
) -> None:
    place.run("--processes", processes)
    (expected,) = place.encoders()
    shutil.move(expected.folder, place.root / "expected")
    delays = random.Random(f"{what} {processes}")
    for _ in range(8):
        starter = place.start("--processes", processes)
        time.sleep(delays.uniform(0, 9))
        started = [psutil.Process(starter.pid), *psutil.Process(starter.pid).children(recursive=True)]
        for number in _SIGNALS[what]:
            with contextlib.suppress(ProcessLookupError):
                # all of them get Ctrl-C in a terminal, and `kill` sends to one
                os.killpg(starter.pid, number) if number == signal.SIGINT else starter.send_signal(number)
            time.sleep(delays.uniform(0, 0.3))
        end = ended(starter)
        _, alive = psutil.wait_procs(started, timeout=30)
        assert not alive
        if end.code == 0:  # it was ready before
            shutil.rmtree(place.encoders()[0].folder)
        else:  # a shell says 130 and 143 either way; Python dies of a signal before it has begun and when it has ended
            assert end.code in {128 + _SIGNALS[what][0], -_SIGNALS[what][0]}, end.err
            assert "the workspace is intact" in end.err or (end.code < 0 and end.err == "")
            assert end.err.count("error:") == ("the workspace is intact" in end.err)
            assert "Traceback" not in end.err
    assert place.run("--processes", processes).code == 0
    (found,) = place.encoders()
    assert all(
        np.array_equal(a, weights(found)[name])
        for name, a in load_file(place.root / "expected/model.safetensors").items()
    )
