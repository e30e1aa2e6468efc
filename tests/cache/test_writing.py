"""What the system refuses: one line that names path and remedy; the workspace stays whole, the command goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlsg.cache import tensors
from mlsg.cache import workspace as workspaces
from mlsg.cache.artefact import Request
from mlsg.cache.gc import check_hashes
from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError
from mlsg.model.encoder import Encoder
from tests.command import mlsg
from tests.tiny_models import tiny_bert

REQUEST = Request("sentences", 1, "tr", {}, {}, {})


def _make(folder: Path, scratch: Path) -> dict[str, int]:
    (folder / "content.txt").write_text("içerik\n", encoding="utf-8")
    return {}


def _refuse(folder: Path, scratch: Path) -> dict[str, int]:
    raise AssertionError("made although it was there")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EIO, "look after that disk"),
        (errno.EACCES, "the right to write"),
        (errno.EROFS, "the right to write"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENOLCK, "file locks"),
        (errno.ENAMETOOLONG, "--workspace"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_system_refuses_is_one_line_and_the_same_build_goes_on(
    number: int, remedy: str, wrapped: bool, workspace: Workspace
) -> None:
    def refused(folder: Path, scratch: Path) -> dict[str, int]:
        if wrapped:  # as tokenizers does
            raise Exception(f"{os.strerror(number)} (os error {number})")
        raise OSError(number, os.strerror(number), str(folder / "content.txt"))

    with pytest.raises(SettingError, match=remedy) as caught:
        workspace.build(REQUEST, refused)
    assert str(workspace.root) in str(caught.value)
    assert wrapped or "content.txt" in str(caught.value)
    assert workspace.artefacts() == []
    workspace.build(REQUEST, _make)
    assert len(list(check_hashes(workspace.root))) == 1


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 3000, 20_000])
def test_an_encoder_that_does_not_fit_is_one_line(size: int, workspace: Workspace, tmp_path: Path) -> None:
    encoder = Encoder.load(str(tiny_bert(tmp_path / "base")), pooling="mean")

    def save(folder: Path, scratch: Path) -> dict[str, int]:
        encoder.save(folder)
        return {}

    with largest_file(size), pytest.raises(SettingError, match="cannot be written"):
        workspace.build(REQUEST, save)
    assert workspace.artefacts() == []
    workspace.build(REQUEST, save)
    assert len(list(check_hashes(workspace.root))) == 1


def test_tensors_that_do_not_fit_are_one_line(workspace: Workspace) -> None:
    def save(folder: Path, scratch: Path) -> dict[str, int]:
        tensors.save_file({"views": torch.zeros(100, 100)}, folder / "views.safetensors")
        return {}

    with largest_file(9000), pytest.raises(SettingError, match=r"File too large.*ulimit -f"):
        workspace.build(REQUEST, save)
    workspace.build(REQUEST, save)


@pytest.mark.parametrize("root", ["/proc/mlsg", "/proc/self/mlsg", "/sys/mlsg", "/dev/null/mlsg"])
def test_a_workspace_where_nothing_can_be_made_is_one_line(root: str) -> None:
    with pytest.raises(SettingError, match=f"workspace {root} cannot be written"):
        Workspace(Path(root)).build(REQUEST, _make)


def test_a_workspace_that_can_only_be_read_gives_what_it_has(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = workspace.build(REQUEST, _make)
    workspace.remember("prepare", made)
    (workspace.root / "sentences" / f".{made.folder.name}.partial").mkdir()

    def refused(*given: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(workspace.root / "locks"))

    for module, name in ((Path, "mkdir"), (Path, "write_text"), (workspaces.shutil, "rmtree")):
        monkeypatch.setattr(module, name, refused)
    assert workspace.build(REQUEST, _refuse) == made
    workspace.remember("prepare", made)
    assert capsys.readouterr().err == ""
    workspace.remember("train", made)
    assert "is not noted as the last one" in capsys.readouterr().err
    assert workspace.last("prepare") == made
    with pytest.raises(SettingError, match="Read-only file system"):
        workspace.build(replace(REQUEST, settings={"limit": 1}), _make)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted read-only by root only")
def test_cached_commands_run_in_a_workspace_that_is_mounted_read_only(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(work)], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        commands = (
            ("prepare", "--corpus", "starter", "--limit", "50"),
            ("train", "--model", "starter", "--recipe", "mean"),
            ("eval", "--recipe", "quickstart", "--langs", "tr", "--json", "-"),
        )
        before = [mlsg(*each, "--workspace", work, cwd=tmp_path, HF_HUB_OFFLINE="1") for each in commands]
        assert [each.code for each in before] == [0] * 3, [each.err for each in before]
        subprocess.run(["mount", "-o", "remount,ro", str(work)], check=True)
        after = [mlsg(*each, "--workspace", work, cwd=tmp_path, HF_HUB_OFFLINE="1") for each in commands]
        assert [each.code for each in after] == [0] * 3, [each.err for each in after]
        assert after[2].out == before[2].out
        new = mlsg("prepare", "--corpus", "starter", "--limit", "60", "--workspace", work, cwd=tmp_path)
        assert new.code == 2
        assert "Read-only file system" in new.error_line
    finally:
        subprocess.run(["umount", str(work)], check=True)


_WITHOUT_LOCKS = """
import fcntl, sys, time
fcntl.flock = lambda *given: None
from pathlib import Path
from mlsg.cache.artefact import Request
from mlsg.cache.workspace import Workspace

def make(folder, scratch):
    with open(scratch / "unsampled", "w") as file:
        for number in range(40):
            print(number, file=file, flush=True)
            time.sleep(0.01)
    (scratch / "unsampled").rename(folder / "numbers.txt")
    (folder / "more.txt").write_text("more")
    return {"kept": 40}

time.sleep(float(sys.argv[2]))
workspace = Workspace(Path(sys.argv[1]))
artefact = workspace.build(Request("sentences", 1, "x", {}, {}, {}), make)
workspace.remember(sys.argv[2], artefact)
print((artefact.folder / "numbers.txt").read_text().count("\\n"))
"""


def test_where_locks_do_not_hold_what_is_published_is_whole(tmp_path: Path) -> None:
    code, root = textwrap.dedent(_WITHOUT_LOCKS), tmp_path / "w"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(root), str(wait)], stdout=subprocess.PIPE, text=True)
        for wait in (0, 0.1, 0.25, 0.4)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["40\n"] * 4
    assert [process.returncode for process in started] == [0] * 4
    (made,) = Workspace(root).artefacts()
    assert (made.folder / "numbers.txt").read_text() == "".join(f"{number}\n" for number in range(40))
    assert list(check_hashes(root)) == [f"ok       sentences/{made.folder.name}"]
