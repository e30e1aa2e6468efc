"""How commands end: one line and a code, whatever the operating system, a signal or a library does."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsg.errors import DataError, HubUnreachableError
from mlsg.exit_codes import exit_code_of
from tests.command import Ended, environment, mlsg
from tests.tiny_models import tiny_bert


class PanicException(BaseException):
    """What pyo3 makes of a panic: no Exception."""


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "model/model.safetensors"),
            3,
            "model/model.safetensors: Perm",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.txt"), 3, "x.txt: No such file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"caf\xe9"), 3, "Is a directory"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left"),
        (OSError(errno.EFBIG, "File too large", "views"), 2, "views: File too large"),
        (OSError(errno.EMFILE, "Too many open files"), 2, "Too many open files"),
        (OSError(errno.EIO, "Input/output error", "x"), 3, "x: Input/output error"),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2, "x: Read-only"),
        (RuntimeError("Error while serializing: No space left on device (os error 28)"), 2, "No space left"),
        (MemoryError(), 2, "Cannot allocate memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 2, "memory"),
        (DataError("x", "y"), 3, "x; y"),
        (HubUnreachableError("x", "y"), 4, "x; y"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_a_user_can_cause_is_one_line_with_its_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ") and words in said[0]
    assert "a bug in mlsg" not in said[0]


@pytest.mark.parametrize(
    "error",
    [
        PanicException("index out of bounds"),
        ZeroDivisionError("ours"),
        EOFError(),
        OSError("no number"),
        GeneratorExit(),
    ],
)
def test_anything_else_is_a_bug_with_a_log_and_no_traceback(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == 1
    line, *rest = capsys.readouterr().err.splitlines()
    assert rest == []
    log = Path(line.partition(", log in ")[2].partition(";")[0])
    assert type(error).__name__ in line and type(error).__name__ in log.read_text(encoding="utf-8")
    log.unlink()


def test_the_end_of_stdin_is_no_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    """typer turns an EOFError within a command into the same as Ctrl-C."""
    import typer

    app = typer.Typer()
    app.command()(raising(EOFError("truncated stream")))
    assert exit_code_of(lambda: app([], standalone_mode=False)) == 1
    line = capsys.readouterr().err.strip()
    assert "a bug in mlsg (EOFError)" in line
    Path(line.partition(", log in ")[2].partition(";")[0]).unlink()


def test_without_a_temporary_folder_the_line_says_where_the_bug_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", nowhere)
    assert exit_code_of(raising(ZeroDivisionError("ours \x1b[31m"))) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "\x1b" not in line
    assert "test_exit_codes.py line" in line and "ours" in line and "No usable temporary" in line


def shell(command: str, cwd: Path, **env: str | None) -> Ended:
    line = f"{sys.executable} -m mlsg {command}"
    done = subprocess.run(
        ["bash", "-c", line], check=False, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=60
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["langs", "show zero_shot", "--version", "langs tr", "--help", "show --help"])
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_a_full_or_closed_stdout_is_one_line_with_code_2(command: str, where: str, tmp_path: Path) -> None:
    ended = shell(f"{command} {where}", tmp_path)
    assert ended.code == 2, ended
    assert ended.error_line == ended.err.strip()
    assert "No space left" in ended.err or "Bad file descriptor" in ended.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "<&-", "<&- 2>&-"])
def test_without_stderr_the_result_and_the_code_stay(where: str, tmp_path: Path) -> None:
    ended = shell(f"langs tr {where}", tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "stsb_google.tr" in ended.out
    wrong = shell(f"langs nowhere {where}", tmp_path)
    assert (wrong.code, wrong.out) == (2, "")


def test_a_reader_that_left_is_no_error(tmp_path: Path) -> None:
    ended = shell("langs | true; exit ${PIPESTATUS[0]}", tmp_path)
    assert (ended.code, ended.err) == (0, "")


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    main = "from mlsg.cli import main; main()"
    ended = subprocess.run(
        ["bash", "-c", f"cd gone && rmdir ../gone && {sys.executable} -c '{main}' prepare --corpus starter"],
        check=False, cwd=tmp_path, env=environment(HF_HUB_OFFLINE="1"), capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "no longer exists" in Ended(2, "", ended.stderr).error_line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "ascii:strict"])
def test_a_console_without_unicode_shows_names_with_replacements(encoding: str, tmp_path: Path) -> None:
    ended = mlsg("export", "modèle-日本", cwd=tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert ended.code == 2
    langs = tmp_path / "langs"
    langs.mkdir()
    names = 'code = "xx"\nname = "日本 [/b] \\u001b[31m"\n'
    table = names + '[sets."mine.xx"]\nfiles = "p.tsv"\nlicence = "[/LICENSE] 日本 \\u202e"\n'
    (langs / "xx.toml").write_text(table, encoding="utf-8")
    for arguments in (["langs", "--langs-dir", "langs"], ["langs", "xx", "--langs-dir", "langs"]):
        ended = mlsg(*arguments, cwd=tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert (ended.code, ended.err) == (0, "")
        assert "[/LICENSE]" in ended.out and "\\u65e5\\u672c" in ended.out
        assert "\x1b" not in ended.out and "\u202e" not in ended.out


@pytest.mark.parametrize("closed", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_without_rights_is_one_line_with_code_3(closed: str, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model")
    (model / closed).chmod(0)
    rights = "-dac_override,-dac_read_search"  # by which root reads what is closed to all
    bare = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if bare and (shutil.which("setpriv") is None or subprocess.run([*bare, "true"], check=False).returncode):
        pytest.skip("root cannot give up its rights here")
    command = ["eval", "--recipe", "quickstart", "--langs", "es", "--encoder", "model", "--pooling", "mean"]
    done = subprocess.run(
        [*bare, sys.executable, "-m", "mlsg", *command], check=False, cwd=tmp_path,
        env=environment(HF_HUB_OFFLINE="1"), capture_output=True, text=True,
    )  # fmt: skip
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert closed in ended.error_line and "ermission denied" in ended.error_line
    assert ended.code == 3


def _preparing(tmp_path: Path) -> subprocess.Popen[str]:
    """A `prepare` that is in the midst of its work."""
    (tmp_path / "in.txt").write_text("".join(f"This is the sentence number {n}.\n" for n in range(400_000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "mlsg", "prepare", "--source", "in.txt"],
        cwd=tmp_path, env=environment(HF_HUB_OFFLINE="1"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(tmp_path.glob(".mlsg/sentences/.*.partial/scratch")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_sigterm_says_its_line_and_ends_with_143(tmp_path: Path) -> None:
    process = _preparing(tmp_path)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.splitlines()[-1] == "error: terminated, the workspace is intact; run the same command again to go on"
    assert "Traceback" not in err
    assert not list(tmp_path.glob(".mlsg/sentences/[!.]*"))


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_three_times_prints_one_line_and_no_traceback(seed: int, tmp_path: Path) -> None:
    process, draws = _preparing(tmp_path), random.Random(seed)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(draws.choice((0.0, 0.002, 0.02, 0.1)))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if line.startswith("error:")] == [
        "error: interrupted, the workspace is intact; run the same command again to go on"
    ]
