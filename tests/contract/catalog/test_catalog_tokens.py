import pytest

from lakebed.ports import Identity
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound

ANN = Identity("ann", "phone", publish=("plant/#", 'a,b/"c"'), read=(), admin=False)


def test_a_token_tells_who_holds_it(catalog: SqlCatalog) -> None:
    token = catalog.add_token(ANN)
    assert catalog.identify(token) == ANN
    assert catalog.identify(token + "x") is None
    assert catalog.identify("") is None
    assert catalog.identify("\udcff\0") is None


def test_tokens_are_long_and_never_the_same(catalog: SqlCatalog) -> None:
    made = {catalog.add_token(Identity("ann", f"t{i}")) for i in range(20)}
    assert len(made) == 20
    assert all(len(token) >= 43 for token in made)  # 256 bits in base64


def test_a_token_may_be_given(catalog: SqlCatalog) -> None:
    admin = Identity("admin", "first", admin=True)
    assert catalog.add_token(admin, "chosen elsewhere") == "chosen elsewhere"
    assert catalog.identify("chosen elsewhere") == admin
    with pytest.raises(Invalid):
        catalog.add_token(ANN, "")


def test_a_name_is_an_owners_only_once(catalog: SqlCatalog) -> None:
    first = catalog.add_token(ANN)
    with pytest.raises(Conflict, match="'phone'"):
        catalog.add_token(ANN)
    catalog.add_token(Identity("bob", "phone"))
    assert catalog.identify(first) == ANN


def test_one_token_cannot_belong_to_two(catalog: SqlCatalog) -> None:
    catalog.add_token(ANN, "the same")
    with pytest.raises(Conflict):
        catalog.add_token(Identity("bob", "phone"), "the same")
    assert catalog.identify("the same") == ANN


def test_a_revoked_token_is_nobodys_and_its_name_is_free(catalog: SqlCatalog) -> None:
    token = catalog.add_token(ANN)
    catalog.revoke_token("ann", "phone")
    assert catalog.identify(token) is None
    assert catalog.tokens() == []
    with pytest.raises(NotFound, match="'phone'"):
        catalog.revoke_token("ann", "phone")
    assert catalog.identify(catalog.add_token(ANN)) == ANN


def test_tokens_are_listed_by_owner_and_name_without_themselves(catalog: SqlCatalog) -> None:
    holders = [Identity("ann", "a"), Identity("ann", "b", admin=True), Identity("bob", "a")]
    for holder in reversed(holders):
        catalog.add_token(holder)
    assert catalog.tokens() == holders
