"""Which folders of a table are parts that have to be whole."""

from pathlib import Path

import pytest

from lakebed.series.parts import Parts


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
    (tmp_path / name).mkdir(parents=True)
    assert Parts(tmp_path).broken() == []


@pytest.mark.parametrize("name", ["202701_1_1_0", "all_1_4_1", "20270131_7_7_0_9"])
def test_a_part_without_the_list_of_its_files_is_broken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    parts = Parts(tmp_path)
    assert parts.broken() == [name]
    assert parts.broken() == []  # told of once
