"""The JSON of docs/design.md, part 3."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mlsg.cache.files import readable_json
from mlsg.errors import SettingError
from tests.report.written_scores import set_score, written_scores


def test_document_has_exactly_the_keys_of_the_schema_in_order() -> None:
    found = written_scores().to_dict()
    assert list(found) == [
        "schema", "encoder", "suite", "languages", "sets", "skipped", "settings", "versions", "seconds",
    ]  # fmt: skip
    assert found["schema"] == "mlsg.scores/1"
    assert list(found["encoder"]) == ["name", "base", "objective", "pooling", "dimension", "key", "prompt"]
    assert list(found["languages"]) == ["es", "ar", "tr", "de", "xx"]
    assert list(found["languages"]["es"]) == ["primary", "spearman", "interval", "pairs", "baselines"]
    assert list(found["languages"]["es"]["baselines"]) == ["base_cls", "base_mean", "overlap", "idf_overlap"]
    for entry in found["sets"]:
        assert list(entry) == [
            "set", "languages", "split", "pairs", "spearman", "pearson", "interval", "truncated", "unknown", "made",
            "transductive", "origin", "revision", "sha256", "no_score", "dropped",
        ]  # fmt: skip
    assert found["skipped"] == [{"set": "gone.de", "why": "the hub is out of reach"}]


def test_correlations_are_raw_and_have_six_decimals() -> None:
    found = written_scores().to_dict()
    assert found["languages"]["es"]["spearman"] == 0.712346
    assert found["languages"]["es"]["interval"] == [0.632346, 0.782346]
    assert found["sets"][3]["spearman"] == -0.02


def test_a_language_whose_primary_set_is_gone_is_there_with_nulls() -> None:
    nothing = dict.fromkeys(("base_cls", "base_mean", "overlap", "idf_overlap"))
    languages = written_scores().to_dict()["languages"]
    assert languages["de"] == {
        "primary": "gone.de", "spearman": None, "interval": None, "pairs": 0, "baselines": nothing,
    }  # fmt: skip
    assert languages["xx"]["primary"] is None


def test_undefined_is_null_and_the_text_is_strict_json() -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    text = readable_json(written_scores().to_dict())
    found = json.loads(text, parse_constant=no_constant)
    assert found["sets"][4]["spearman"] is None
    assert found["sets"][4]["interval"] is None
    assert found["sets"][4]["transductive"] is None


def test_stored_document_holds_nothing_that_a_second_run_could_change() -> None:
    one = written_scores()
    other = replace(one, seconds=99.0, versions={"python": "9"}, skipped=[], settings={})
    assert one.to_stored_dict() == other.to_stored_dict()
    assert one.to_stored_dict() != replace(one, sets=[set_score("sts17.es-es", ("es", "es"), 0.1)]).to_stored_dict()


def test_no_number_is_minus_zero() -> None:
    found = replace(written_scores(), sets=[set_score("sts17.es-es", ("es", "es"), -1e-9)]).to_dict()
    assert str(found["languages"]["es"]["spearman"]) == "0.0"


def test_a_frame_has_a_row_for_each_set_with_baselines_as_columns() -> None:
    frame = written_scores().to_frame()
    assert frame["set"].tolist() == [score.set for score in written_scores().sets]
    assert frame["lang"].tolist() == ["es", "ar", "tr", "en-tr", "es"]
    assert frame["primary"].tolist() == [True, True, True, False, False]
    first = frame.iloc[0]
    assert (first["spearman"], first["low"], first["high"]) == (0.7123456789, 0.7123456789 - 0.08, 0.7123456789 + 0.07)
    assert (first["base_cls"], first["idf_overlap"], first["pairs"]) == (0.301, 0.7809, 250)
    assert frame["spearman"].isna().tolist() == [False, False, False, False, True]


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SettingError, match="pip install pandas"):
        written_scores().to_frame()


def test_notebooks_show_an_escaped_table_and_a_short_text() -> None:
    sets = [set_score("<b>x</b>", ("es", "es")), set_score("y", ("en", "es"), None)]
    scores = replace(written_scores(), sets=sets, primaries={"es": "<b>x</b>", "tr": None})
    html = scores._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in html and "<b>" not in html
    table = ElementTree.fromstring(html)
    rows = [[cell.text for cell in row] for row in table.iter("tr")]
    assert [len(row) for row in rows] == [len(rows[0])] * 3
    assert dict(zip(*rows[:2], strict=True))["spearman"] == "71.0"
    assert dict(zip(rows[0], rows[2], strict=True))["overlap"] == "-"
    assert repr(scores) == "Scores(mini-sg (cls): es 71.0, tr -)"
