"""Processes that clean text: what happens when one of them, or the one that they work for, ends too early."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsg.errors import MlsgError
from mlsg.text import workers
from mlsg.text.filter import LineFilter
from mlsg.text.workers import available_processes, filter_batches


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes are started from the first batch on, and none is left at the end."""
    monkeypatch.setattr(workers, "_ALONE", 0)
    yield
    assert multiprocessing.active_children() == []


def test_little_text_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ALONE", 3)
    monkeypatch.setattr(workers, "ProcessPoolExecutor", None)
    assert [filtered.read for filtered in filter_batches(LineFilter(1, 9), iter(["a\nb"] * 3), 2)] == [2, 2, 2]
    assert [filtered.read for filtered in filter_batches(LineFilter(1, 9), iter(["a\nb"] * 9), 1)] == [2] * 9


@pytest.mark.usefixtures("_at_once")
def test_processes_end_with_the_text() -> None:
    seen = set()

    def letters() -> Iterator[str]:
        for letter in "abcdefgh" * 9:
            seen.update(child.pid for child in multiprocessing.active_children())
            yield letter

    found = [filtered.lines for filtered in filter_batches(LineFilter(1, 9), letters(), 2)]
    assert found == [[letter.encode()] for letter in "abcdefgh" * 9]
    assert len(seen) == 2


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("_at_once")
def test_a_killed_process_is_one_line_and_no_wait() -> None:
    def endless() -> Iterator[str]:
        for number in itertools.count():
            if number == 40:
                multiprocessing.active_children()[0].kill()
            yield f"sentence number {number}"

    with pytest.raises(MlsgError) as caught:
        for _ in filter_batches(LineFilter(1, 99), endless(), 2):
            pass
    assert caught.value.problem == "a process that cleans text was killed"
    assert "memory" in caught.value.remedy


@pytest.mark.usefixtures("_at_once")
def test_an_error_in_a_process_comes_with_its_trace() -> None:
    wrong = LineFilter("none", 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        list(filter_batches(wrong, iter(["some text"]), 2))
    assert "in apply" in str(caught.value.__cause__)


@pytest.mark.usefixtures("_at_once")
def test_an_error_in_the_text_ends_the_processes() -> None:
    def broken() -> Iterator[str]:
        yield from ["fine"] * 5
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(filter_batches(LineFilter(1, 9), broken(), 2))


@pytest.mark.usefixtures("_at_once")
def test_closed_early_the_processes_end() -> None:
    filtered = filter_batches(LineFilter(1, 9), itertools.repeat("text"), 2)
    assert next(filtered).lines == [b"text"]
    filtered.close()


def test_as_many_as_there_are_cores_and_at_most_four() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert available_processes() == min(cores or 1, 4)


_SCRIPT = """
import sys
from mlsg.text import workers
from mlsg.text.filter import LineFilter
print("started", __name__)
workers._ALONE = 0
print(sum(filtered.read for filtered in workers.filter_batches(LineFilter(1, 9), iter(["a"] * 20), 2)))
"""


@pytest.mark.timeout(60)
def test_a_script_needs_no_guard_of_its_main_module(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(tmp_path / "script.py")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ended.stdout.split() == ["started", "__main__", "20"]
    assert ended.stderr == ""


_ENDLESS = """
import itertools, multiprocessing, sys
from mlsg.exit_codes import exit_code_of
from mlsg.text import workers
from mlsg.text.filter import LineFilter
def run():
    workers._ALONE = 0
    for number, _ in enumerate(workers.filter_batches(LineFilter(1, 99), itertools.repeat("words " * 9000), 2)):
        if number == 20:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
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
