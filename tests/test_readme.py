"""What README promises a stranger is run: the quickstart, the nine-line language, every command that it names."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from mlsg.config.recipes import recipe_names
from tests.command import REPOSITORY, mlsg

_README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
_COMMANDS = re.findall(r"^    (mlsg .*?)(?:\s+#.*)?$", _README, flags=re.MULTILINE)
_NEW_LANGUAGE = next(block for block in re.findall(r"```toml\n(.*?)```", _README, re.DOTALL) if "code =" in block)


def test_the_quickstart_ends_in_a_table_in_under_three_minutes(tmp_path: Path) -> None:
    start = time.monotonic()
    ended = mlsg("quickstart", cwd=tmp_path, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="2")
    assert time.monotonic() - start < 180
    assert ended.code == 0, ended.err
    for code in ("en", "es", "ar", "tr", "de", "fr", "it", "pt", "nl", "pl", "ru", "zh", "ja", "ko"):
        assert re.search(rf"^ *{code} +starter\.{code} +126 +-?\d", ended.out, re.MULTILINE), ended.out
    assert re.search(r"mean +14 languages", ended.out)


def test_make_knows_the_two_commands_and_sets_up_first() -> None:
    shown = subprocess.run(
        ["make", "-n", "quickstart", "test", "PYTHON=.venv/bin/python"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert ".venv/bin/python -m mlsg quickstart" in shown
    assert ".venv/bin/python -m pytest" in shown


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert "make test" in _README
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("command", sorted(set(_COMMANDS)))
def test_every_command_line_in_the_readme_is_understood(command: str, tmp_path: Path) -> None:
    name, *arguments = shlex.split(command)[1:]
    shown = mlsg(name, "--help", cwd=tmp_path)
    assert shown.code == 0
    for argument in arguments:
        if argument.startswith("--"):
            assert argument in shown.out


def test_the_recipes_and_commands_named_in_the_readme_exist(tmp_path: Path) -> None:
    shown = mlsg("--help", cwd=tmp_path).out
    for name in set(re.findall(r"`mlsg ([a-z]+)", _README)):
        assert re.search(rf"^ +{name} ", shown, re.MULTILINE), name
    for extended in re.findall(r'extends = "(\w+)"', _README):
        assert extended in recipe_names()


def test_the_nine_line_language_goes_through_all_three_commands(tmp_path: Path) -> None:
    assert len(_NEW_LANGUAGE.strip().splitlines()) <= 9
    code = tomllib.loads(_NEW_LANGUAGE)["code"]
    langs = tmp_path / "my-langs"
    langs.mkdir()
    (langs / f"{code}.toml").write_text(_NEW_LANGUAGE, encoding="utf-8")
    # A language that nobody has heard of: words of the alphabet, pairs that share more or fewer of them.
    words = [f"{a}{b}{c}" for a in "kmtrs" for b in "aeou" for c in "nlk"]
    sentences = [" ".join(words[(7 * n + 3 * k) % len(words)] for k in range(5 + n % 4)) for n in range(80)]
    (langs / "sentences.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    pairs = []
    for n in range(40):
        first = words[n % 30 : n % 30 + 6]
        second = [*first[: n % 7], *words[(n * 5 + 11) % 30 : (n * 5 + 11) % 30 + 6 - n % 7]]
        pairs.append(f"{' '.join(first)}\t{' '.join(second)}\t{n % 7}")
    text = "sentence1\tsentence2\tscore\n" + "\n".join(pairs) + "\n"
    (langs / "pairs.tsv").write_text(text, encoding="utf-8")
    steps = [shlex.split(command)[1:] for command in _COMMANDS if "--langs-dir" in command]
    assert [step[0] for step in steps] == ["prepare", "train", "eval"]
    for step in steps:
        small = ["--set", "train.max_steps=3", "--set", "objective.head_width=32"] if step[0] == "train" else []
        arguments = [{"bert-base-multilingual-cased": "starter"}.get(part, part) for part in step]
        ended = mlsg(
            *arguments, *small, *(["--json", "-"] if step[0] == "eval" else []), cwd=tmp_path, HF_HUB_OFFLINE="1"
        )
        assert ended.code == 0, ended.err
    scores = json.loads(ended.out)
    assert scores["languages"][code]["primary"] == f"mine.{code}"
    assert scores["languages"][code]["pairs"] == 40
    assert scores["languages"][code]["baselines"]["overlap"] > 0.5
