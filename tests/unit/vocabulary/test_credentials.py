from lakebed.vocabulary.credentials import PREFIX, digest, is_mistyped, new_secret


def test_a_token_has_a_form_that_scanners_find() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert secret.startswith(PREFIX)
        assert len(secret) == 43
        assert secret[3:].isalnum()
        assert not is_mistyped(secret)


def test_a_mistyped_token_is_known_without_asking_the_catalog() -> None:
    secret = new_secret()
    for place in (3, 20, 42):
        other = "a" if secret[place] != "a" else "b"
        assert is_mistyped(secret[:place] + other + secret[place + 1 :])


def test_tokens_of_earlier_versions_are_looked_up() -> None:
    for secret in ("", "lb_", "lb_" + "x" * 43, "lb_" + "-" * 40, "chosen elsewhere", "x" * 43):
        assert not is_mistyped(secret)
    assert digest("a") != digest("b")
    assert len(digest("\udcff\0")) == 32
