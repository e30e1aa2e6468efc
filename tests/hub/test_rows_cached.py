"""Finding the tables that `datasets` keeps: the right commit, configuration and split, and only whole ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsg.config.catalog import HubSource
from mlsg.hub import libraries
from mlsg.hub.rows import cached_table

COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(libraries, "datasets_cache", lambda: tmp_path / "datasets")
    monkeypatch.setattr(libraries, "hub_cache", lambda: tmp_path / "hub")
    return tmp_path / "datasets"


def keep(cache: Path, folder: str, *names: str) -> list[Path]:
    files = [cache / folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_nothing_is_found_where_nothing_is(cache: Path) -> None:
    assert cached_table(HubSource("owner/name"), COMMIT) == []


@pytest.mark.parametrize("name", ["STSBenchmarkv2", "sts17-crosslingual-sts", "KorSTS", "a_b", "STS_22.v2", "x"])
def test_the_folder_is_the_one_that_datasets_makes(cache: Path, name: str) -> None:
    from datasets.naming import camelcase_to_snakecase

    stem = camelcase_to_snakecase(name)
    files = keep(cache, f"owner___{stem}/default/0.0.0/{COMMIT}", f"{stem}-test.arrow")
    keep(cache, f"other___{stem}/default/0.0.0/{COMMIT}", f"{stem}-test.arrow")
    keep(cache, f"owner___{stem}-more/default/0.0.0/{COMMIT}", f"{stem}-more-test.arrow")
    assert cached_table(HubSource(f"owner/{name}"), COMMIT) == files
    assert cached_table(HubSource(f"owner/{name}"), "d" * 40) == []
    assert cached_table(HubSource(f"owner/{name}", split="train"), COMMIT) == []


def test_shards_are_all_there_and_in_order(cache: Path) -> None:
    folder = f"owner___big/20231101.tr/0.0.0/{COMMIT}"
    files = keep(cache, folder, *(f"big-train-{n:05d}-of-00012.arrow" for n in range(12)))
    keep(cache, folder, "big-test.arrow", "big-train-00000-of-00012.arrow.lock", "dataset_info.json")
    source = HubSource("owner/big", config="20231101.tr", split="train")
    assert cached_table(source, COMMIT) == files
    files[7].unlink()
    assert cached_table(source, COMMIT) == []


def test_without_a_card_the_only_configuration_is_the_unnamed_one(cache: Path) -> None:
    files = keep(cache, f"owner___legacy/plain_text/1.0.0/{COMMIT}", "legacy-test.arrow")
    assert cached_table(HubSource("owner/legacy"), COMMIT) == files
    keep(cache, f"owner___legacy/another/1.0.0/{COMMIT}", "legacy-test.arrow")
    assert cached_table(HubSource("owner/legacy"), COMMIT) == []
    assert cached_table(HubSource("owner/legacy", config="plain_text"), COMMIT) == files
