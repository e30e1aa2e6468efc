"""What README and docs promise is run: quickstart, new language, new method, Python lines, links."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from mlsg import objectives
from mlsg.cache.workspace import Workspace
from mlsg.config import recipes, schema
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import load_recipe, recipe_names
from mlsg.config.resources import resource_folder
from mlsg.prepare import prepare
from mlsg.train import train
from tests.command import REPOSITORY, environment, mlsg
from tests.contexts import context_of
from tests.tiny_models import SENTENCES, tiny_bert

_README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
_PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
_COMMANDS = re.findall(r"^    (mlsg .*?)(?:\s+#.*)?$", _README, flags=re.MULTILINE)
_TOMLS = re.findall(r"```toml\n(.*?)```", _README, re.DOTALL)
_NEW_LANGUAGE = next(block for block in _TOMLS if "code =" in block)
_NEW_RECIPE = next(block for block in _TOMLS if "extends =" in block)
_PYTHON = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
_SCRIPT = next(block for block in _PYTHON if block.startswith("import mlsg\n"))
_NEW_METHOD = next(block for block in _PYTHON if "class Settings" in block)


def test_readme_is_short_and_says_nothing_of_where_it_was_built() -> None:
    assert len(_README.splitlines()) <= 130
    for page in _PAGES:
        text = page.read_text(encoding="utf-8")
        for word in ("../shared", "tests.benchmarks", "this machine", "could not be reached here", "could not be had"):
            assert word not in text, (page.name, word)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), target


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
    workflow = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    for target in ("lint", "test", "docs"):
        assert re.search(rf"run: make .*\b{target}\b", workflow), target


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
    for option in ("--model", "--source", "--data-root", "--seeds", "--processes"):
        assert f"`{option} " in _README
        assert any(option in mlsg(name, "--help", cwd=tmp_path).out for name in ("prepare", "train"))


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


def test_the_python_lines_of_the_readme_run_offline(tmp_path: Path) -> None:
    assert len(_SCRIPT.strip().splitlines()) <= 12
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
        env=environment(HF_HUB_OFFLINE="1"),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout.split()
    assert -1 <= float(printed[0]) <= 1
    assert ended.stdout.strip().endswith("(256,)")
    assert (tmp_path / "my-encoder" / "modules.json").exists()


def test_the_method_of_the_readme_is_registered_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    methods = tmp_path / "extra_methods"
    methods.mkdir()
    (methods / "__init__.py").touch()
    (methods / "in_batch.py").write_text(_NEW_METHOD, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    name, module = re.search(r'`"(\w+)": "mlsg\.objectives\.(\w+)",`', _README).groups()  # type: ignore[union-attr]
    monkeypatch.setattr(objectives, "_OBJECTIVES", {**objectives._OBJECTIVES, name: f"extra_methods.{module}"})
    (tmp_path / "in_batch.toml").write_text(_NEW_RECIPE, encoding="utf-8")
    (tmp_path / "text.txt").write_text("".join(f"{sentence}\n" for sentence in SENTENCES), encoding="utf-8")
    base = tiny_bert(tmp_path / "tiny")
    recipe = load_recipe(
        str(tmp_path / "in_batch.toml"),
        [
            f"train.model={json.dumps(str(base))}",
            'train.dev="none"',
            "train.max_steps=4",
            "train.batch_size=5",
            "train.mini_batch_size=3",
            "train.learning_rate=1e-3",
            "objective.temperature=0.1",
        ],
    )
    context = context_of(workspace, load_catalog())
    made = train(recipe, context, prepare(recipe, context, sources=[tmp_path / "text.txt"]))
    assert made.name == "tiny-in_batch"
    before, after = (load_file(folder / "model.safetensors") for folder in (base, made.folder))
    moved = [name for name in after if abs(before[name] - after[name]).max() > 1e-4]
    assert any(".layer.0." in name for name in moved) and not any("embeddings" in name for name in moved)
    assert not [key for key in importlib.import_module("extra_methods.in_batch").__dict__ if key == "torch"]


def test_methods_page_has_every_recipe_and_every_setting() -> None:
    page = (REPOSITORY / "docs" / "methods.md").read_text(encoding="utf-8")
    for section in (recipes.PrepareSettings, recipes.TrainSettings, recipes.EncoderSettings, recipes.EvalSettings):
        for item in dataclasses.fields(section):
            assert f"| `{item.name}` |" in page, (section.__name__, item.name)
    for name in objectives.objective_names():
        for item in dataclasses.fields(objectives.settings_class(name)):
            assert f"| `{item.name}` |" in page, (name, item.name)
    for name in recipe_names():
        assert f"| `{name}` |" in page, name


def test_languages_page_has_every_key_and_every_folder_of_original_files() -> None:
    page = (REPOSITORY / "docs" / "languages.md").read_text(encoding="utf-8")
    for declared in (schema.Files, schema.PairSet, schema.Corpus):
        for item in dataclasses.fields(declared):
            assert item.name in {"paths", "name", "lang", "split", "quotes_said"} or f"`{item.name}" in page, item.name
    for item in dataclasses.fields(schema.HubSource):
        assert f"`hub.{item.name}`" in page, item.name
    for path in resource_folder("langs").glob("*.toml"):
        language = tomllib.loads(path.read_text(encoding="utf-8"))
        for table in (*language.get("sets", {}).values(), *language.get("corpora", {}).values()):
            files = table.get("files", []) if table.get("root") != "starter" else []
            for file in [files] if isinstance(files, str) else files:
                assert f"{file.partition('/')[0]}/" in page, file
