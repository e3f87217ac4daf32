import pytest

from lakebed.vocabulary.owners import check_known, is_slug


@pytest.mark.parametrize("owner", ["a", "7", "plant", "plant-3", "3-plants", "a-", "a" * 39])
def test_a_slug_is_lower_case_letters_digits_and_hyphens(owner: str) -> None:
    assert is_slug(owner)


@pytest.mark.parametrize(
    "owner",
    ["", "-a", "Plant", "plant_3", "plant.3", "a/b", "a@b", "a b", "a\n", "ä", "٣", "a" * 40],
)
def test_nothing_else_is_one(owner: str) -> None:
    assert not is_slug(owner)


@pytest.mark.parametrize("owner", ["Plant_A", "ann@works", "x" * 64])
def test_names_of_earlier_versions_are_known(owner: str) -> None:
    assert check_known(owner) == owner


@pytest.mark.parametrize("owner", ["", "a\0b"])
def test_no_version_ever_allowed_these(owner: str) -> None:
    with pytest.raises(ValueError, match="not empty"):
        check_known(owner)
