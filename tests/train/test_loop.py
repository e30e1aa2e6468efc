"""The loop on a tiny base: what is trained, what is kept, when it stops, and going on after a kill."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import DivergedError, SettingError
from mlsg.model.backbone import load_backbone
from mlsg.objectives.interface import Batch
from mlsg.train.checkpoints import latest_checkpoint, newest_step
from mlsg.train.dev import Measurement, Probe
from mlsg.train.loop import Run, State, _Loop, fit
from tests.tiny_models import tiny_bert, tiny_xlmr
from tests.train.small import TEXT, Small, batch, loss_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def unrehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the first try on the longest sentences, for who counts steps."""
    monkeypatch.setattr(_Loop, "_rehearse", lambda self: None)


@pytest.fixture
def small(folder: Path, tmp_path: Path) -> Small:
    return Small(folder, tmp_path / "scratch")


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.tuned.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_embeddings_stay_frozen_to_the_bit_and_the_layers_move(small: Small) -> None:
    _, run = small.run()
    before = load_backbone(str(small.folder)).state_dict()
    for name, value in run.tuned.state_dict().items():
        assert torch.equal(value, before[name]) == ("embeddings" in name), name


def test_embeddings_are_trained_where_asked(small: Small) -> None:
    small.train["train_embeddings"] = True
    _, run = small.run()
    before = load_backbone(str(small.folder)).state_dict()
    assert not torch.equal(
        run.tuned.state_dict()["model.embeddings.word_embeddings.weight"],
        before["model.embeddings.word_embeddings.weight"],
    )


def test_the_base_is_tuned_with_dropout_on_and_left_in_evaluation_mode(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small.prepared()
    modes: list[bool] = []
    plain = run.objective.anchors

    def spied(tuned: torch.nn.Module, packed: object) -> torch.Tensor:
        modes.append(all(module.training for module in tuned.modules()))
        return plain(tuned, packed)  # type: ignore[arg-type]

    monkeypatch.setattr(run.objective, "anchors", spied)
    fit(run)
    assert modes
    assert all(modes)
    assert not any(module.training for module in run.tuned.modules())


@pytest.mark.usefixtures("unrehearsed")
def test_one_epoch_sees_every_sentence_once_the_short_batch_included(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small.prepared()
    seen: list[int] = []
    plain = run.objective.loss
    monkeypatch.setattr(run.objective, "loss", lambda t, b: (seen.extend(map(int, b.rows)), plain(t, b))[1])
    state = fit(run)
    assert sorted(seen) == list(range(len(TEXT)))
    assert state.step == -(-len(TEXT) // 4)


@pytest.mark.parametrize("loss", ["base", "opt1", "opt2", "opt3"])
def test_training_reduces_the_loss_on_the_text(loss: str, tmp_path: Path) -> None:
    plain = tiny_bert(tmp_path / "bert", dropout=0.0)
    small = Small(plain, tmp_path / "scratch", encoder=EncoderSettings(pooling="mean"), dev=False)
    small.train.update(epochs=12, batch_size=16, learning_rate=3e-3, eval_steps=1000, collapse_above=1.0)
    small.objective.update(loss=loss, temperature=0.05, reg_weight=0.0)
    run = small.prepared()
    rows = list(range(len(TEXT)))
    with torch.no_grad():
        before = loss_of(run.objective, run.tuned, batch(run.text, rows)).item()
    fit(run)
    with torch.no_grad():
        after = loss_of(run.objective, run.tuned, batch(run.text, rows)).item()
    assert after < 0.8 * before


def test_a_strong_regulariser_keeps_the_tuned_copy_near_the_guide(small: Small) -> None:
    distances = []
    for strength in (0.0, 100.0):
        small.scratch = small.scratch.parent / f"scratch-{strength}"
        small.objective["reg_weight"] = strength
        _, run = small.run()
        before = load_backbone(str(small.folder)).state_dict()
        distances.append(sum(float((v - before[n]).square().sum()) for n, v in run.tuned.state_dict().items()))
    assert distances[1] < 0.5 * distances[0]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(small: Small) -> None:
    runs = []
    for number, seed in enumerate((1, 1, 2)):
        small.scratch = small.scratch.parent / str(number)
        small.train["seed"] = seed
        torch.manual_seed(number)  # global state must not matter
        runs.append(weights(small.run()[1]))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_training_leaves_the_callers_random_state_alone(small: Small) -> None:
    before = torch.get_rng_state()
    small.run()
    assert torch.equal(before, torch.get_rng_state())


def test_a_sentencepiece_model_trains_too(tmp_path: Path) -> None:
    state, run = Small(tiny_xlmr(tmp_path / "xlmr"), tmp_path / "scratch").run()
    assert state.step == 10
    before = load_backbone(str(tmp_path / "xlmr")).state_dict()
    assert not same(weights(run), before)


def test_bf16_trains(small: Small) -> None:
    small.train["precision"] = "bf16"
    state, run = small.run()
    assert state.step == 10
    assert all(value.dtype == torch.float32 for value in run.tuned.parameters())


def test_max_steps_and_epochs(small: Small) -> None:
    small.train.update(epochs=2, max_steps=13)
    state, _ = small.run()
    assert state.step == 13
    assert [entry["step"] for entry in state.history] == [0, 5, 10, 13]


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[float | None], cosines: list[float] | None = None) -> None:
    """Let the probe say what the test wants, one entry a measurement."""
    answers = iter(zip(scores, cosines or [0.1] * len(scores), strict=True))
    monkeypatch.setattr(Probe, "measure", lambda self, *ready: Measurement(*next(answers)))


def test_the_best_weights_on_dev_are_kept(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=2, max_steps=5)
    _, short = small.run()
    scripted(monkeypatch, [0.9, 0.4, 0.3, 0.2])
    small.train.update(max_steps=15, warmup_ratio=0.0)
    small.scratch = small.scratch.parent / "best"
    state, run = small.run()
    assert (state.best_step, state.best_dev) == (5, 0.4)  # the score before training is no rival
    scripted(monkeypatch, [0.9, 0.4, 0.3, 0.5])
    small.scratch = small.scratch.parent / "last"
    state, last = small.run()
    assert (state.best_step, state.best_dev) == (15, 0.5)
    assert not same(weights(run), weights(last))
    assert not same(weights(run), weights(short))


def test_kept_best_weights_are_those_of_the_best_step(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=2, max_steps=15)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    scores = iter([0.1, 0.2, 0.6, 0.3])

    def measure(probe: Probe, backbone: torch.nn.Module, encoder: EncoderSettings, precision: str) -> Measurement:
        seen[len(seen) * 5] = {name: value.clone() for name, value in backbone.state_dict().items()}
        return Measurement(next(scores), 0.1)

    monkeypatch.setattr(Probe, "measure", measure)
    state, run = small.run()
    assert state.best_step == 10
    assert same(weights(run), seen[10])
    assert not same(weights(run), seen[15])


def test_keep_last_saves_the_last_weights_though_dev_is_measured(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for name, keep, scores in (("a", "last", [0.1, 0.9, 0.3]), ("b", "best", [0.1, 0.2, 0.3])):
        scripted(monkeypatch, scores)  # type: ignore[arg-type]
        small.scratch = small.scratch.parent / name
        small.train["keep"] = keep
        state, run = small.run()
        results.append(weights(run))
    assert same(*results)
    assert state.best_step == 10


def test_without_dev_the_last_weights_are_kept(small: Small) -> None:
    small.dev = False
    state, run = small.run()
    assert state.best_dev is None
    assert [entry["dev"] for entry in state.history] == [None] * 3
    small.scratch = small.scratch.parent / "last"
    small.dev, small.train["keep"] = True, "last"
    assert same(weights(run), weights(small.run()[1]))


def test_patience_counts_from_the_best(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=20, patience=3)
    scripted(monkeypatch, [0.9, 0.2, 0.1, 0.15, 0.3, 0.2, 0.25, 0.29, 0.5])
    state, _ = small.run()
    assert (state.best_step, state.step) == (20, 35)


def test_drops_are_counted_against_the_evaluation_before_and_never_forgiven(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.train.update(epochs=20, patience=3, stopping="drops")
    # drops at 25, 40 and 50; what comes before training, here higher than all of it, is not looked at
    scripted(monkeypatch, [0.9, 0.2, 0.4, 0.4, 0.5, 0.45, 0.6, 0.7, 0.65, 0.8, 0.7, 0.9])
    state, _ = small.run()
    assert (state.best_step, state.step) == (45, 50)


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("curve", [[0.1, -0.2, -0.1, -0.3, 0.4, 0.2, 0.1], [0.5, 0.6, 0.5, 0.6, 0.5, 0.6, 0.5]])
def test_drops_stop_where_the_authors_loop_does(
    curve: list[float], patience: int, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, drops, stopped = 0.0, 0, 0  # theirs begins to compare with 0, not with the score before training
    for place, score in enumerate(curve[1:], start=1):
        drops += score < last
        last, stopped = score, 5 * place
        if drops >= patience:
            break
    small.train.update(epochs=3, patience=patience, stopping="drops")
    scripted(monkeypatch, curve)
    assert small.run()[0].step == stopped


@pytest.mark.parametrize("stopping", ["best", "drops"])
def test_patience_zero_never_stops(stopping: str, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=3, patience=0, stopping=stopping)
    scripted(monkeypatch, [0.9, *(0.5 - 0.01 * n for n in range(6))])
    assert small.run()[0].step == 30


@pytest.mark.usefixtures("unrehearsed")
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.train.update(epochs=3)
    small.checkpoint_every = 6
    run = small.prepared()
    plain, calls = run.objective.loss, iter(range(1, 100))
    monkeypatch.setattr(run.objective, "loss", lambda t, b: plain(t, b) * (float("nan") if next(calls) == 14 else 1))
    with pytest.raises(DivergedError) as caught:
        fit(run)
    assert "step 14 is nan" in caught.value.problem
    assert "train.learning_rate" in caught.value.remedy
    assert "step 12 is kept" in caught.value.remedy
    assert "\n" not in str(caught.value)
    kept = latest_checkpoint(small.scratch)
    assert kept is not None
    assert all(torch.isfinite(tensor).all() for tensor in kept.tensors.values())


@pytest.mark.parametrize("dev", [True, False])
def test_a_collapse_stops(dev: bool, small: Small) -> None:
    small.train.update(epochs=10, learning_rate=3.0, warmup_ratio=0.0, max_grad_norm=0.0)
    small.dev = dev
    small.objective["reg_weight"] = 0.0
    with pytest.raises(DivergedError, match="mean cosine"):
        small.run()


def test_a_base_that_starts_above_the_bound_is_measured_against_its_own_start(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.1, 0.1, 0.1], [0.998, 0.9985, 0.9989])
    small.run()
    scripted(monkeypatch, [0.1, 0.1, 0.1], [0.998, 0.9985, 0.9991])
    small.scratch = small.scratch.parent / "again"
    with pytest.raises(DivergedError, match="step 10"):
        small.run()


def test_nothing_to_train_is_refused(small: Small) -> None:
    run = small.prepared()
    run.tuned.requires_grad_(False)
    with pytest.raises(SettingError, match="nothing to train"):
        fit(run)


@pytest.mark.usefixtures("unrehearsed")
def test_an_interrupted_training_goes_on_to_the_same_bits(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=3)
    small.checkpoint_every = 7
    state, run = small.run()
    uninterrupted = weights(run)
    for stop in (1, 8, 16, 29):
        small.scratch = small.scratch.parent / f"stopped-{stop}"
        broken = small.prepared()
        plain, calls = broken.objective.loss, iter(range(1, 100))

        def loss(tuned: object, step: object, plain: object = plain, calls: object = calls, stop: int = stop) -> object:
            if next(calls) > stop:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return plain(tuned, step)  # type: ignore[operator]

        monkeypatch.setattr(broken.objective, "loss", loss)
        with pytest.raises(KeyboardInterrupt):
            fit(broken)
        assert newest_step(small.scratch) == (stop // 7 * 7 or None)
        again, resumed = small.run()
        assert again == state
        assert same(uninterrupted, weights(resumed))


def test_only_the_newest_checkpoint_and_the_best_weights_it_names_stay(small: Small) -> None:
    small.train.update(epochs=3)
    small.checkpoint_every = 5
    small.run()
    kept = sorted(path.name for path in small.scratch.iterdir())
    assert kept[-1] == "step-00000030"
    assert len(kept) == 2
    assert kept[0].startswith("best-")


def test_between_checkpoints_only_the_newest_best_weights_stay(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=3, eval_steps=5)
    scripted(monkeypatch, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    small.run()
    assert [path.name for path in small.scratch.iterdir()] == ["best-00000030.safetensors"]


def test_checkpoints_keep_to_their_share_of_the_time(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.train.update(epochs=3)
    run = replace(small.prepared(), save_steps=2, max_save_share=0.25)
    plain, seconds, saved = run.objective.loss, [0.0], []

    def loss(anchors: torch.Tensor, step: Batch) -> torch.Tensor:
        seconds[0] += 1
        return plain(anchors, step)

    def save(scratch: Path, step: int, checkpoint: object) -> None:
        saved.append(step)
        seconds[0] += 2

    monkeypatch.setattr(sys.modules["mlsg.train.loop"], "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    monkeypatch.setattr(sys.modules["mlsg.train.loop"], "save_checkpoint", save)
    monkeypatch.setattr(run.objective, "loss", loss)
    fit(run)
    assert saved == [2, 10, 18, 26]  # a small first one is expected to be quick; 2 s / 0.25 are 8 steps


def test_scratch_holds_safetensors_and_json_only(small: Small) -> None:
    small.checkpoint_every = 4
    small.run()
    assert {path.suffix for path in small.scratch.rglob("*") if path.is_file()} <= {".safetensors", ".json"}


def test_half_written_checkpoints_are_not_used(small: Small) -> None:
    small.scratch.mkdir()
    (small.scratch / ".step-00000099").mkdir()
    (small.scratch / ".step-00000099" / "tensors.safetensors").write_bytes(b"half")
    assert latest_checkpoint(small.scratch) is None
    assert small.run()[0].step == 10


KILLED = {"train": {"epochs": 12, "patience": 0}, "checkpoint_every": 3}
CHILD = f"""
import sys
from pathlib import Path
from safetensors.torch import save_file
from tests.train.small import Small
folder, scratch, result = map(Path, sys.argv[1:])
state, run = Small(folder, scratch, **{KILLED!r}).run()
save_file(dict(run.tuned.state_dict()), result)
"""


def test_a_sigkilled_training_ends_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    def start() -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", CHILD, str(folder), str(tmp_path / "killed"), str(tmp_path / "result")]
        return subprocess.Popen(arguments, stderr=subprocess.DEVNULL)

    moments = random.Random(5)
    for least in (6, 30):
        child = start()
        while child.poll() is None and (newest_step(tmp_path / "killed") or 0) < least:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert newest_step(tmp_path / "killed") < 120  # type: ignore[operator]
    assert start().wait() == 0
    _, whole = Small(folder, tmp_path / "whole", **KILLED).run()
    assert same(weights(whole), load_file(tmp_path / "result"))


def test_state_survives_json() -> None:
    import dataclasses
    import json

    state = State(step=3, losses=0.1 + 0.2, steps_of_losses=3, history=[{"step": 0, "dev": None}], best_dev=1 / 3)
    assert State(**json.loads(json.dumps(dataclasses.asdict(state)))) == state
