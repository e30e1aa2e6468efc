"""Artefacts: found again, made once, published whole, continued after a kill, rebuilt when damaged."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlsg.cache.artefact import MANIFEST, Request, damage
from mlsg.cache.workspace import Workspace
from mlsg.errors import SettingError

REQUEST = Request("sentences", 1, "tr/my text", {"limit": 3}, {}, {"a.txt": "00"})


def _write_hello(folder: Path, scratch: Path) -> dict[str, int]:
    (folder / "hello.txt").write_text("merhaba\n", encoding="utf-8")
    return {"kept": 1}


def _refuse(folder: Path, scratch: Path) -> dict[str, int]:
    raise AssertionError("made although it was there")


def test_an_artefact_is_made_once_and_then_found(workspace: Workspace) -> None:
    first = workspace.build(REQUEST, _write_hello)
    again = workspace.build(REQUEST, _refuse)
    assert first.folder == again.folder
    assert first.folder.name == f"tr-my-text-{REQUEST.key[:12]}"
    assert again.facts == {"kept": 1}
    assert not workspace.partial_builds()


def test_what_a_killed_writer_of_the_last_artefacts_left_is_gone_after_the_next(workspace: Workspace) -> None:
    artefact = workspace.build(REQUEST, _write_hello)
    left = workspace.root / ".last.json.3b4faba5"
    left.write_text("{")
    workspace.remember("prepare", artefact)
    assert not left.exists() and workspace.last("prepare") is not None


def test_a_failing_build_leaves_nothing_that_looks_finished(workspace: Workspace) -> None:
    def fail(folder: Path, scratch: Path) -> dict[str, int]:
        (folder / "half.txt").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workspace.build(REQUEST, fail)
    assert workspace.find(REQUEST) is None
    assert workspace.artefacts() == []
    artefact = workspace.build(REQUEST, _write_hello)
    assert sorted(path.name for path in artefact.folder.iterdir()) == [MANIFEST, "hello.txt"]


def test_scratch_survives_a_failure_and_is_gone_when_published(workspace: Workspace) -> None:
    def stop_half_way(folder: Path, scratch: Path) -> dict[str, int]:
        (scratch / "checkpoint").write_text("7")
        raise KeyboardInterrupt

    def go_on(folder: Path, scratch: Path) -> dict[str, int]:
        return {"from": int((scratch / "checkpoint").read_text())}

    with pytest.raises(KeyboardInterrupt):
        workspace.build(REQUEST, stop_half_way)
    assert workspace.build(REQUEST, go_on).facts == {"from": 7}
    assert not workspace.partial_builds()


def test_what_a_build_killed_right_after_publishing_left_is_removed(workspace: Workspace) -> None:
    made = workspace.build(REQUEST, _write_hello)
    left = made.folder.with_name(f".{made.folder.name}.partial") / "scratch"
    left.mkdir(parents=True)
    assert workspace.build(REQUEST, _refuse).folder == made.folder
    assert not workspace.partial_builds()


@pytest.mark.parametrize("harm", ["missing", "shorter"])
def test_a_damaged_artefact_is_named_and_rebuilt(
    workspace: Workspace, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workspace.build(REQUEST, _write_hello).folder
    if harm == "missing":
        (folder / "hello.txt").unlink()
    else:
        (folder / "hello.txt").write_text("m")
    rebuilt = workspace.build(REQUEST, _write_hello)
    assert (rebuilt.folder / "hello.txt").read_text(encoding="utf-8") == "merhaba\n"
    assert "hello.txt" in capsys.readouterr().err


def test_changed_bytes_of_the_same_size_are_seen_by_their_hash(workspace: Workspace) -> None:
    artefact = workspace.build(REQUEST, _write_hello)
    (artefact.folder / "hello.txt").write_text("Merhaba\n", encoding="utf-8")
    assert damage(artefact) == ""
    assert "hello.txt" in damage(artefact, hashes=True)


def test_last_follows_the_newest_and_forgets_what_is_gone(workspace: Workspace) -> None:
    one = workspace.build(REQUEST, _write_hello)
    two = workspace.build(replace(REQUEST, settings={"limit": 5}), _write_hello)
    workspace.remember("prepare", one)
    workspace.remember("prepare:tr", one)
    workspace.remember("prepare", two)
    assert workspace.last("prepare").key == two.key
    assert workspace.last("prepare:tr").key == one.key
    assert workspace.last("train") is None
    (two.folder / MANIFEST).unlink()
    assert workspace.last("prepare") is None


def test_reachable_follows_inputs(workspace: Workspace) -> None:
    text = workspace.build(REQUEST, _write_hello)
    encoder = workspace.build(Request("encoders", 1, "e", {}, {"sentences": text.key}, {}), _write_hello)
    lonely = workspace.build(Request("encoders", 1, "f", {}, {}, {}), _write_hello)
    workspace.remember("train", encoder)
    assert workspace.reachable() == {text.key, encoder.key}
    assert lonely.key not in workspace.reachable()


def test_reachable_follows_an_input_that_is_named_by_its_content(workspace: Workspace) -> None:
    text = workspace.build(REQUEST, _write_hello)
    sha256 = next(iter(text.manifest["files"].values()))["sha256"]
    encoder = workspace.build(Request("encoders", 1, "e", {}, {"sentences": sha256}, {}), lambda *_: {})
    workspace.remember("train", encoder)
    assert workspace.reachable() == {text.key, encoder.key}


def test_a_full_disk_is_one_line_that_names_the_workspace(workspace: Workspace) -> None:
    def fill(folder: Path, scratch: Path) -> dict[str, int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "x"))

    with pytest.raises(SettingError, match=r"workspace .* cannot be written: No space left") as caught:
        workspace.build(REQUEST, fill)
    assert caught.value.exit_code == 2
    assert workspace.find(REQUEST) is None


def test_a_workspace_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="cannot be written"):
        Workspace(tmp_path / "file").build(REQUEST, _write_hello)


def test_someone_elses_missing_file_is_not_blamed_on_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    def forbidden(folder: Path, scratch: Path) -> dict[str, int]:
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "elsewhere"))

    with pytest.raises(PermissionError):
        workspace.build(REQUEST, forbidden)


_BUILDER = """
import sys, time
from pathlib import Path
from mlsg.cache.artefact import Request
from mlsg.cache.workspace import Workspace

def make(folder, scratch):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    for number in range(20):
        done = scratch / str(number)
        if not done.exists():
            time.sleep(0.02)
            new = scratch / "new"  # published by a rename: a kill must not leave an empty part that looks done
            new.write_text(str(number))
            new.rename(done)
    (folder / "sum.txt").write_text(str(sum(int(p.read_text()) for p in scratch.iterdir())))
    return {"parts": 20}

print("ready", flush=True)
artefact = Workspace(Path(sys.argv[1])).build(Request("sentences", 1, "x", {}, {}, {}), make)
print((artefact.folder / "sum.txt").read_text())
"""


def _start(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(_BUILDER), str(tmp_path / "w"), str(tmp_path / "log")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])


def test_two_processes_build_the_same_artefact_once(tmp_path: Path) -> None:
    both = [_start(tmp_path), _start(tmp_path)]
    assert [process.communicate(timeout=60)[0].split() for process in both] == [["ready", "190"]] * 2
    assert (tmp_path / "log").read_text() == "made\n"


@pytest.mark.parametrize("after", [0.0, 0.1, 0.25])
def test_a_killed_build_is_continued_by_the_next(tmp_path: Path, after: float) -> None:
    process = _start(tmp_path)
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _start(tmp_path).communicate(timeout=60)[0].split() == ["ready", "190"]
    assert Workspace(tmp_path / "w").partial_builds() == []
