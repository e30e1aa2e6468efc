"""Processes that clean text: what happens when one of them, or the one that they work for, ends too early."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlsg.errors import MlsgError
from mlsg.text import workers
from mlsg.text.filter import LineFilter
from mlsg.text.workers import processes_at_hand, sift_all


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workers that were started, from the first piece on."""
    made: list[Any] = []

    class Noted(workers._Worker):
        def __init__(self, sieve: LineFilter) -> None:
            super().__init__(sieve)
            made.append(self)

    monkeypatch.setattr(workers, "_Worker", Noted)
    monkeypatch.setattr(workers, "_ALONE", 0)
    return made


def _ended(made: list[Any]) -> bool:
    return bool(made) and all(worker._process.poll() is not None for worker in made)


def test_little_text_starts_no_process(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ALONE", 3)
    assert [sifted.read for sifted in sift_all(LineFilter(1, 9), iter(["a\nb"] * 3), 2)] == [2, 2, 2]
    assert started == []
    assert [sifted.read for sifted in sift_all(LineFilter(1, 9), iter(["a\nb"] * 9), 1)] == [2] * 9
    assert started == []


def test_workers_end_with_the_text(started: list[Any]) -> None:
    assert [sifted.lines for sifted in sift_all(LineFilter(1, 9), iter("abcdefgh"), 2)] == [
        [c] for c in _bytes("abcdefgh")
    ]
    assert len(started) == 2
    assert _ended(started)


def _bytes(text: str) -> list[bytes]:
    return [char.encode() for char in text]


@pytest.mark.timeout(60)
def test_a_killed_worker_is_one_line_and_no_wait(started: list[Any]) -> None:
    def endless() -> Iterator[str]:
        for number in itertools.count():
            if number == 40:
                started[0]._process.kill()
            yield f"sentence number {number}"

    with pytest.raises(MlsgError) as caught:
        for _ in sift_all(LineFilter(1, 99), endless(), 2):
            pass
    assert caught.value.problem == "a process that cleans text was killed by SIGKILL"
    assert "memory" in caught.value.remedy
    assert _ended(started)


def test_a_fault_in_a_worker_is_told_with_its_trace(started: list[Any]) -> None:
    wrong = LineFilter("none", 9)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*in sift"):
        list(sift_all(wrong, iter(["some text"]), 2))
    assert _ended(started)


def test_a_fault_in_the_text_ends_the_workers(started: list[Any]) -> None:
    def broken() -> Iterator[str]:
        yield from ["fine"] * 5
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(sift_all(LineFilter(1, 9), broken(), 2))
    assert _ended(started)


def test_closed_early_the_workers_end(started: list[Any]) -> None:
    sifting = sift_all(LineFilter(1, 9), itertools.repeat("text"), 2)
    assert next(sifting).lines == [b"text"]
    sifting.close()
    assert _ended(started)


def test_as_many_as_there_are_cores_and_at_most_four() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert processes_at_hand() == min(cores or 1, 4)


_ENDLESS = """
import itertools, sys
from mlsg.exit_codes import exit_code_of
from mlsg.text import workers
from mlsg.text.filter import LineFilter
def run():
    workers._ALONE = 0
    made, real = [], workers._Worker
    workers._Worker = lambda sieve: made.append(real(sieve)) or made[-1]
    for number, _ in enumerate(workers.sift_all(LineFilter(1, 99), itertools.repeat("words " * 9000), 2)):
        if number == 20:
            print(*(worker._process.pid for worker in made), flush=True)
sys.exit(exit_code_of(run))
"""


@pytest.mark.timeout(60)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_master(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _ENDLESS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as master:
        assert master.stdout is not None
        pids = [int(pid) for pid in master.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_runs(pid) for pid in pids)
        os.killpg(master.pid, how)  # as a terminal does with Ctrl-C: to all that are in the foreground
        _, said = master.communicate(timeout=30)
    assert master.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert said.count("\n") == (1 if how == signal.SIGINT else 0), said
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie that waits for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
