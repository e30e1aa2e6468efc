"""The sts suite on small sets and tiny encoders, against transformers and scipy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from transformers import AutoModel, AutoTokenizer

from mlsg import Encoder
from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import sha256_file
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog, load_catalog
from mlsg.config.recipes import EvalSettings
from mlsg.data.pairs import GradedPairs, LocatedSet, read_pairs
from mlsg.errors import HubUnreachableError, ModelError, SettingError
from mlsg.evaluate import evaluate
from mlsg.evaluate.cosines import cosines, read_cosines
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.means import compare
from mlsg.evaluate.results import Scores
from mlsg.evaluate.statistics import resampled
from mlsg.hub import Hub
from mlsg.model.source import fingerprint_model
from mlsg.report.export import export_encoder
from mlsg.report.output import print_scores
from mlsg.text.overlap import idf_overlap, overlap
from tests.contexts import context_of
from tests.evaluate.small_sets import pairs, small_catalog
from tests.tiny_models import tiny_bert

SETTINGS = EvalSettings(langs=("aa",))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return small_catalog(tmp_path_factory.mktemp("sets"))


def trained(workspace: Workspace, base: Path, pooling: str, sentences: dict | None = None, key: str = "x") -> Artefact:
    """An `encoders` artefact as `mlsg train` leaves it; here nothing is trained but the pooling differs."""
    told = {
        "base": {"name": base.name, "revision": "", "fingerprint": fingerprint_model(str(base))},
        "objective": {"name": "self_guided"},
        "train": {"max_length": 64, "dev": "none"},
        "sentences": sentences or {"lang": "en", "corpus": "own", "kept": 20},
    }

    def make(folder: Path, _scratch: Path) -> dict:
        Encoder.load(base, pooling=pooling, device="cpu").save(folder, told)
        return {}

    request = Request("encoders", 1, f"tiny-{pooling}", {"pooling": pooling, "key": key}, {}, {})
    return workspace.build(request, make, recipe={"train": {"model": str(base)}})


def run(encoder: str | Artefact, workspace: Workspace, catalog: Catalog, **options: object) -> Scores:
    settings = options.pop("settings", SETTINGS)
    return evaluate(encoder, settings, context_of(workspace, catalog), **options)


def snapshot(workspace: Workspace) -> dict[str, str]:
    return {str(path.relative_to(workspace.root)): sha256_file(path) for path in sorted(workspace.root.rglob("*.*"))}


def expected_cosines(base: Path) -> list[float]:
    """One sentence at a time, unpadded, mean of the last layer, cosine in float64."""
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModel.from_pretrained(base).eval()

    def vector(text: str) -> np.ndarray:
        with torch.no_grad():
            states = model(**tokenizer(text, truncation=True, max_length=64, return_tensors="pt")).last_hidden_state
        return states[0].mean(0).double().numpy()

    found = []
    for a, b, _ in pairs():
        u, v = vector(a), vector(b)
        found.append(float(u @ v / np.sqrt((u @ u) * (v @ v))))
    return found


def test_scores_equal_transformers_and_scipy(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    scores = run(str(base), workspace, catalog, pooling="mean")
    found = scores.set_score("small.aa")
    by_hand, gold = expected_cosines(base), [score for _, _, score in pairs()]
    mine = read_cosines(scores.artefact)["small.aa"]
    assert mine.gold.tolist() == gold
    assert np.allclose(mine.cosine, by_hand, atol=1e-5)
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(mine.cosine, gold).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(np.round(by_hand, 5), gold).statistic, abs=0.01)
    assert found.pearson == pytest.approx(scipy.stats.pearsonr(by_hand, gold).statistic, abs=1e-4)
    assert found.interval == pytest.approx(resampled(mine.cosine, gold).interval)
    assert found.interval[0] < found.spearman < found.interval[1]
    assert mine.cosine[-5:].tolist() == [1.0] * 5  # identical sentences stay tied at the top


def test_truncated_sentences_and_unknown_tokens_are_counted_once_a_sentence(
    base: Path, workspace: Workspace, catalog: Catalog
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    texts = {text for a, b, _ in pairs() for text in (a, b)}
    whole = {text: tokenizer(text, truncation=False, verbose=False)["input_ids"] for text in texts}
    found = run(str(base), workspace, catalog, pooling="mean").set_score("small.aa")
    assert found.truncated == sum(len(ids) > 64 for ids in whole.values()) == 1
    cut = [tokenizer(text, truncation=True, max_length=64)["input_ids"] for text in texts]
    assert found.unknown == sum(ids.count(tokenizer.unk_token_id) for ids in cut) > 0


def test_languages_baselines_and_what_was_skipped(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    found = run(str(base), workspace, catalog, pooling="mean").to_dict()
    first, second, gold = zip(*pairs(), strict=True)
    aa = found["languages"]["aa"]
    assert aa["primary"] == "small.aa"
    assert aa["pairs"] == 31
    for role, count in (("overlap", overlap), ("idf_overlap", idf_overlap)):
        expected = scipy.stats.spearmanr(count(first, second, True), gold).statistic
        assert aa["baselines"][role] == pytest.approx(expected, abs=1e-6)
    assert aa["baselines"]["base_mean"] == aa["spearman"]  # a plain model with mean pooling is its own base
    assert aa["baselines"]["base_cls"] not in {None, aa["spearman"]}
    assert [entry["set"] for entry in found["sets"]] == ["small.aa", "small.aa-bb"]
    assert found["sets"][1]["languages"] == ["aa", "bb"]
    assert found["sets"][1]["made"] == "machine_translation"
    assert [entry["set"] for entry in found["skipped"]] == ["gone.aa"]
    assert "gone.tsv" in found["skipped"][0]["why"]
    assert found["settings"]["langs"] == ["aa"]
    assert found["encoder"]["dimension"] == 32
    assert "torch" in found["versions"]


def test_words_do_not_match_between_languages(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    crosslingual = run(str(base), workspace, catalog, pooling="mean").set_score("small.aa-bb")
    assert crosslingual.baselines["overlap"] is None
    assert crosslingual.baselines["idf_overlap"] is None
    assert crosslingual.baselines["base_mean"] is not None


def test_the_second_time_nothing_is_rebuilt_and_the_json_is_the_same(
    base: Path, workspace: Workspace, catalog: Catalog
) -> None:
    first = run(str(base), workspace, catalog, pooling="cls")
    before = snapshot(workspace)
    second = run(str(base), workspace, catalog, pooling="cls")
    assert snapshot(workspace) == before
    assert second.to_dict() == first.to_dict()


def test_what_exists_already_is_found_without_torch(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    run(str(base), workspace, catalog, pooling="cls")
    folder = catalog.pair_set("small.aa").root
    code = f"""
import sys
from pathlib import Path
from mlsg.config.catalog import load_catalog
from mlsg.evaluate import evaluate
from mlsg.config.recipes import EvalSettings
from mlsg.cache.workspace import Workspace
from tests.contexts import context_of
context = context_of(Workspace(Path({str(workspace.root)!r})), load_catalog([Path({folder!r})]))
evaluate({str(base)!r}, EvalSettings(langs=("aa",)), context, pooling="cls")
print(sorted({{"torch", "transformers", "datasets", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_equal_inputs_give_equal_bytes_in_another_workspace(base: Path, tmp_path: Path, catalog: Catalog) -> None:
    found = []
    for name in ("one", "two"):
        scores = run(trained(Workspace(tmp_path / name), base, "mean"), Workspace(tmp_path / name), catalog)
        files = sorted(scores.artefact.folder.iterdir())
        found.append({path.name: sha256_file(path) for path in files if path.name != "artefact.json"})
    assert found[0] == found[1]
    assert set(found[0]) == {"README.md", "cosines.json", "scores.json", "sets.json"}


def count_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The label of each encoder that is loaded from now on."""
    labels: list[str] = []
    load = EncoderRef.load

    def counted(self: EncoderRef, *given: object) -> Encoder:
        labels.append(self.label)
        return load(self, *given)

    monkeypatch.setattr(EncoderRef, "load", counted)
    return labels


def test_another_seed_of_the_bootstrap_does_no_encoding_again(
    base: Path, workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(str(base), workspace, catalog, pooling="cls")
    loaded = count_loads(monkeypatch)
    two = run(str(base), workspace, catalog, pooling="cls", settings=replace(SETTINGS, seed=1))
    assert loaded == []
    assert two.artefact.key != one.artefact.key
    assert two.sets[0].spearman == one.sets[0].spearman
    assert two.sets[0].interval != one.sets[0].interval


def test_each_set_is_parsed_once(
    base: Path, workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def counted(located: LocatedSet, hub: Hub) -> GradedPairs:
        parsed.append(located.pair_set.name)
        return read_pairs(located, hub)

    monkeypatch.setattr(sys.modules["mlsg.evaluate.suites.sts"], "read_pairs", counted)
    encoder = trained(workspace, base, "max")
    run(encoder, workspace, catalog)
    assert parsed == ["small.aa", "small.aa-bb"]
    run(encoder, workspace, catalog)
    assert len(parsed) == 2


def test_everything_that_can_change_the_numbers_is_in_the_key(base: Path, workspace: Workspace, tmp_path: Path) -> None:
    catalog = small_catalog(tmp_path / "sets")
    keys = [run(str(base), workspace, catalog, pooling=pooling).artefact.key for pooling in ("cls", "mean")]
    for change in ({"resamples": 100}, {"seed": 1}, {"precision": "bf16"}):
        keys.append(
            run(str(base), workspace, catalog, pooling="cls", settings=replace(SETTINGS, **change)).artefact.key
        )
    declared = (tmp_path / "sets/aa.toml").read_text()
    (tmp_path / "sets/aa.toml").write_text(declared.replace('name = "Aish"', 'name = "Aish"\nspaced = false'))
    keys.append(run(str(base), workspace, load_catalog([tmp_path / "sets"]), pooling="cls").artefact.key)
    (tmp_path / "sets/aa.toml").write_text(declared)
    with (tmp_path / "sets/aa.tsv").open("a") as file:
        file.write("one\ttwo\t3\n")
    keys.append(run(str(base), workspace, load_catalog([tmp_path / "sets"]), pooling="cls").artefact.key)
    assert len(set(keys)) == len(keys) == 7


def test_a_set_that_comes_back_is_scored_and_no_longer_skipped(
    base: Path, workspace: Workspace, tmp_path: Path
) -> None:
    catalog = small_catalog(tmp_path / "sets")
    run(str(base), workspace, catalog, pooling="cls")
    (tmp_path / "sets/gone.tsv").write_text((tmp_path / "sets/aa.tsv").read_text())
    found = run(str(base), workspace, catalog, pooling="cls").to_dict()
    assert [entry["set"] for entry in found["sets"]] == ["small.aa", "small.aa-bb", "gone.aa"]
    assert found["skipped"] == []


def test_the_base_of_two_encoders_is_encoded_once(
    base: Path, workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = count_loads(monkeypatch)
    scores = [run(trained(workspace, base, pooling), workspace, catalog) for pooling in ("max", "first_last")]
    assert loaded == ["tiny-max", "tiny-cls", "tiny-first_last"]  # the pass for base_cls makes base_mean too
    one, two = (each.set_score("small.aa").baselines for each in scores)
    assert one == two
    plain = run(str(base), workspace, catalog, pooling="mean").set_score("small.aa")
    assert one["base_mean"] == pytest.approx(plain.spearman)
    assert len(loaded) == 3


def test_a_base_that_is_gone_leaves_its_baselines_null_with_a_note(
    workspace: Workspace, catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_bert(tmp_path / "gone")
    encoder = trained(workspace, folder, "mean")
    folder.rename(tmp_path / "elsewhere")
    found = run(encoder, workspace, catalog).set_score("small.aa")
    assert found.baselines["base_cls"] is found.baselines["base_mean"] is None
    assert found.baselines["overlap"] is not None
    assert "no base_cls and base_mean: " in capsys.readouterr().err
    assert found.spearman is not None
    assert len(workspace.artefacts("scores")) == 1
    assert run(encoder, workspace, catalog).set_score("small.aa") == found
    assert "no base_cls and base_mean: " in capsys.readouterr().err
    (tmp_path / "elsewhere").rename(folder)
    assert run(encoder, workspace, catalog).set_score("small.aa").baselines["base_cls"] is not None


def test_a_base_that_is_gone_is_not_missed_once_it_was_scored(
    workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path / "gone")
    run(trained(workspace, folder, "mean"), workspace, catalog)
    other = trained(workspace, folder, "max")
    folder.rename(tmp_path / "elsewhere")
    assert run(other, workspace, catalog).set_score("small.aa").baselines["base_cls"] is not None


def test_a_base_that_changed_is_not_taken_for_the_one_trained_from(
    workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    encoder = trained(workspace, tiny_bert(tmp_path / "base"), "mean")
    tiny_bert(tmp_path / "base", seed=9)
    assert run(encoder, workspace, catalog).set_score("small.aa").baselines["base_cls"] is None


def test_a_sentence_transformers_folder_keeps_its_own_pooling_and_has_no_known_base(
    base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    Encoder.load(base, pooling="mean", device="cpu").save(tmp_path / "st", {})
    (tmp_path / "st/mlsg.json").unlink()
    found = run(str(tmp_path / "st"), workspace, catalog)
    assert (found.encoder.name, found.encoder.base, found.encoder.pooling) == ("st", None, "mean")
    assert found.set_score("small.aa").transductive is None
    assert found.set_score("small.aa").baselines["base_cls"] is None
    plain = run(str(base), workspace, catalog, pooling="mean")
    assert found.set_score("small.aa").spearman == pytest.approx(plain.set_score("small.aa").spearman, abs=1e-6)


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        pytest.param({"lang": "en"}, None, id="never compared, text of another language"),
        pytest.param({"lang": "aa"}, None, id="never compared"),
        pytest.param({"lang": "aa", "evaluation": {"small.aa": {"kept": 0, "dropped": 9}}}, False, id="dropped"),
        pytest.param({"lang": "aa", "evaluation": {"small.aa": {"kept": 2, "dropped": 0}}}, True, id="kept"),
        pytest.param({"lang": "en", "transductive": ["small"]}, True, id="declared, as of a translation"),
        pytest.param({"lang": "en", "transductive": ["other"]}, None, id="other texts declared, never compared"),
        pytest.param(
            {"evaluation": {"small.aa": {"kept": 0, "fingerprint": "ab"}}},
            None,
            id="compared with other bytes of the set",
        ),
    ],
)
def test_transductive_says_whether_the_sentences_were_trained_on(
    sentences: dict, expected: bool | None, base: Path, workspace: Workspace, catalog: Catalog
) -> None:
    scores = run(trained(workspace, base, "mean", {"corpus": "own", **sentences}), workspace, catalog)
    assert scores.set_score("small.aa").transductive is expected


def test_an_encoder_without_training_text_has_seen_nothing(
    base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    told = {"base": {"name": "tiny", "fingerprint": fingerprint_model(str(base))}, "objective": {"name": "x"}}
    Encoder.load(base, pooling="mean", device="cpu").save(tmp_path / "e", {**told, "sentences": None})
    found = run(str(tmp_path / "e"), workspace, catalog)
    assert [score.transductive for score in found.sets] == [False, False]


def test_a_path_to_an_artefact_is_the_artefact(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    encoder = trained(workspace, base, "max")
    assert run(str(encoder.folder), workspace, catalog).artefact.key == run(encoder, workspace, catalog).artefact.key


def test_differences_are_paired(base: Path, workspace: Workspace, catalog: Catalog) -> None:
    a, b = (run(str(base), workspace, catalog, pooling=pooling) for pooling in ("mean", "cls"))
    found = {each.set: each for each in compare(a, b).sets}
    one, two = (read_cosines(each.artefact)["small.aa"] for each in (a, b))
    expected = resampled(one.cosine, one.gold) - resampled(two.cosine, one.gold)
    assert found["small.aa"].difference == expected.value
    assert found["small.aa"].interval == expected.interval
    assert found["small.aa"].first - found["small.aa"].second == pytest.approx(expected.value)
    assert [each.difference for each in compare(a, a).sets] == [0.0, 0.0]


def test_json_on_stdout_is_all_that_stdout_holds(
    base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = run(str(base), workspace, catalog, pooling="mean")
    other = run(str(base), workspace, catalog, pooling="cls")
    capsys.readouterr()
    print_scores([scores], json="-", markdown=str(tmp_path / "table.md"))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(scores.to_dict()))
    assert "| aa | small.aa | 31 |" in (tmp_path / "table.md").read_text()
    both = ([scores, other], [compare(scores, other)])
    print_scores(*both, json="-", markdown=None)
    assert json.loads(capsys.readouterr().out)["schema"] == "mlsg.difference/1"
    print_scores(*both, json=str(tmp_path / "scores.json"), markdown=None)
    assert "first: tiny" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["differences"][0]["sets"][0]["set"] == "small.aa"


def test_targets_that_cannot_be_written_are_refused(
    base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    scores = run(str(base), workspace, catalog, pooling="mean")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="both want stdout"):
        print_scores([scores], json="-", markdown="-")
    with pytest.raises(SettingError, match="cannot be written"):
        print_scores([scores], json=str(tmp_path / "file/x.json"), markdown=None)


def test_export_lays_the_card_with_its_scores_beside_the_encoder(
    base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path
) -> None:
    encoder = trained(workspace, base, "mean")
    assert "no scores yet" in export_encoder(tmp_path / "early", str(encoder.folder), workspace.root)
    run(encoder, workspace, catalog)
    assert "has its scores" in export_encoder(tmp_path / "out", encoder.folder.name, workspace.root)
    assert "| aa | small.aa | 31 |" in (tmp_path / "out/README.md").read_text()
    assert not (tmp_path / "out/artefact.json").exists()
    mine, theirs = (
        Encoder.load(folder, device="cpu").encode(["Bir."]) for folder in (encoder.folder, tmp_path / "out")
    )
    assert np.array_equal(mine, theirs)
    with pytest.raises(SettingError, match="already exists"):
        export_encoder(tmp_path / "out", encoder.folder.name, workspace.root)
    with pytest.raises(SettingError, match="no encoder"):
        export_encoder(tmp_path / "new", "nobody", workspace.root)


def test_errors_name_what_is_wrong(base: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="unknown language"):
        run(str(base), workspace, catalog, pooling="cls", settings=EvalSettings(langs=("qq",)))
    with pytest.raises(SettingError, match=r'unknown suite "stss" in eval.suite; did you mean "sts"'):
        run(str(base), workspace, catalog, pooling="cls", settings=replace(SETTINGS, suite="stss"))
    with pytest.raises(SettingError, match="unknown pooling"):
        run(str(base), workspace, catalog, pooling="clss")
    with pytest.raises(SettingError, match="pooled"):
        run(str(base), workspace, catalog)
    with pytest.raises(ModelError):
        run(str(tmp_path), workspace, catalog, pooling="cls")
    with pytest.raises(HubUnreachableError, match=r"no pair set of aa in family gone is available \(gone.aa: gone.tsv"):
        run(str(base), workspace, catalog, pooling="cls", settings=replace(SETTINGS, family="gone"))


def test_cosine_of_equal_rows_is_one_of_a_zero_row_zero_and_nan_stays() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 31)).astype(np.float32)
    assert (cosines(rows, rows) == 1.0).all()
    assert cosines(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0.0]
    assert np.isnan(cosines(np.full((1, 3), np.nan), np.ones((1, 3)))).all()
    u, v = rows[:5], rows[5:10]
    by_loop = [sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) for x, y in zip(u, v, strict=True)]
    by_loop = [
        dot / (np.linalg.norm(x.astype(float)) * np.linalg.norm(y.astype(float)))
        for dot, x, y in zip(by_loop, u, v, strict=True)
    ]
    assert np.allclose(cosines(u, v), by_loop, atol=1e-12)
