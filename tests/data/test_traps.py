"""The 26 reading traps of the shared data, each on a small written sample and, where it applies, on the real file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from mlsg.config.catalog import PairSet, load_catalog
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.errors import DataError
from tests.data.written import PretendedHub, catalog_of, read, rows_of, write

CATALOG = load_catalog()
Real = Callable[[str], GradedPairs]


@pytest.fixture
def real(shared: Path) -> Real:
    """Read a declared set from the shared files."""

    def read_real(name: str) -> GradedPairs:
        return _read(CATALOG.pair_set(name), shared / "data")

    return read_real


def _read(pair_set: PairSet, root: Path) -> GradedPairs:
    hub = PretendedHub()
    located = locate_set(pair_set, root, hub)
    assert isinstance(located, LocatedSet), located
    return read_pairs(located, hub)


def _real_user_set(folder: Path, shared: Path, table: str) -> GradedPairs:
    """A set that a user declares over a shared file that we do not declare."""
    return _read(catalog_of(folder, table, {}).pair_set("mine.xx"), shared / "data")


def _script(text: str, low: str, high: str) -> float:
    """Share of letters between two code points: of Greek in "αβγd" -> 0.75."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(low <= letter <= high for letter in letters) / max(1, len(letters))


def test_01_a_set_may_be_several_files_together(tmp_path: Path, real: Real) -> None:
    write(tmp_path, {f"{name}.tsv": f"sentence1\tsentence2\tscore\n{name}\tb\t1\n" for name in "pqr"})
    parts = "".join(f'[sets."mine.{name}"]\nfiles = "{name}.tsv"\n' for name in "rpq")
    write(tmp_path, {"xx.toml": f'{parts}[sets."mine.xx"]\nmembers = ["mine.p", "mine.q", "mine.r"]\n'})
    assert _read(load_catalog([tmp_path]).pair_set("mine.xx"), tmp_path).first == ["p", "q", "r"]
    parts_of_sick = [real(f"sickr.en@{split}") for split in ("train", "trial", "test")]
    assert real("sickr.all").scores == [score for part in parts_of_sick for score in part.scores]
    assert len(real("sickr.all").scores) == 9927


def test_02_a_blank_gold_line_is_a_pair_never_scored(tmp_path: Path, real: Real, shared: Path) -> None:
    files = {"i.txt": "a\tb\nc\td\ne\tf\ng\th\n", "g.txt": "\n2\n \n0\n"}
    table = 'files = ["i.txt", "g.txt"]\nreader = "parallel"'
    assert rows_of(read(tmp_path, f"{table}\nblank_scores = true", files)) == [("c", "d", 2.0), ("g", "h", 0.0)]
    with pytest.raises(DataError, match="blank_scores"):
        read(tmp_path, table, files)
    folder = shared / "data/STS/STS15-en-test"
    inputs = (folder / "STS.input.belief.txt").read_text(encoding="utf-8").split("\n")
    gold = (folder / "STS.gs.belief.txt").read_text(encoding="utf-8").split("\n")
    scored = [(line.split("\t")[0], float(score)) for line, score in zip(inputs, gold, strict=True) if score.strip()]
    belief = real("sts15.belief")
    assert list(zip(belief.first, belief.scores, strict=True)) == scored
    assert len(inputs) > 5 * len(scored)


def test_03_only_the_first_lines_may_be_scored_and_that_must_be_declared(tmp_path: Path, real: Real) -> None:
    files = {"i.txt": "".join(f"s{n}\tt{n}\n" for n in range(500)), "g.txt": "1.5\n" * 250}
    table = 'files = ["i.txt", "g.txt"]\nreader = "parallel"'
    pairs = read(tmp_path, f"{table}\nscored_lines = 250", files)
    assert pairs.first == [f"s{n}" for n in range(250)]
    with pytest.raises(DataError, match=r"500 lines against .* 250 lines"):
        read(tmp_path, table, files)
    with pytest.raises(DataError, match="250 lines where scored_lines = 249"):
        read(tmp_path, f"{table}\nscored_lines = 249", files)
    assert len(real("sts17.en-tr").scores) == 250


def test_04_the_order_of_columns_is_declared_not_guessed_from_a_name(tmp_path: Path, real: Real) -> None:
    table = 'languages = ["en", "xx"]\nfiles = "xx-en.tsv"'
    files = {"xx-en.tsv": "sentence1\tsentence2\tscore\nEnglish\tother\t1\n"}
    assert catalog_of(tmp_path, table, files).pair_set("mine.xx").languages == ("en", "xx")
    arabic = real("sts17.en-ar")
    assert _script(" ".join(arabic.first), "a", "z") > 0.9
    assert _script(" ".join(arabic.second), "\u0600", "\u06ff") > 0.9
    spanish, turkish = real("sts17.es-en"), real("sts17.en-tr")
    assert sum(letter in "ñáéíóúü" for letter in " ".join(spanish.first)) > 100
    assert not any(letter in "ñáéíóú" for letter in " ".join(spanish.second))
    assert sum(letter in "ığşçöü" for letter in " ".join(turkish.second)) > 500
    assert not any(letter in "ığş" for letter in " ".join(turkish.first))
    quality = CATALOG.pair_set("sts17.en-es-wmt")
    assert (quality.languages, quality.kind, quality.default) == (("en", "es"), "quality", False)
    assert quality not in CATALOG.sets_of("es") + CATALOG.sets_of("en")


def test_05_quotes_are_ordinary_where_files_are_not_quoted(tmp_path: Path, real: Real, shared: Path) -> None:
    lines = '"Quoted at the start only\tb\t1\nc\td"\t2\n"e"\tf\t3\n'
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]'
    assert read(tmp_path, table, {"p.tsv": lines}).first == ['"Quoted at the start only', "c", '"e"']
    with pytest.raises(DataError, match=r"line 1: 2 columns .*declare delimiter, quoted"):
        read(tmp_path, f"{table}\nquoted = true", {"p.tsv": lines})
    path = shared / "data/STS/STSBenchmark/sts-test.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.reader(file, delimiter="\t")) == 1119
    assert len(real("stsb.en").scores) == 1379
    assert any('"' in text for text in real("stsb.en").first)


def test_06_rows_may_be_longer_than_the_columns_that_are_read(tmp_path: Path, real: Real) -> None:
    lines = "g\tf\ty\t1\t2.5\ta\tb\ng\tf\ty\t2\t3.5\tc\td\tlicence\tlicence\n"
    pairs = read(tmp_path, 'files = "p.csv"\ndelimiter = "\\t"\nquoted = false\ncolumns = [5, 6, 4]', {"p.csv": lines})
    assert rows_of(pairs) == [("a", "b", 2.5), ("c", "d", 3.5)]
    assert [len(real(f"stsb.en{split}").scores) for split in ("@train", "@dev", "")] == [5749, 1500, 1379]


def test_07_a_quoted_file_without_header_and_with_crlf(tmp_path: Path, real: Real) -> None:
    lines = '"Yes, she said ""no"".",b,1.5\r\n"c\r\nd",e,2\r\n'
    pairs = read(tmp_path, 'files = "p.csv"\ncolumns = [0, 1, 2]', {"p.csv": lines})
    assert rows_of(pairs) == [('Yes, she said "no".', "b", 1.5), ("c\r\nd", "e", 2.0)]
    german = real("stsb_mt.de")
    assert not any("\r" in text for text in german.first + german.second)
    assert sum("," in text for text in german.first) > 100


def test_08_tabs_quoting_and_line_breaks_in_cells_are_separate_choices(tmp_path: Path) -> None:
    lines = 'sentence1\tsentence2\tscore\n"two\nlines"\t"a\ttab"\t1\nx\ty\t2\n'
    pairs = read(tmp_path, 'files = "p.tsv"\nquoted = true', {"p.tsv": lines})
    assert rows_of(pairs) == [("two\nlines", "a\ttab", 1.0), ("x", "y", 2.0)]
    with pytest.raises(DataError, match="line 4: score"):
        read(tmp_path, 'files = "p.tsv"\nquoted = true', {"p.tsv": lines.replace("\t2\n", "\tz\n")})


def test_09_a_column_named_score_need_not_be_the_score(tmp_path: Path, real: Real) -> None:
    lines = "score,correlation,text_1,text_2\n0024,2.5,a,b\n"
    pairs = read(tmp_path, 'files = "p.csv"\ncolumns = ["text_1", "text_2", "correlation"]', {"p.csv": lines})
    assert rows_of(pairs) == [("a", "b", 2.5)]
    assert real("stsb_google.id").scores == real("stsb.en").scores


def test_10_scores_of_many_digits_and_columns_in_any_order(tmp_path: Path, real: Real) -> None:
    lines = "3.5999999999999996\ta\tb\n"
    pairs = read(tmp_path, 'files = "p.tsv"\ncolumns = [1, 2, 0]', {"p.tsv": lines})
    assert rows_of(pairs) == [("a", "b", 3.5999999999999996)]
    english = real("stsb.en").scores
    for name in ("stsb_google.th", "rosts.ro", "stsb_google.sv"):
        assert real(name).scores == pytest.approx(english)


def test_11_scales_differ_and_are_declared(tmp_path: Path, real: Real) -> None:
    with pytest.raises(DataError, match="outside 0 to 1"):
        read(tmp_path, 'files = "p.tsv"\nscore_range = [0, 1]', {"p.tsv": "sentence1\tsentence2\tscore\na\tb\t3\n"})
    scales = {"mstsb_google.ar": (0, 1), "semrel24.eng": (0, 1), "sickr.all": (1, 5), "assin2.pt": (1, 5)}
    for name, scale in {**scales, "sts14_es.all": (0, 4), "stsb.en": (0, 5)}.items():
        assert CATALOG.pair_set(name).score_range == scale
    assert len(real("mstsb_google.ar").scores) == 1377


def test_12_a_byte_order_mark_and_crlf_are_no_text(tmp_path: Path, real: Real) -> None:
    lines = "\ufeffsentence1\tsentence2\tscore\r\na\tb\t1\r\n"
    assert rows_of(read(tmp_path, 'files = "p.tsv"', {"p.tsv": lines})) == [("a", "b", 1.0)]
    for name in ("sick_br.pt", "sickr.en@test", "stsb_google.sv", "stsb_mt.fr"):
        pairs = real(name)
        assert not any("\r" in text or "\ufeff" in text for text in pairs.first + pairs.second)


def test_13_translations_stand_beside_their_originals(tmp_path: Path, shared: Path) -> None:
    lines = "\ufeff,sentence1,sentence2,score,s1_translation,s2_translation\r\n5,A dog.,A cat.,1.5,bir it,bir pisik\r\n"
    table = 'columns = ["s1_translation", "s2_translation", "score"]\n'
    assert rows_of(read(tmp_path, f'{table}files = "p.csv"', {"p.csv": lines})) == [("bir it", "bir pisik", 1.5)]
    uyghur = _real_user_set(tmp_path, shared, f'{table}files = "Kardes-NLU/uyghur/sts.test.ug.csv"\npairs = 800')
    assert _script(" ".join(uyghur.first), "\u0400", "\u04ff") > 0.9


def test_14_one_cell_holds_both_sentences(tmp_path: Path, real: Real, shared: Path) -> None:
    table = 'files = "p.csv"\ncolumns = ["Text", "Score"]\nseparator = "\\n"'
    lines = 'PairID,Text,Score\nX-1,"One, here.\n Two.",0.5\nX-2,"Three\r\nfour",1\n'
    assert rows_of(read(tmp_path, table, {"p.csv": lines})) == [("One, here.", "Two.", 0.5), ("Three", "four", 1.0)]
    with pytest.raises(DataError, match="line 2: cell has 1 parts"):
        read(tmp_path, table, {"p.csv": 'PairID,Text,Score\nX-1,"One.\tTwo.",0.5\n'})
    tab = (
        'files = "SemRel2024/afr/afr_test_with_labels.csv"\ncolumns = ["Text", "Score"]\nseparator = "\\t"\npairs = 375'
    )
    lower = (
        'files = "SemRel2024/afr/afr_dev_with_labels.csv"\ncolumns = ["Text", "score"]\nseparator = "\\n"\npairs = 375'
    )
    swapped = (
        'files = "SemRel2024/pan/pan_test_with_labels.csv"\ncolumns = ["Text", "Score"]\nseparator = "\\n"\npairs = 634'
    )
    for declared in (tab, lower, swapped):
        assert max(_real_user_set(tmp_path, shared, declared).scores) <= 1
    assert not any(name.startswith("semrel24.pan") for name in _names())
    assert all("\n" not in text for text in real("semrel24.arb@dev").first)


def test_15_relatedness_is_told_from_similarity() -> None:
    kinds = {each.kind for each in CATALOG.all_sets() if each.family == "semrel24"}
    assert kinds == {"relatedness"}
    assert not any(each.kind == "relatedness" for each in CATALOG.all_sets() if each.family != "semrel24")


def test_16_json_lines_may_be_named_json(tmp_path: Path, real: Real) -> None:
    lines = '{"sentence1": "一", "sentence2": "二", "label": 1.5}\n{"sentence1": "三", "sentence2": "四", "label": 2}\n'
    table = 'files = "p.json"\ncolumns = ["sentence1", "sentence2", "label"]'
    pairs = read(tmp_path, f'{table}\nreader = "jsonl"', {"p.json": lines})
    assert rows_of(pairs) == [("一", "二", 1.5), ("三", "四", 2.0)]
    with pytest.raises(DataError, match="jsonl"):
        read(tmp_path, table, {"p.json": lines})
    assert len(real("jsts.ja@valid").scores) == 1457


def test_17_text_is_left_as_its_authors_tokenised_it(tmp_path: Path, real: Real) -> None:
    lines = " La casa , grande .\tOtra casa .\t1\n"
    assert read(tmp_path, 'files = "p.tsv"\ncolumns = [0, 1, 2]', {"p.tsv": lines}).first == [" La casa , grande ."]
    spanish = real("sts14_es.all")
    assert sum(" ." in text for text in spanish.first) > 700


def test_18_members_are_listed_not_globbed(tmp_path: Path, real: Real) -> None:
    write(tmp_path, {"STS.gs.ALL.txt": "1\n" * 9, "STS.gs.a.txt": "1\n", "STS.input.a.txt": "x\ty\n"})
    write(tmp_path, {"xx.toml": '[sets."m.a"]\nreader = "parallel"\nfiles = ["STS.input.a.txt", "STS.gs.a.txt"]\n'})
    assert len(_read(load_catalog([tmp_path]).pair_set("m.a"), tmp_path).scores) == 1
    sizes = {
        name: len(real(name).scores)
        for name in ("sts12.all", "sts13.all", "sts13.FNWN", "sts13.headlines", "sts13.OnWN")
    }
    assert list(sizes.values()) == [3108, 1500, 189, 750, 561]


def test_19_duplicates_are_kept_as_released(tmp_path: Path, real: Real) -> None:
    lines = "sentence1\tsentence2\tscore\n" + "a\tb\t1\na\tb\t2\n"
    assert len(read(tmp_path, 'files = "p.tsv"', {"p.tsv": lines}).scores) == 2
    europarl = real("sts12.SMTeuroparl")
    assert len(europarl.scores) - len(set(zip(europarl.first, europarl.second, strict=True))) == 142


def test_20_sets_say_whose_texts_they_hold(tmp_path: Path, real: Real) -> None:
    files = {"p.tsv": "sentence1\tsentence2\tscore\n"}
    assert catalog_of(tmp_path, 'files = "p.tsv"', files).pair_set("mine.xx").texts == ("mine",)
    stsb = {
        text
        for split in ("", "@dev", "@train")
        for text in real(f"stsb.en{split}").first + real(f"stsb.en{split}").second
    }
    bare = {"".join(letter for letter in text.casefold() if letter.isalnum()) for text in stsb}
    for pair_set in CATALOG.all_sets():
        if pair_set.family in {"sts12", "sts13", "sts14", "sts15", "sts16"} or pair_set.name == "sts17.en-en":
            texts = {
                "".join(letter for letter in text.casefold() if letter.isalnum()) for text in real(pair_set.name).first
            }
            assert ("stsb" in pair_set.texts) == (len(texts & bare) > 0.01 * len(texts)), pair_set.name
    english = real("stsb.en").scores
    for name in ("stsb_mt.de", "stsb_mt.zh", "stsb_google.tr", "stsb_azure.tr", "korsts.ko", "rosts.ro"):
        assert "stsb" in CATALOG.pair_set(name).texts
        assert real(name).scores == pytest.approx(english)


def test_21_extra_columns_and_no_final_newline(tmp_path: Path, real: Real) -> None:
    files = {"i.txt": "a\tb\nc\td\textra\n", "g.txt": "1\n2"}
    pairs = read(tmp_path, 'files = ["i.txt", "g.txt"]\nreader = "parallel"', files)
    assert rows_of(pairs) == [("a", "b", 1.0), ("c", "d", 2.0)]
    assert len(real("sts_cz.headlines").scores) == 575


def test_22_one_source_may_have_several_translations(real: Real) -> None:
    first, second, third = (real(f"{name}.tr") for name in ("stsb_google", "stsb_azure", "mstsb_google"))
    assert first.scores == pytest.approx(second.scores)
    assert sum(a == b for a, b in zip(first.first, second.first, strict=True)) < 900
    assert len(third.scores) == 1377


def test_23_columns_are_found_by_name_wherever_they_stand(tmp_path: Path, real: Real) -> None:
    table = 'files = "p.txt"\ncolumns = ["sentence_A", "sentence_B", "relatedness_score"]'
    label_first = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\n1\ta\tb\tNEUTRAL\t4.5\n"
    score_first = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_label\n1\ta\tb\t4.5\tNEUTRAL\n"
    for lines in (label_first, score_first):
        assert rows_of(read(tmp_path, table, {"p.txt": lines})) == [("a", "b", 4.5)]
    sizes = {name: len(real(name).scores) for name in ("sick_pl.pl", "sick_nl.nl", "sick_br.pt", "jsick.ja")}
    assert sizes == {"sick_pl.pl": 4906, "sick_nl.nl": 4906, "sick_br.pt": 4906, "jsick.ja": 4927}


def test_24_translation_pairs_without_grades_are_no_pair_sets() -> None:
    assert not any(name.startswith(("tatoeba", "bucc")) for name in _names())


def test_25_another_encoding_is_declared(tmp_path: Path) -> None:
    lines = "sentence1\tsentence2\tscore\nEl Niño\tcafé\t1\n".encode("latin-1")
    pairs = read(tmp_path, 'files = "p.tsv"\nencoding = "latin-1"', {"p.tsv": lines})
    assert rows_of(pairs) == [("El Niño", "café", 1.0)]
    with pytest.raises(DataError, match=r"line 2, column 6: byte 0xf1 is not UTF-8"):
        read(tmp_path, 'files = "p.tsv"', {"p.tsv": lines})


def test_26_triplets_out_of_snli_are_not_evaluated_on() -> None:
    assert not any(name.startswith(("nli", "snli", "xnli")) for name in _names())


def _names() -> list[str]:
    return [pair_set.name for pair_set in CATALOG.all_sets()]
