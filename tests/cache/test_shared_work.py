"""Files made by several: each by one of them, all of them there at the end, whoever dies on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlsg.cache.artefact import Request
from mlsg.cache.shared_work import build_parts, help_build_parts
from mlsg.cache.workspace import Workspace

NAMES = [f"part-{number}" for number in range(8)]


def published(scratch: Path, number: int) -> None:
    (scratch / f"half-{number}").write_text(str(number))
    (scratch / f"half-{number}").rename(scratch / NAMES[number])


def maker(scratch: Path, made: list[int], seconds: float = 0.0) -> Callable[[int], None]:
    def make(number: int) -> None:
        made.append(number)
        time.sleep(seconds)
        published(scratch, number)

    return make


def assert_whole(scratch: Path) -> None:
    assert [(scratch / name).read_text() for name in NAMES] == [str(number) for number in range(len(NAMES))]


def test_one_alone_makes_all_and_none_again(tmp_path: Path) -> None:
    made: list[int] = []
    assert list(build_parts(tmp_path, NAMES, maker(tmp_path, made))) == list(range(8))
    (tmp_path / NAMES[3]).unlink()
    assert sorted(build_parts(tmp_path, NAMES, maker(tmp_path, made))) == list(range(8))
    assert made == [*range(8), 3]
    assert_whole(tmp_path)


def test_those_that_help_make_others_and_no_part_is_made_twice(tmp_path: Path) -> None:
    by: list[list[int]] = [[], [], []]
    begun = threading.Event()

    def build() -> list[int]:
        def make(number: int) -> None:
            begun.set()
            maker(tmp_path, by[0], 0.02)(number)

        return list(build_parts(tmp_path, NAMES, make))

    def help_out(which: int) -> None:
        begun.wait()
        while help_build_parts(tmp_path, NAMES, maker(tmp_path, by[which], 0.02)):
            pass

    with ThreadPoolExecutor(3) as pool:
        built = pool.submit(build)
        for helping in [pool.submit(help_out, which) for which in (1, 2)]:
            helping.result()
        assert sorted(built.result()) == list(range(8))
    assert sorted(by[0] + by[1] + by[2]) == list(range(8))
    assert all(by)
    assert_whole(tmp_path)


@pytest.mark.parametrize("over", [False, True])
def test_one_that_comes_before_the_start_or_after_the_end_makes_nothing(over: bool, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    if over:
        scratch.mkdir()
        list(build_parts(scratch, NAMES, maker(scratch, [])))
        for name in NAMES:
            (scratch / name).unlink()  # taken where they belong
    made: list[int] = []
    assert not help_build_parts(scratch, NAMES, maker(scratch, made))
    assert made == []


def test_a_part_whose_maker_is_killed_is_made_by_the_one_that_builds(tmp_path: Path) -> None:
    program = """
        import sys, time
        from pathlib import Path
        from mlsg.cache.shared_work import help_build_parts

        def make(number):
            print(number, flush=True)
            time.sleep(600)

        help_build_parts(Path(sys.argv[1]), sys.argv[2:], make)
    """
    (tmp_path / "unfinished").touch()
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), *NAMES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as helper:
        assert helper.stdout is not None
        assert helper.stdout.readline() == "7\n"
        made: list[int] = []

        def make(number: int) -> None:
            if number == 6:
                helper.send_signal(signal.SIGKILL)
            maker(tmp_path, made)(number)

        assert list(build_parts(tmp_path, NAMES, make)) == list(range(8))
    assert made == list(range(8))
    assert_whole(tmp_path)


def test_a_process_that_waits_for_an_artefact_makes_parts_of_it(workspace: Workspace) -> None:
    request, begun, helped = Request("views", 1, "shared", {}, {}, {}), threading.Event(), threading.Event()
    by: list[list[int]] = [[], []]

    def ask(which: int) -> Path:
        def make_part(scratch: Path, number: int) -> None:
            if which == 0:
                begun.set()
                helped.wait(60)
            maker(scratch, by[which])(number)
            if which == 1:
                helped.set()

        def make(folder: Path, scratch: Path) -> dict[str, int]:
            list(build_parts(scratch, NAMES, lambda number: make_part(scratch, number)))
            for name in NAMES:
                (scratch / name).rename(folder / name)
            return {}

        def help_make(scratch: Path) -> bool:
            return help_build_parts(scratch, NAMES, lambda number: make_part(scratch, number))

        return workspace.build(request, make, help_make=help_make).folder

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, 0)
        assert begun.wait(60)
        second = pool.submit(ask, 1)
        assert first.result() == second.result()
    assert_whole(first.result())
    assert sorted(by[0] + by[1]) == list(range(8))
    assert by[1]
    assert not workspace.partial_builds()
