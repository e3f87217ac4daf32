"""Secrets that are stored encrypted."""

from pathlib import Path

import pytest

from lakebed.system.sealing import Sealer, Unsealable, sealer_of

KEY = "k" * 32


def test_what_is_sealed_opens_for_the_same_purpose_and_place_alone() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", "totp", "ann")
    assert b"secret" not in sealed
    assert sealed != sealer.seal(b"secret", "totp", "ann")
    assert sealer.open(sealed, "totp", "ann") == b"secret"
    for purpose, place in (("totp", "eve"), ("key", "ann")):
        with pytest.raises(Unsealable):
            sealer.open(sealed, purpose, place)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"x" * 12, b"\x02" + b"x" * 40])
def test_what_was_never_sealed_or_changed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Unsealable):
        Sealer(KEY).open(sealed, "totp", "ann")


def test_another_key_says_what_to_do() -> None:
    sealed = Sealer(KEY).seal(b"secret", "totp", "ann")
    with pytest.raises(Unsealable, match=r"auth\.secret_key"):
        Sealer("x" * 32).open(sealed, "totp", "ann")


def test_the_key_of_a_home_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sealed = sealer_of(home, None).seal(b"secret", "totp", "ann")
    assert sealer_of(home, None).open(sealed, "totp", "ann") == b"secret"
    assert (home / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == ["secret.key"]
    with pytest.raises(Unsealable):
        sealer_of(home, KEY).open(sealed, "totp", "ann")
