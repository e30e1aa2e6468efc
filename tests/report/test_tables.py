"""Tables for people: what they say, and that they fit a narrow terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from mlsg.evaluate.results import Differences, Gain, SetDifference
from mlsg.report.drawing import print_grids
from mlsg.report.output import difference_document
from mlsg.report.tables import difference_grids, flags, grids, legend, markdown, points, span
from tests.report.written_scores import ENCODER, set_score, written_scores


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_grids(console, grids(written_scores()), legend(written_scores()))
    return console.file.getvalue().splitlines()


def test_points_and_spans() -> None:
    assert [points(value) for value in (0.8203, -0.0001, None)] == ["82.0", "0.0", "-"]
    assert span((-0.03, 0.5)) == "[-3.0, 50.0]"
    assert span(None) == "-"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"transductive": True, "made": "machine_translation"}, "TM"),
        ({"transductive": None}, "?"),
        ({"languages": ("en", "tr")}, "X"),
        ({"pairs": 99}, "<"),
        ({"pairs": 100}, ""),
        ({"made": "written_for_project", "kind": "relatedness"}, "PR"),
        ({"kind": "quality"}, "Q"),
    ],
)
def test_flags(changes: dict, expected: str) -> None:
    assert flags(replace(set_score("x", ("es", "es")), **changes)) == expected


def test_one_row_a_language_and_the_mean_over_those_that_have_a_score() -> None:
    rows = grids(written_scores())[0].rows
    assert [row[0] for row in rows] == ["es", "ar", "tr", "de", "xx", "mean"]
    assert rows[0] == ("es", "sts17.es-es", "250", "71.2", "[63.2, 78.2]", "30.1", "45.6", "72.4", "78.1", "")
    assert rows[3] == ("de", "gone.de", "-", "-", "-", "-", "-", "-", "-", "")
    assert rows[5][1:5] == ("3 languages", "", points((0.7123456789 + 0.5 + 0.4) / 3), "[48.0, 59.0]")
    assert rows[5][5:9] == ("30.1", "45.6", "72.4", "78.1")


def test_the_gain_of_the_mean_is_said_with_its_interval() -> None:
    said = "Gain of the mean: 23.6 [17.0, 30.0] over base CLS, 8.1 [-1.0, 15.0] over base mean (paired bootstrap)"
    assert legend(written_scores())[0] == said
    alone = replace(written_scores(), mean=None)
    assert not any("Gain" in line for line in legend(alone))
    assert "mean" not in [row[0] for row in grids(alone)[0].rows]


def test_a_baseline_that_one_language_lacks_has_no_mean() -> None:
    scores = written_scores()
    lacking = replace(scores.sets[0], baselines={**scores.sets[0].baselines, "base_cls": None})
    rows = grids(replace(scores, sets=[lacking, *scores.sets[1:]]))[0].rows
    assert rows[-1][5:7] == ("-", "45.6")


def test_other_sets_stand_below_with_their_two_languages() -> None:
    rows = grids(written_scores())[1].rows
    assert [row[:3] for row in rows] == [("en-tr", "sts17.en-tr", "250"), ("es", "tiny.es", "40")]
    assert rows[0][-1] == "X"
    assert rows[0][7:9] == ("-", "-")
    assert rows[1][-1] == "?R<"


def test_legend_says_only_what_occurs() -> None:
    lines = legend(written_scores())
    assert [line[0] for line in lines if line[1:3] == "  "] == ["T", "?", "M", "R", "X", "<"]
    assert "Sentences cut at the encoder's maximum length: sts17.en-tr 3" in lines
    assert "Unknown tokens: sts17.en-tr 7" in lines
    assert "Skipped gone.de: the hub is out of reach" in lines
    plain = replace(written_scores(), sets=[set_score("sts17.es-es", ("es", "es"))], skipped=[], mean=None)
    assert legend(plain) == []


def test_the_legend_says_why_there_is_no_number() -> None:
    sets = [
        set_score("two.es", ("es", "es"), None, no_score="it has 2 pairs, and a correlation needs 3"),
        set_score("wide.es", ("es", "es"), 0.5, interval=None),
    ]
    lines = legend(replace(written_scores(), sets=sets))
    assert "No score for two.es: it has 2 pairs, and a correlation needs 3" in lines
    assert "No interval for wide.es: too many of its resamples have no correlation" in lines


def test_80_columns_hold_every_number_and_name() -> None:
    lines = drawn(80)
    tables = [
        line
        for line in lines
        if not line.startswith(("T ", "M ", "? ", "R ", "X ", "< ", "Sent", "Unk", "Skip", "Gain"))
    ]
    assert max(map(len, tables)) <= 80
    row = next(line for line in lines if line.lstrip().startswith("tr "))
    assert row.split() == [
        "tr",
        "stsb_google.tr",
        "1379",
        "40.0",
        "[32.0,",
        "47.0]",
        "30.1",
        "45.6",
        "72.4",
        "78.1",
        "TM",
    ]


def test_a_narrow_terminal_folds_names_and_keeps_the_score_whole() -> None:
    row = next(line for line in drawn(60) if line.lstrip().startswith("tr "))
    assert "1379  40.0 [32.0, 47.0]" in row


def test_markup_in_a_users_set_name_is_text() -> None:
    scores = replace(
        written_scores(), primaries={"es": "[bold]x[/]"}, sets=[set_score("[bold]x[/]", ("es", "es"))], skipped=[]
    )
    console = Console(file=io.StringIO(), width=100)
    print_grids(console, grids(scores))
    assert "[bold]x[/]" in console.file.getvalue()


def test_markdown_has_the_same_cells_and_escapes() -> None:
    scores = replace(
        written_scores(), primaries={"es": "a|b"}, sets=[set_score("a|b", ("es", "es"), pairs=9)], skipped=[]
    )
    text = markdown(grids(scores), legend(scores))
    assert (
        "| lang | set | pairs | score | 95% interval | base CLS | base mean | overlap | idf overlap | flags |" in text
    )
    assert "| es | a\\|b | 9 | 71.0 | [63.0, 78.0] | 30.1 | 45.6 | 72.4 | 78.1 | &lt; |" in text
    assert text.endswith("- &lt;  under 100 pairs\n")


def test_differences_of_two_encoders() -> None:
    sets = [
        SetDifference("sts17.es-es", ("es", "es"), 250, 0.7, 0.6, 0.1, (0.02, 0.19)),
        SetDifference("sts17.ar-ar", ("ar", "ar"), 250, 0.5, 0.6, -0.1, (-0.2, 0.01)),
        SetDifference("sts17.en-tr", ("en", "tr"), 250, None, 0.6, None, None),
    ]
    both = Differences(ENCODER, replace(ENCODER, name="other"), {"es": "sts17.es-es", "ar": "sts17.ar-ar"}, sets)
    both = replace(both, mean=Gain(0.0, (-0.11, 0.1)))
    languages, others = difference_grids(both)
    assert languages.title == "first: mini-sg (cls), second: other (cls); Spearman x 100, paired bootstrap"
    assert languages.rows == (
        ("es", "sts17.es-es", "250", "70.0", "60.0", "10.0", "[2.0, 19.0]"),
        ("ar", "sts17.ar-ar", "250", "50.0", "60.0", "-10.0", "[-20.0, 1.0]"),
        ("mean", "2 languages", "", "", "", "0.0", "[-11.0, 10.0]"),
    )
    assert others.rows == (("en-tr", "sts17.en-tr", "250", "-", "60.0", "-", "-"),)
    found = difference_document([written_scores(), written_scores()], [both])
    assert found["schema"] == "mlsg.difference/1"
    assert [each["schema"] for each in found["scores"]] == ["mlsg.scores/1", "mlsg.scores/1"]
    assert found["differences"][0]["sets"][0]["interval"] == [0.02, 0.19]
    assert found["differences"][0]["mean"] == {"difference": 0.0, "interval": [-0.11, 0.1]}
