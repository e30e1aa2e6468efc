"""The command line: instant help, one error line and the right exit code for everything a user can get wrong."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mlsg.config.recipes import recipe_names
from tests.command import environment, mlsg

COMMANDS = (
    "prepare",
    "train",
    "eval",
    "run",
    "quickstart",
    "show",
    "explain",
    "check",
    "gc",
    "export",
    "langs",
    "compare",
    "probe",
    "static",
)


def test_help_is_instant(tmp_path: Path) -> None:
    """In seconds of the processor: those on the clock depend on what else the machine does."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert mlsg("--help", cwd=tmp_path).code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


def test_the_command_line_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = "import sys, mlsg.cli; print(sorted({'torch', 'transformers', 'datasets', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = mlsg("--help", cwd=tmp_path).out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    ended = mlsg(command, "--help", cwd=tmp_path)
    assert ended.code == 0
    assert "Usage" in ended.out


def test_version_is_one_line(tmp_path: Path) -> None:
    ended = mlsg("--version", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("mlsg ")
    assert len(ended.out.splitlines()) == 1


def test_shell_completion_is_offered(tmp_path: Path) -> None:
    ended = mlsg("--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert ended.code == 0
    assert "complete" in ended.out


@pytest.mark.parametrize("name", recipe_names())
def test_a_shown_recipe_can_be_saved_and_shown_again(name: str, tmp_path: Path) -> None:
    shown = mlsg("show", name, cwd=tmp_path).out
    (tmp_path / "mine.toml").write_text(shown, encoding="utf-8")
    assert mlsg("show", "mine.toml", cwd=tmp_path).out == shown


def test_a_changed_setting_is_shown(tmp_path: Path) -> None:
    shown = mlsg("show", "sg", "--set", "train.batch_size=32", cwd=tmp_path).out
    assert "batch_size = 32" in shown
    assert 'loss = "base"' in shown


def test_languages_are_listed_with_licence_and_making(tmp_path: Path) -> None:
    overview = mlsg("langs", cwd=tmp_path, COLUMNS="160").out
    assert "sts17.es-es" in overview
    assert "stsb_google.tr" in overview
    turkish = mlsg("langs", "tr", cwd=tmp_path, COLUMNS="160").out
    assert "sts17.en-tr" in turkish
    assert "machine translation" in turkish


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "No such command"),
        (["prepare", "--langs", "en"], "--lang"),
        (["prepare", "--limit", "many"], "--limit"),
        (["prepare", "--lang", "xx"], 'unknown language "xx"'),
        (["prepare", "--corpus", "wikipidia"], 'did you mean "wikipedia"?'),
        (["run", "zero_shoot"], 'did you mean "zero_shot"?'),
        (["show", "nope"], 'unknown recipe "nope"'),
        (["train", "--set", "train.sede=1"], 'did you mean "seed"?'),
        (["train", "--set", "train.batch_size=big"], "must be a whole number"),
        (["show", "sg", "--set", "objective.loss=opt9"], "loss"),
        (["show", "zero_shot", "--set", "objective.foo=1"], 'unknown key "foo" in [objective]'),
        (["show", "zero_shot", "--set", "objective.name=no_such"], 'unknown objective "no_such"'),
        (["train", "--set", "objective.foo=1"], 'unknown key "foo" in [objective]'),
        (["train", "--set", "train.tau=1"], 'did you mean "objective.temperature"?'),
        (["train", "--set", "lr=1"], 'did you mean "learning_rate"?'),
        (["run", "zero_shot", "--set", "seed=1"], "name one: prepare__seed"),
        (["show", "starter", "--set", "pretrain.layer=3"], 'did you mean "layers"?'),
        (["train", "--seeds", "1-2", "--seed", "3"], "--seeds and --seed"),
        (["train", "--seeds", "4-1"], "write them as 1,2,5 or 1-8"),
        (["train", "--jobs", "2"], "--jobs without --seeds"),
        (["eval", "--seeds", "1-2", "--encoder", "folder"], "--seeds and --encoder"),
        (["eval", "--seeds", "1-2", "--pooling", "mean"], "--seeds and --pooling"),
        (["eval", "--langs", "es,xx"], 'unknown language "xx"'),
        (["eval", "--data-root", "nowhere"], "no folder nowhere"),
        (["prepare", "--langs-dir", "nowhere"], "no folder nowhere"),
        (["langs", "xx"], 'unknown language "xx"'),
        (["check"], "no workspace"),
        (["gc"], "no workspace"),
        (["explain"], "no artefacts"),
        (["train"], "mlsg prepare"),
        (["eval", "--langs", "es"], "mlsg train"),
    ],
)
def test_a_wrong_command_line_ends_with_code_2_and_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    ended = mlsg(*arguments, cwd=tmp_path)
    assert words in ended.error_line
    assert ended.code == 2
    assert ended.out == ""


def test_interrupting_is_code_130_and_a_bug_is_code_1_with_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    from mlsg.exit_codes import exit_code_of

    def interrupt() -> None:
        raise KeyboardInterrupt

    def bug() -> None:
        raise ZeroDivisionError("ours")

    assert exit_code_of(interrupt) == 130
    assert exit_code_of(bug) == 1
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    log = Path(lines[1].partition("(ZeroDivisionError), log in ")[2].partition(";")[0])
    assert "ours" in log.read_text()
    log.unlink()
