"""Which folders of a table are parts that have to be whole."""

from pathlib import Path

import pytest

from lakebed.stores.series.clickhouse.part_files import PartFiles


@pytest.mark.parametrize(
    "name",
    [
        "tmp_insert_202701_1_1_0",
        "tmp_merge_202701_1_2_1",
        "delete_tmp_202701_1_1_0",  # merged away: the engine is removing its files
        "detached",
    ],
)
def test_what_is_on_its_way_in_or_out_is_no_part(tmp_path: Path, name: str) -> None:
    parts = PartFiles(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert parts.broken() == []


def test_what_the_engine_had_opened_is_not_judged_again(tmp_path: Path) -> None:
    (tmp_path / "all_1_1_0").mkdir()
    assert PartFiles(tmp_path).broken() == []


@pytest.mark.parametrize(
    ("listed", "data", "whole"),
    [
        (b"checksums format version: 5\n...", b"x", True),  # of a later engine
        (b"checksums format version: 5\n...", b"", False),
        (b"checksums format version: 4\n" + b"x" * 12, b"x", False),
        (b"checksums format version", b"x", False),
        (b"", b"x", False),
    ],
)
def test_a_list_that_cannot_be_read_condemns_a_part_only_if_it_is_cut_off(
    tmp_path: Path, listed: bytes, data: bytes, whole: bool
) -> None:
    parts = PartFiles(tmp_path)
    part = tmp_path / "all_1_1_0"
    part.mkdir()
    (part / "checksums.txt").write_bytes(listed)
    (part / "data.bin").write_bytes(data)
    assert (parts.broken() == []) == whole


@pytest.mark.parametrize("name", ["202701_1_1_0", "all_1_4_1", "20270131_7_7_0_9"])
def test_a_part_without_the_list_of_its_files_is_broken(tmp_path: Path, name: str) -> None:
    parts = PartFiles(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert parts.broken() == [name]
    assert parts.broken() == []  # told of once
