"""The stages from Python: a script as in a notebook, found again the second time; names of settings; errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mlsg
from mlsg.errors import SettingError
from tests.command import environment
from tests.evaluate.small_sets import write_sets
from tests.tiny_models import SENTENCES, tiny_bert

_NOTEBOOK = """
import json, mlsg
here = {"workspace": "work", "langs_dir": "langs"}
small = {"max_steps": 2, "batch_size": 4, "dev": "none", "head_width": 8, "pooling": "mean"}
sentences = mlsg.prepare("aa", source="own.txt", min_chars=5, **here)
encoder = mlsg.train("base", sentences, seed=3, **small, **here)
scores = mlsg.evaluate(encoder, ["aa"], resamples=100, **here)
vectors = encoder.encode(["Two girls are painting.", "Çocuklar bahçede."])
print(sentences, len(sentences), next(iter(sentences)), sep="\\n")
print(vectors.shape, type(encoder).__name__, type(scores).__name__, scores._repr_html_().startswith("<table"))
print(json.dumps(scores.to_dict()))
"""
"""Ten lines, none of them behind `if __name__ == "__main__"`."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a text and a language."""
    folder = tmp_path_factory.mktemp("api")
    tiny_bert(folder / "base")
    (folder / "own.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    write_sets(folder / "langs")
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[list[str]]:
    """What the script prints the first and the second time."""
    return [_run(_NOTEBOOK, folder).splitlines() for _ in range(2)]


@pytest.fixture
def here(folder: Path, printed: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Arguments for the workspace in which the script has run."""
    monkeypatch.chdir(folder)
    return {"workspace": "work", "langs_dir": "langs"}


def _run(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=cwd, env=environment(HF_HUB_OFFLINE="1"),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_notebook_of_ten_lines_runs_from_text_to_scores(folder: Path, printed: list[list[str]]) -> None:
    shown, length, first, types, scores = printed[0]
    made = next(folder.glob("work/sentences/[!.]*"))
    assert shown == f"Sentences(aa-files, {length} sentences, {made})"
    assert (int(length), first) == (len(SENTENCES) - 7, SENTENCES[7])  # without those of the pair sets
    assert types == "(2, 32) Encoder Scores True"
    table = json.loads(scores)
    assert table["schema"] == "mlsg.scores/1"
    assert table["languages"]["aa"]["primary"] == "small.aa"
    assert table["encoder"]["pooling"] == "mean"


def test_the_second_time_everything_is_found(folder: Path, printed: list[list[str]]) -> None:
    assert printed[1][:4] == printed[0][:4]
    assert json.loads(printed[1][4])["sets"] == json.loads(printed[0][4])["sets"]
    assert [len(list(folder.glob(f"work/{stage}/[!.]*"))) for stage in ("sentences", "encoders", "scores")] == [1] * 3


def test_sentences_are_given_by_their_folder_or_are_those_prepared_last(folder: Path, here: dict[str, str]) -> None:
    made = next(folder.glob("work/sentences/[!.]*"))
    settings = {"seed": 3, "max_steps": 2, "batch_size": 4, "dev": "none", "head_width": 8, "pooling": "mean", **here}
    for sentences in (made, str(made), None):
        mlsg.train(folder / "base", sentences, **settings)
    assert len(list(folder.glob("work/encoders/[!.]*"))) == 1
    with pytest.raises(SettingError, match="does not hold prepared sentences"):
        mlsg.train(folder / "base", next(folder.glob("work/encoders/[!.]*")), **settings)


def test_an_encoder_is_evaluated_by_its_folder_as_by_the_object(folder: Path, here: dict[str, str]) -> None:
    made = next(folder.glob("work/encoders/[!.]*"))
    by_object = mlsg.evaluate(mlsg.Encoder.from_pretrained(made), "aa", eval__resamples=100, **here)
    by_folder = mlsg.evaluate(made, ["aa"], resamples=100, **here)
    assert by_object.to_dict()["sets"] == by_folder.to_dict()["sets"]
    never_saved = mlsg.Encoder(mlsg.Encoder.from_pretrained(made).backbone, "mean")
    with pytest.raises(SettingError, match=r"never saved; call encoder\.save_pretrained"):
        mlsg.evaluate(never_saved, ["aa"], **here)


def test_a_method_that_does_not_train_needs_no_sentences(folder: Path, tmp_path: Path) -> None:
    encoder = mlsg.train(folder / "base", recipe="mean", workspace=tmp_path)
    assert encoder.pooling == "mean"
    assert not (tmp_path / "sentences").exists()


def test_the_environment_names_the_workspace(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSG_WORKSPACE", str(tmp_path / "elsewhere"))
    sentences = mlsg.prepare("aa", source=[folder / "own.txt"], langs_dir=[folder / "langs"])
    assert sentences.folder.is_relative_to(tmp_path / "elsewhere")
    assert sentences.facts["read"] == len(SENTENCES)


def test_settings_are_given_by_their_own_name_or_with_their_section() -> None:
    recipe = mlsg.load_recipe("sg", learning_rate=3e-5, loss="opt2", pooling="mean", resamples=200, train__seed=3)
    assert (recipe.train.learning_rate, recipe.train.seed, recipe.eval.resamples) == (3e-5, 3, 200)
    assert (recipe.objective["loss"], recipe.encoder.pooling) == ("opt2", "mean")
    assert mlsg.load_recipe(layers=(0, 12)).objective["layers"] == (0, 12)


def test_another_objective_brings_its_own_settings() -> None:
    assert mlsg.load_recipe(objective__name="untuned").objective == {"name": "untuned"}
    with pytest.raises(SettingError, match='unknown key "loss"'):
        mlsg.load_recipe(objective__name="untuned", objective__loss="opt2")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": 1e-5}, 'unknown setting "lr"; did you mean "learning_rate"?'),
        ({"train__tau": 1}, 'did you mean "objective.temperature"?'),
        ({"seed": 1}, "name one: prepare__seed"),
        ({"objective__foo": 1}, 'unknown key "foo" in [objective]'),
        ({"view_weighting": "sif"}, "objective.view_weighting"),
        ({"objective__name": "sgopt"}, 'unknown objective "sgopt"'),
        ({"batch_size": None}, "must be a whole number"),
        ({"transform": "white"}, 'unknown setting "transform"'),
    ],
)
def test_a_wrong_setting_is_an_error_when_the_recipe_is_loaded(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        mlsg.load_recipe(**settings)
    assert words in str(caught.value)


def test_a_stage_takes_its_own_settings_only(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match='unknown section "train" in "train__seed"; known: prepare'):
        mlsg.prepare("en", train__seed=3, workspace=tmp_path)
    with pytest.raises(SettingError, match='unknown setting "resamples"'):
        mlsg.train(resamples=3, workspace=tmp_path)
    with pytest.raises(SettingError, match="no prepared sentences"):
        mlsg.train("starter", workspace=tmp_path)
    assert not list(tmp_path.iterdir())


def test_importing_mlsg_and_looking_at_its_functions_brings_no_torch() -> None:
    code = "import sys, mlsg; mlsg.train, mlsg.prepare, mlsg.evaluate, mlsg.load_recipe(), mlsg.__version__;"
    code += "print(sorted({'torch', 'transformers', 'datasets', 'scipy'} & set(sys.modules)))"
    assert _run(code, Path.cwd()).strip() == "[]"


@pytest.mark.parametrize(
    "first", ["", "import mlsg.train", "from mlsg.train import launch", "import mlsg.evaluate.suites"]
)
def test_the_functions_are_there_whatever_submodule_was_imported_before(first: str) -> None:
    code = f"""
import mlsg
{first}
import mlsg.prepare, mlsg.train.launch, mlsg.evaluate
from mlsg.train import launch
from mlsg import prepare, train, evaluate
from mlsg.prepare import stream_sentences
import sys, types
assert all(isinstance(each, types.FunctionType) for each in (mlsg.prepare, mlsg.train, mlsg.evaluate))
assert (prepare, train, evaluate) == (mlsg.prepare, mlsg.train, mlsg.evaluate)
assert isinstance(launch, types.ModuleType) and isinstance(sys.modules["mlsg.train"], types.ModuleType)
"""
    _run(code, Path.cwd())


def test_what_is_public_is_listed_and_nothing_else_is_made_up() -> None:
    assert set(mlsg.__all__) == {"Encoder", "prepare", "train", "evaluate", "load_recipe", "__version__"}
    assert all(getattr(mlsg, name) for name in mlsg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = mlsg.trian
