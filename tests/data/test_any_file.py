"""Any bytes under any name, however they are asked for: texts, or one line that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.config import catalog
from mlsg.data.sources import Reading, stream_sources
from mlsg.errors import DataError, MlsgError, SettingError
from tests.data.test_packed import PACK
from tests.data.written import read
from tests.fuzzing import assert_short_line, tried

_KINDS = ["txt", "csv", "tsv", "json", "jsonl", "xml", "parquet", "arrow", "feather", "CSV", "odd", ""]
_COLUMNS = ["sentence", "text", "a", "a.b", "", ".", "0", "1", "-1", "²", "@a", "*", "../a", "a[1]", "9" * 5000, "é\0"]
_PIECES = st.sampled_from(
    [
        *(
            "a",
            "é",
            "\0",
            "\ufeff",
            '"',
            '""',
            "\t",
            ",",
            ";",
            "\n",
            "\r",
            "\r\n",
            "\u2028",
            "sentence",
            "text",
            "1e999",
        ),
        *("[", "]", "{", "}", ":", "null", '{"text": "a"}', '{"a": {"b": 1}}', "[" * 3000, "1" * 5000, '"\\ud800"'),
        *("<a>", "</a>", "<text>x</text>", "<!DOCTYPE a [<!ENTITY x 'y'>]>", "&x;", "<?xml version='1.0'?>", "&#0;"),
    ]
)
_CONTENTS = st.one_of(
    st.lists(_PIECES, max_size=25).map(lambda pieces: "".join(pieces).encode()),
    st.lists(_PIECES, max_size=25).map(lambda pieces: "".join(pieces).encode("utf-16")),
    st.binary(max_size=80),
    st.sampled_from([b"PAR1", b"ARROW1", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"]).flatmap(
        lambda start: st.binary(max_size=60).map(lambda rest: start + rest)
    ),
)
_PACKINGS: dict[str, Callable[[bytes], bytes]] = {"": bytes, **PACK}


def _assert_one_line(error: MlsgError, folder: Path) -> None:
    assert isinstance(error, DataError | SettingError)
    assert_short_line(error, 1200 + 3 * len(str(folder)))


@tried(200)
@given(
    content=_CONTENTS,
    kind=st.sampled_from(_KINDS),
    suffix=st.sampled_from([*_PACKINGS]),
    honest=st.booleans(),
    column=st.sampled_from(_COLUMNS) | st.text(max_size=6),
    delimiter=st.sampled_from(["", "", ",", ";", "\\t", '"', "\n", "ab"]) | st.text(max_size=2),
    quoted=st.sampled_from([None, True, False]),
    encoding=st.sampled_from(["", "", "utf-16", "latin-1", "cp1252", "utf-8-sig", "utf-7", "rot13"]),
)
def test_any_source_is_read_or_refused(
    tmp_path: Path,
    content: bytes,
    kind: str,
    suffix: str,
    honest: bool,
    column: str,
    delimiter: str,
    quoted: bool | None,
    encoding: str,
) -> None:
    path = tmp_path / f"file.{kind}{suffix}"
    path.write_bytes(_PACKINGS[suffix](content) if honest else content)
    try:
        texts = list(stream_sources([path], column, Reading(delimiter, quoted, encoding)))
    except MlsgError as error:
        _assert_one_line(error, tmp_path)
    else:
        assert all(isinstance(text, str) for text in texts)


@tried(120)
@given(
    content=_CONTENTS,
    kind=st.sampled_from(_KINDS[:8]),
    suffix=st.sampled_from([*_PACKINGS]),
    columns=st.sampled_from([None, [0, 1, 2], ["a", "b", "c"], ["a.b", "@a", "text"], [-1, 10**9, 0]]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "quoted": st.booleans(),
            "header": st.booleans(),
            "decimal": st.sampled_from([".", ","]),
            "encoding": st.sampled_from(["utf-16", "latin-1"]),
            "blank_scores": st.booleans(),
            "score_range": st.just([0, 5]),
        },
    ),
)
def test_any_file_of_pairs_is_read_or_refused(
    tmp_path: Path, content: bytes, kind: str, suffix: str, columns: list[Any] | None, options: dict[str, Any]
) -> None:
    name = f"p.{kind}{suffix}"
    table = {"files": name, **({"columns": columns} if columns else {}), **options}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    try:
        with pytest.MonkeyPatch.context() as patch:  # ours take their time
            patch.setattr(catalog, "resource_folder", lambda name: tmp_path / name)
            pairs = read(tmp_path, lines, {name: _PACKINGS[suffix](content)})
    except MlsgError as error:
        _assert_one_line(error, tmp_path)
    else:
        assert len(pairs.first) == len(pairs.second) == len(pairs.scores) > 0
