"""Model cards: a valid YAML head, the truth about the making, the same bytes each time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlsg import Encoder
from mlsg.model.provenance import Provenance, provenance_in, provenance_of
from mlsg.report.card import card
from tests.report.written_scores import written_scores
from tests.tiny_models import tiny_bert

TABLE = {
    "base": {"name": "owner/bert", "revision": "c" * 40, "fingerprint": f"owner/bert@{'c' * 40}"},
    "objective": {"name": "self_guided", "loss": "opt3", "temperature": 0.01},
    "train": {"batch_size": 16, "max_length": 128, "dev": "stsb.en@dev", "seed": 1},
    "encoder": {"pooling": "cls", "layer": 6, "base_layers": 6, "dimension": 256, "max_length": 128},
    "sentences": {"lang": "en", "corpus": "stsb", "kept": 17256, "licence": "mixed", "transductive": ["stsb"]},
}


def head(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_head_is_yaml_with_languages_base_and_task() -> None:
    found = head(card(provenance_of(TABLE), written_scores()))
    assert found["language"] == ["en", "es", "ar", "tr", "de", "xx"]
    assert found["library_name"] == "sentence-transformers"
    assert found["pipeline_tag"] == "sentence-similarity"
    assert found["base_model"] == "owner/bert"


def test_the_code_no_for_norwegian_stays_a_text_in_yaml() -> None:
    made = replace(provenance_of(TABLE), lang="no")
    assert head(card(made, None))["language"] == ["no"]


def test_a_local_base_is_named_but_is_not_a_hub_model() -> None:
    made = provenance_of({**TABLE, "base": {"name": "mini", "revision": "", "fingerprint": f"sha256:{'a' * 64}"}})
    text = card(made, None)
    assert "base_model" not in head(text)
    assert "`mini`" in text


def test_card_says_how_it_was_made_and_what_was_seen() -> None:
    text = card(provenance_of(TABLE), None)
    assert "`self_guided`: loss opt3, temperature 0.01" in text
    assert "17,256 sentences" in text
    assert "human scores of `stsb.en@dev` picked the weights" in text
    assert "transductive" in text
    assert "Not evaluated yet" in text
    undeveloped = provenance_of({**TABLE, "train": {**TABLE["train"], "dev": "none"}})
    assert "No human score was used." in card(undeveloped, None)


@pytest.mark.parametrize(("before", "best", "below"), [(0.71, 0.695, True), (0.6, 0.695, False), (None, 0.5, False)])
def test_card_says_where_training_ended_below_its_base(
    before: float | None, best: float, below: bool, tmp_path: Path
) -> None:
    history = {
        "best_step": 10,
        "best_dev": best,
        "measurements": [{"step": 0, "dev": before}, {"step": 10, "dev": best}],
    }
    (tmp_path / "mlsg.json").write_text(json.dumps({**TABLE, "schema": "mlsg.encoder/1"}))
    (tmp_path / "history.json").write_text(json.dumps(history))
    made = provenance_in(tmp_path)
    assert made is not None
    text = card(made, None)
    assert ("Spearman 71.0 before training, 69.5 at best after it" in text) == below
    assert card(replace(made, dev_scores=None), None) in {text, text.replace(_below(text), "")}


def _below(text: str) -> str:
    found = re.search("\n\nOn these pairs the untuned base is better.*", text)
    return found[0] if found else ""


def test_card_with_scores_holds_the_table_and_no_reason_of_today() -> None:
    text = card(provenance_of(TABLE), written_scores())
    assert "| es | sts17.es-es | 250 | 71.2 |" in text
    assert "Skipped" not in text


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last"])
def test_the_lines_in_the_card_run_and_give_the_encoders_vectors(pooling: str, tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bert(tmp_path / "base"), pooling=pooling, device="cpu")
    encoder.save(tmp_path / "saved", TABLE)
    text = card(provenance_in(tmp_path / "saved"), None)
    expected = encoder.encode(["One sentence.", "Bir cümle."])
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        names: dict = {}
        exec(block.replace("FOLDER", str(tmp_path / "saved")), names)
        assert np.allclose(np.asarray(names["vectors"].tolist()), expected, atol=1e-5)


def test_card_is_a_function_of_its_arguments_without_dates_or_paths() -> None:
    text = card(provenance_of(TABLE), written_scores())
    assert text == card(provenance_of(TABLE), written_scores())
    assert not re.search(r"20\d\d-\d\d-\d\d|/home|/tmp|/work", text)


def test_a_folder_without_provenance_is_not_ours(tmp_path: Path) -> None:
    assert provenance_in(tmp_path) is None


def test_an_empty_table_is_tolerated_and_nothing_is_claimed() -> None:
    made = provenance_of({})
    assert made == Provenance()
    assert "not known" in card(made, None)
