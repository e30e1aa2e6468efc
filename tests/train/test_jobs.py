"""Several seeds with one command: each as it would be alone, whatever happens to the others."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.command import mlsg
from tests.train.test_many_ranks import Place, ended, place  # noqa: F401 - a fixture

FEW = ("--set", "train.max_steps=6")


def test_what_cannot_be_trained_together_is_refused(place: Place) -> None:  # noqa: F811
    done = place.run("--seeds", "1-2", "--jobs", "2", "--processes", "2")
    assert done.code == 2 and "--processes" in done.err
    done = mlsg(
        "train", "--recipe", "cls", "--model", "tiny", "--seeds", "1-2", "--workspace", "workspace", cwd=place.root
    )
    assert done.code == 2 and 'objective "untuned" has no seed' in done.err
    done = place.run(
        "--seeds", "1-2", RANK="0", WORLD_SIZE="2", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="1"
    )
    assert done.code == 2 and "launcher" in done.err


def test_there_is_an_encoder_for_each_seed_and_each_line_says_whose_it_is(place: Place) -> None:  # noqa: F811
    done = place.run("--seeds", "1-3", "--jobs", "2", *FEW)
    assert done.code == 0, done.err
    assert sorted(made.settings["train"]["seed"] for made in place.encoders()) == [1, 2, 3]
    for seed in (1, 2, 3):
        assert f"seed {seed}: training tiny (opt3)" in done.err
    assert all(str(made.folder) in done.err for made in place.encoders())
    last = place.workspace.last("train")
    assert last is not None and last.settings["train"]["seed"] == 3
    again = place.run("--seeds", "1-4", *FEW)  # one after the other
    assert again.code == 0 and again.err.count("training tiny") == 1
    assert len(place.encoders()) == 4


def test_a_seed_that_fails_leaves_the_others_to_go_on(place: Place) -> None:  # noqa: F811
    done = place.run("--seeds", "1", *FEW)
    assert done.code == 0
    ready = place.encoders()[0]
    starter = place.start("--seeds", "1-4", "--jobs", "2", *FEW)
    killed = first_child(starter.pid)
    killed.send_signal(signal.SIGKILL)
    done = ended(starter)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("error: seed ")
    assert "was killed by SIGKILL" in done.err.splitlines()[-1]
    assert len(place.encoders()) == 3
    done = place.run("--seeds", "1-4", "--jobs", "2", *FEW)
    assert done.code == 0, done.err
    assert len(place.encoders()) == 4
    assert ready.folder in {each.folder for each in place.encoders()}


def test_an_error_that_all_seeds_meet_is_one_error_line(place: Place) -> None:  # noqa: F811
    done = place.run(
        "--seeds", "1-2", "--jobs", "2", "--set", "train.learning_rate=1e6", "--set", "train.max_grad_norm=0"
    )
    assert done.code == 5, done.err
    assert done.err.splitlines()[-1].startswith("error: seed 1: ")
    assert done.err.count("\nerror: ") + done.err.startswith("error: ") == 1
    assert place.encoders() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_seeds_end_with_the_command_and_go_on_with_it(number: int, place: Place) -> None:  # noqa: F811
    starter = place.start("--seeds", "1-3", "--jobs", "2")
    place.wait_for_checkpoint(starter)
    children = psutil.Process(starter.pid).children(recursive=True)
    assert children
    starter.send_signal(number)
    done = ended(starter)
    assert done.code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert len(place.encoders()) < 3
    done = place.run("--seeds", "1-3", "--jobs", "2")
    assert done.code == 0, done.err
    assert "going on from the checkpoint" in done.err
    assert len(place.encoders()) == 3


def first_child(starter: int) -> psutil.Process:
    """A process that trains, as soon as there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in psutil.Process(starter).children():
            if "spawn_main" in " ".join(child.cmdline()) and Path(f"/proc/{child.pid}/maps").read_text().count("torch"):
                return child
        time.sleep(0.01)
    raise AssertionError("no process trains")
