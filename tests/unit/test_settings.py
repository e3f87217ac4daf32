import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.runtime.settings import load
from lakebed.section import split_address
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary.errors import SettingsError
from lakebed.vocabulary.sizes import parse_size
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from a home that somebody may have beside the sources."""
    monkeypatch.chdir(tmp_path)


def written(folder: Path, text: str) -> Path:
    path = folder / "lakebed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(file: Path | None = None, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file, environment)
    return str(caught.value)


def test_nothing_said_means_the_defaults(tmp_path: Path) -> None:
    settings = load(environment={"LAKEBED__HOME": str(tmp_path)})
    assert settings.http.listen == "127.0.0.1:8080"
    assert settings.mqtt.listen == "127.0.0.1:1883"
    assert settings.journal.span == HOUR
    assert settings.home == tmp_path


def test_the_file_of_the_home_is_read(tmp_path: Path) -> None:
    written(tmp_path, "[limits]\npayload = '1KiB'\n")
    assert load(environment={}, flags={"home": tmp_path}).limits.payload == 1024
    assert load(environment={"LAKEBED__HOME": str(tmp_path)}).limits.payload == 1024


@pytest.mark.parametrize(
    "text", ["http://a.example,http://b.example:3000", " http://a.example , http://b.example:3000,"]
)
def test_the_environment_has_lists_with_commas(text: str) -> None:
    settings = load(
        environment={"LAKEBED__HTTP__CORS": text, "LAKEBED__AUTH__PROXIES": "10.0.0.0/8"}
    )
    assert settings.http.cors == ("http://a.example", "http://b.example:3000")
    assert settings.auth.proxies == ("10.0.0.0/8",)
    assert load(environment={"LAKEBED__HTTP__CORS": ""}).http.cors == ()


def test_an_entry_of_a_list_in_the_environment_is_checked(tmp_path: Path) -> None:
    assert "http.cors" in problem(None, LAKEBED__HTTP__CORS="http://a.example,b")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[http]\nlisten = ':1'\nmax_body = 1\n[journal]\nspan = '1m'\n")
    environment = {"LAKEBED__HTTP__LISTEN": ":2", "LAKEBED__HTTP__MAX_BODY": "2", "OTHER": "x"}
    settings = load(file, environment, {"http": {"listen": ":3", "max_body": None}})
    assert settings.http.listen == ":3"
    assert settings.http.max_body == 2  # a flag that was not given says nothing
    assert settings.journal.span == MINUTE


def test_an_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    file = written(tmp_path, "[http]\nport = 80\n[colour]\nred = 1\n")
    told = problem(file)
    assert "http.port: there is no such setting" in told
    assert "colour: there is no such setting" in told
    assert str(file) in told
    assert "LAKEBED__JOURNAL__SPAM" in problem(LAKEBED__JOURNAL__SPAM="1h")


def test_a_file_that_is_missing_is_refused_where_it_was_named(tmp_path: Path) -> None:
    assert "cannot be read" in problem(tmp_path / "missing.toml")


@pytest.mark.parametrize("content", [b"[http\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lakebed.toml"
    path.write_bytes(content)
    assert str(path) in problem(path)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("journal = 1", "journal"),
        ("[http]\nlisten = 8080", "http.listen"),
        ("[http]\nlisten = 'localhost'", "http.listen"),
        ("[http]\nlisten = 'localhost:99999'", "http.listen"),
        ("[http]\nlisten = '::1:80'", "http.listen"),
        ("[http]\nlisten = 'localhost:८०'", "http.listen"),
        ("[journal]\nlimit = '10 gigabytes'", "journal.limit"),
        ("[journal]\nlimit = -1", "journal.limit"),
        ("[journal]\nspan = '1 fortnight'", "journal.span"),
        ("[journal]\nspan = 3600", "journal.span"),  # seconds? microseconds? say it
        ("[journal]\nspan = true", "journal.span"),
        (f"[journal]\nspan = '1{'0' * 400}s'", "journal.span"),
        ("[mqtt]\nreceive_maximum = 65536", "mqtt.receive_maximum"),
        ("[keeper]\ntimezone = 'Mars/Olympus'", "keeper.timezone"),
        ("[keeper]\ntimezone = 'America'", "keeper.timezone"),
        ("[keeper]\ntimezone = '../zone'", "keeper.timezone"),
        ("[keeper]\ntimezone = ''", "keeper.timezone"),
        ("[[sources]]\nname = 'a b'\nurl = 'mqtt://x'\ntopics = ['#']", "sources.0.name"),
        ("[[sources]]\nname = 'a'\nurl = 'mqtt://x'\ntopics = []", "sources.0.topics"),
        ("[log]\nlevel = 'loud'", "log.level"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    assert problem(written(tmp_path, text)).startswith(f"{where}: ")


def test_a_section_cannot_have_a_value_and_keys() -> None:
    told = problem(LAKEBED__HTTP="x", LAKEBED__HTTP__LISTEN=":1")
    assert told == "LAKEBED__HTTP__LISTEN: http has a value of its own already"
    assert "home" in problem(LAKEBED__HOME__X="1")


def test_files_named_by_a_relative_path_lie_in_the_home(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"""
        home = "{tmp_path}/home"
        [http]
        tls_certificate = "tls/chain.pem"
        [mqtt]
        tls_key = "/etc/key.pem"
        [[sources]]
        name = "site"
        url = "mqtts://broker"
        topics = ["#"]
        ca_file = "ca.pem"
        """,
    )
    settings = load(file, {})
    assert settings.http.tls_certificate == tmp_path / "home" / "tls" / "chain.pem"
    assert settings.mqtt.tls_key == Path("/etc/key.pem")
    assert settings.sources[0].ca_file == tmp_path / "home" / "ca.pem"
    assert settings.mqtt.tls_certificate is None


def test_a_client_identifier_may_name_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gateway-1")
    text = "[[sources]]\nname = 'hall'\nurl = 'mqtt://b'\ntopics = ['#']\nclient_id = 'lb-{host}'\n"
    assert load(written(tmp_path, text), {}).sources[0].client_id == "lb-gateway-1"


def test_in_code_a_duration_is_microseconds() -> None:
    assert JournalSection(span=10 * SECOND).span == 10 * SECOND


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(environment={}).http.listen = ":1"  # type: ignore[misc]


@given(st.integers(0, 2**63 - 1), st.sampled_from([("B", 1), ("KiB", 2**10), ("TiB", 2**40)]))
def test_sizes_are_exact_up_to_64_bits(size: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    assert parse_size(size) == size
    assert parse_size(f"{size // factor} {name}") == size // factor * factor


@pytest.mark.parametrize("text", [2**63, "8388608TiB", "1" * 400])
def test_larger_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "size"), [(0, 0), ("1.5KiB", 1536), ("0.5B", 0), (" 2GiB ", 2**31)]
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "KiB", "-1", "1KB", "1 kib", "1e3", True, None, "٣B"])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size such as 64KiB"):
        parse_size(value)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
        (":80", ("127.0.0.1", 80)),  # never all the world by leaving something out
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert load(environment={}, flags={"http": {"listen": address}}).http.listen == address
    assert split_address(address) == parts


def test_the_key_of_secrets_has_a_variable_of_its_own(tmp_path: Path) -> None:
    home, key = {"home": tmp_path}, "k" * 32
    assert load(None, {"LAKEBED_SECRETS_KEY": key}, home).secrets.key == key
    both = {"LAKEBED_SECRETS_KEY": key, "LAKEBED__SECRETS__KEY": f"{key},{key}x"}
    assert load(None, both, home).secrets.key == f"{key},{key}x"
    with pytest.raises(SettingsError, match="at least 32 characters"):
        load(None, {"LAKEBED_SECRETS_KEY": f"{key},short"}, home)


def test_networks_of_relays_are_a_list_or_words(tmp_path: Path) -> None:
    given = {"LAKEBED__RELAYS__ALLOW_PRIVATE": "127.0.0.1/32, 10.0.0.0/8"}
    assert load(None, given, {"home": tmp_path}).relays.allow_private == (
        "127.0.0.1/32",
        "10.0.0.0/8",
    )
