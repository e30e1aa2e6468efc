"""Text of declared corpora: order, repetitions, files before the hub, and what is said when there is none."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsg.config.catalog import Corpus, HubSource, load_catalog
from mlsg.data.corpora import stream_corpus
from mlsg.errors import DataError, HubUnreachableError, SettingError
from tests.data.written import PretendedHub, write

ENGLISH = load_catalog().language("en")


def _corpus(folder: Path, table: str, files: dict[str, str | bytes]) -> Corpus:
    write(folder, {**files, "xx.toml": f'code = "xx"\n[corpora.mine]\n{table}\n'})
    return load_catalog([folder]).language("xx").corpus()


def _texts(corpus: Corpus, root: Path | None = None, hub: PretendedHub | None = None) -> list[str]:
    return list(stream_corpus(corpus, root, hub or PretendedHub())[1])


def test_a_text_file_is_one_sentence_a_line(tmp_path: Path) -> None:
    lines = "\ufeffOne\u2028 sentence.\r\n\n  \nتاسو څنګه یاست؟\nOne\u2028 sentence.\nlast"
    expected = ["One\u2028 sentence.", "تاسو څنګه یاست؟", "One\u2028 sentence.", "last"]
    assert _texts(_corpus(tmp_path / "a", 'files = "s.txt"', {"s.txt": lines})) == expected
    assert _texts(_corpus(tmp_path / "b", 'files = "s.txt"', {"s.txt.xz": lzma.compress(lines.encode())})) == expected


def test_several_files_and_columns_follow_one_another_row_by_row(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"p.tsv": "a\tb\n1\t2\n3\t4\n", "q.tsv": "b\ta\n6\t5\n"}
    assert _texts(_corpus(tmp_path, 'files = ["p.tsv", "q.tsv"]\ncolumns = ["a", "b"]', files)) == list("123456")


def test_a_json_lines_corpus_takes_its_text_column(tmp_path: Path) -> None:
    lines = '{"text": "one\\ntwo"}\n{"text": "three"}\n'
    assert _texts(_corpus(tmp_path, 'files = "s.jsonl"', {"s.jsonl": lines})) == ["one\ntwo", "three"]


def test_the_papers_sentences_are_both_columns_of_all_three_splits(shared: Path) -> None:
    texts = _texts(ENGLISH.corpus("stsb"), shared / "data")
    assert len(texts) == 17_256
    rows = (shared / "data/STS/STSBenchmark/sts-train.csv").read_text(encoding="utf-8").split("\n")[:3]
    assert texts[:6] == [column.rstrip("\r") for row in rows for column in row.split("\t")[5:7]]
    assert len(set(texts)) < len(texts)


def test_the_inductive_twin_is_the_train_split_only(shared: Path) -> None:
    assert (
        _texts(ENGLISH.corpus("stsb_train"), shared / "data")
        == _texts(ENGLISH.corpus("stsb"), shared / "data")[:11_498]
    )


def test_the_hub_serves_every_split_in_order(tmp_path: Path) -> None:
    hub = PretendedHub({"mteb/stsbenchmark-sts": [{"sentence1": "a", "sentence2": "b"}]})
    assert _texts(ENGLISH.corpus("stsb"), None, hub) == ["a", "b"] * 3
    assert [source.split for source in hub.asked] == ["train", "validation", "test"]


def test_wikipedia_is_streamed_and_not_fetched_first() -> None:
    class Endless(PretendedHub):
        def stream(self, source: object) -> Iterator[dict[str, str]]:
            while True:
                yield {"text": "An article.\n\nIts second paragraph."}

    _, texts = stream_corpus(load_catalog().language("sv").corpus(), None, Endless({"wikimedia/wikipedia": []}))
    assert next(texts) == "An article.\n\nIts second paragraph."


def test_the_fingerprint_follows_bytes_and_revision(tmp_path: Path) -> None:
    def of(name: str, text: str, table: str = "") -> str:
        return stream_corpus(
            _corpus(tmp_path / name, f'files = "s.txt"\n{table}', {"s.txt": text}), None, PretendedHub()
        )[0]

    first = of("one", "a\nb\n")
    assert of("two", "a\nb\n") == first
    assert of("three", "a\nb\n", 'licence = "CC0"\ndefault = true') == first
    assert len({first, of("four", "a\nc\n"), of("five", "a\nb\n", "documents = true")}) == 3
    hub = PretendedHub({"wikimedia/wikipedia": []})
    prints = {
        stream_corpus(load_catalog().language(code).corpus("wikipedia"), None, hub)[0] for code in ("es", "sv", "en")
    }
    assert len(prints) == 3


def test_no_text_anywhere_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HubUnreachableError) as caught:
        stream_corpus(ENGLISH.corpus("stsb"), tmp_path, PretendedHub(why="no network here"))
    for words in ("sts-train.csv is not under", "mteb/stsbenchmark-sts", "no network here", "--source"):
        assert words in str(caught.value)
    assert str(caught.value).count("data set") == 1
    with pytest.raises(DataError, match=r"s\.txt is not under"):
        stream_corpus(_corpus(tmp_path, 'files = "s.txt"', {}), None, PretendedHub())
    with pytest.raises(SettingError, match="--data-root"):
        stream_corpus(ENGLISH.corpus("stsb"), tmp_path / "nowhere", PretendedHub())


def test_a_data_set_that_the_hub_does_not_give_out_is_no_matter_of_the_network(tmp_path: Path) -> None:
    class Refusing(PretendedHub):
        def check(self, source: HubSource) -> str:
            raise DataError(f"data set {source.path} is gated", "accept its terms and set HF_TOKEN")

    with pytest.raises(DataError) as caught:
        stream_corpus(ENGLISH.corpus("stsb"), tmp_path, Refusing())
    assert caught.value.exit_code == 3
    assert caught.value.problem.endswith("; data set mteb/stsbenchmark-sts is gated")
    assert caught.value.remedy.startswith("accept its terms and set HF_TOKEN, or give --source")


def test_a_bad_line_is_named_when_it_is_reached(tmp_path: Path) -> None:
    _, texts = stream_corpus(_corpus(tmp_path, 'files = "s.txt"', {"s.txt": b"one\n\xff\n"}), None, PretendedHub())
    assert next(texts) == "one"
    with pytest.raises(DataError, match="line 2"):
        next(texts)
