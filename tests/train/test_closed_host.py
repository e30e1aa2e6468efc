"""`mlsg train --processes` and this host: nobody else gets in, and what is closed or used up is said, soon."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlsg.errors import ProcessLostError, SettingError
from mlsg.train import launch
from mlsg.train.host import check_host, limit_met, limits_said
from tests.command import environment
from tests.train.test_many_ranks import Place, ended, listening_elsewhere, place  # noqa: F401 - a fixture

FEW = ("--set", "train.max_steps=6", "--processes", "2")
NOBODY = 65534


def open_doors() -> set[str]:
    """Inodes of sockets of this machine that listen beyond loopback: /proc/net/tcp*, state 0A."""
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    closed = re.compile(r"([0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F):")
    return {row[9] for row in rows if row[3] == "0A" and not closed.match(row[1])}


def family(starter: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(starter)
        return [process, *process.children(recursive=True)]
    return []


def others_may_enter(folder: Path) -> bool:
    """Whether a user without rights can list a folder and write into it."""
    command = ["sh", "-c", 'ls "$1" && : >> "$1/store"', "-", str(folder)]
    return subprocess.run(command, user=NOBODY, capture_output=True, check=False, cwd="/").returncode == 0


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="/proc/net/tcp says who listens")
def test_nothing_listens_beyond_loopback_at_any_time_and_strangers_reach_no_store(
    place: Place,  # noqa: F811
) -> None:
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))
    temporary.chmod(0o777)
    assert os.geteuid() or others_may_enter(temporary)
    before = open_doors()
    starter = place.start(*FEW, TMPDIR=str(temporary))
    looks, folders, listened = 0, set(), False
    while starter.poll() is None:
        looks += 1
        if open_doors() - before:
            assert listening_elsewhere([each for each in family(starter.pid) if each.is_running()]) == []
        listened = listened or (looks % 20 == 0 and any_listens(starter.pid))
        for folder in temporary.glob("mlsg-*"):
            with contextlib.suppress(FileNotFoundError):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
                if folder not in folders and (folder / "store").exists():
                    folders.add(folder)
                    assert os.geteuid() or not others_may_enter(folder)
        time.sleep(0.002)
    end = ended(starter)
    assert end.code == 0, end.err
    assert looks > 100 and len(folders) == 1
    assert listened  # so that the test could have seen an open door
    assert not list(temporary.glob("mlsg-*"))
    shutil.rmtree(temporary)


def any_listens(starter: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(c.status == "LISTEN" for each in family(starter) for c in each.net_connections("tcp"))
    return False


def may_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0


def refused(place: Place, shell: str) -> str:  # noqa: F811
    """The error line of a training with two processes that begins in a shell with limits; it comes within a minute."""
    began = time.monotonic()
    command = ["bash", "-c", f'{shell} "$@"', "-", sys.executable, "-m", "mlsg", *place.arguments, *FEW]
    process = subprocess.Popen(
        command, cwd=place.root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = ended(process, 60)
    assert time.monotonic() - began < 60
    assert end.code in (2, 3), end.err
    assert place.encoders() == []
    return end.error_line


@pytest.mark.skipif(not may_unshare(), reason="needs unshare and the right to use it")
def test_a_closed_loopback_address_is_said(place: Place) -> None:  # noqa: F811
    assert "loopback address" in refused(place, "unshare -n")


@pytest.mark.parametrize("handles", [40, 60])
def test_too_few_file_handles_are_said(handles: int, place: Place) -> None:  # noqa: F811
    assert "file handles" in refused(place, f"ulimit -n {handles};")


def test_a_memory_limit_is_said(place: Place) -> None:  # noqa: F811
    assert "GB" in refused(place, "ulimit -v 1000000;")


@contextlib.contextmanager
def soft_limit(kind: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def test_this_host_is_fit_and_many_processes_need_more_of_it() -> None:
    check_host(2)
    with soft_limit(resource.RLIMIT_NOFILE, 200):
        check_host(2)
        with pytest.raises(SettingError, match="64 processes need 560 file handles each, the limit is 200"):
            check_host(64)


@pytest.mark.parametrize(
    ("code", "limit", "kind"),
    [
        *[(-6, 3 * 2**30, SettingError), (-11, 3 * 2**30, SettingError), (-9, 3 * 2**30, ProcessLostError)],
        *[(-11, None, ProcessLostError), (3, None, ProcessLostError)],
    ],
)
def test_a_crash_under_a_memory_limit_is_laid_to_it(
    code: int, limit: int | None, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "memory_limit", lambda: limit)
    assert type(launch._lost("process 1 of 2", code)) is kind


def test_a_loopback_address_that_swallows_connections_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(address: object, timeout: float) -> None:
        assert timeout <= 5
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", swallow)
    with pytest.raises(SettingError, match=r"loopback address 127\.0\.0\.1: timed out"):
        check_host(2)


@pytest.mark.parametrize(
    ("message", "met"),
    [
        ("MemoryError: ", True),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory",
            True,
        ),
        ("OSError: [Errno 24] Too many open files: 'x'", True),
        ("RuntimeError: can't start new thread", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", True),
        ("RuntimeError: shapes do not fit", False),
        ("IndexError: memory", False),
    ],
)
def test_what_a_limit_does_is_told_from_a_bug(message: str, met: bool) -> None:
    assert (limit_met(message, "training") is not None) == met
    with pytest.raises(SettingError if met else RuntimeError) as caught, limits_said("training"):
        raise RuntimeError(message)
    assert not met or "\n" not in str(caught.value)
