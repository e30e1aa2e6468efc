"""The JSON of design part 3."""

from __future__ import annotations

import json
from dataclasses import replace

from mlsg.cache.files import readable_json
from mlsg.evaluate.results import document, stored_document
from tests.report.sheets import set_score, sheet


def test_document_has_exactly_the_keys_of_the_schema_in_order() -> None:
    found = document(sheet())
    assert list(found) == [
        "schema", "encoder", "suite", "languages", "sets", "skipped", "settings", "versions", "seconds",
    ]  # fmt: skip
    assert found["schema"] == "mlsg.scores/1"
    assert list(found["encoder"]) == ["name", "base", "objective", "pooling", "dimension", "key"]
    assert list(found["languages"]) == ["es", "ar", "tr", "de", "xx"]
    assert list(found["languages"]["es"]) == ["primary", "spearman", "interval", "pairs", "baselines"]
    assert list(found["languages"]["es"]["baselines"]) == ["base_cls", "base_mean", "overlap", "idf_overlap"]
    for entry in found["sets"]:
        assert list(entry) == [
            "set", "languages", "split", "pairs", "spearman", "pearson", "interval", "truncated", "unknown", "made",
            "transductive",
        ]  # fmt: skip
    assert found["skipped"] == [{"set": "gone.de", "why": "the hub is out of reach"}]


def test_correlations_are_raw_and_have_six_decimals() -> None:
    found = document(sheet())
    assert found["languages"]["es"]["spearman"] == 0.712346
    assert found["languages"]["es"]["interval"] == [0.632346, 0.782346]
    assert found["sets"][3]["spearman"] == -0.02


def test_a_language_whose_primary_set_is_gone_is_there_with_nulls() -> None:
    nothing = dict.fromkeys(("base_cls", "base_mean", "overlap", "idf_overlap"))
    languages = document(sheet())["languages"]
    assert languages["de"] == {
        "primary": "gone.de", "spearman": None, "interval": None, "pairs": 0, "baselines": nothing,
    }  # fmt: skip
    assert languages["xx"]["primary"] is None


def test_undefined_is_null_and_the_text_is_strict_json() -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = readable_json(document(sheet()))
    found = json.loads(text, parse_constant=no_constant)
    assert found["sets"][4]["spearman"] is None
    assert found["sets"][4]["interval"] is None
    assert found["sets"][4]["transductive"] is None


def test_stored_document_holds_nothing_that_a_second_run_could_change() -> None:
    one = sheet()
    other = replace(one, seconds=99.0, versions={"python": "9"}, skipped=[], settings={})
    assert stored_document(one) == stored_document(other)
    assert stored_document(one) != stored_document(replace(one, sets=[set_score("sts17.es-es", ("es", "es"), 0.1)]))


def test_no_number_is_minus_zero() -> None:
    found = document(replace(sheet(), sets=[set_score("sts17.es-es", ("es", "es"), -1e-9)]))
    assert str(found["languages"]["es"]["spearman"]) == "0.0"
