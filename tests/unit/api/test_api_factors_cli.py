"""`lakebed users factors` against the application, over real connections."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyotp
import pytest

from lakebed.cli import factors
from lakebed.cli.main import main
from lakebed.ports.accounts.users import User
from lakebed.sources.http.server import HttpServer
from lakebed.sources.http.settings import HttpSection

from .conftest import ADMIN, PASSWORDS, Api
from .test_api_factors import WORDS

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    async def start() -> HttpServer:
        server = HttpServer(api.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    if api.catalog.user("uma") is None:
        api.catalog.add_user(User("uma"), PASSWORDS.hash(WORDS))
    server = api.run(start())
    yield server.url
    api.run(server.stop())


@pytest.fixture
def command(
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Command:
    """Runs a command for a person who types these answers; `code` is what an application shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEBED_URL", url)

    def command(*arguments: str, answers: tuple[str, ...] = ()) -> tuple[int, str, str]:
        typed = iter(answers)

        def ask(what: str, *, hidden: bool = False) -> str:
            answer = next(typed)
            if answer != "code":
                return answer
            address = capsys.readouterr().err.rpartition("otpauth://")
            return pyotp.parse_uri("otpauth://" + address[2].strip()).now()

        monkeypatch.setattr(factors, "ask", ask)
        code = main(("users", "factors", *arguments))
        out = capsys.readouterr()
        assert next(typed, None) is None, "nobody has asked"
        return int(code), out.out, out.err

    return command


def test_a_person_adds_an_application_and_an_admin_removes_it(api: Api, command: Command) -> None:
    code, out, _ = command("add", "uma", "--title", "phone", "--json", answers=(WORDS, "code"))
    added = json.loads(out)
    assert (code, added["name"], len(added["recovery_codes"])) == (0, "phone", 10)
    assert api.catalog.sessions("uma") == []  # signed out again
    api.catalog.forget_attempts(["account uma", "address 127.0.0.1"])
    one, other = added["recovery_codes"][:2]
    code, out, err = command("recovery", "uma", answers=(WORDS, one))
    assert (code, len(out.split())) == (0, 10)
    assert other not in out
    code, out, err = command("list", "uma", "--token", ADMIN)
    assert (code, "phone" in out, "10 recovery codes" in err) == (0, True, True)
    code, out, _ = command("remove", "uma", "--all", "--token", ADMIN, "--json")
    assert json.loads(out) == {"removed": [added["id"]]}
    assert api.catalog.factors("uma") == []


def test_a_user_looks_and_removes_without_a_token(api: Api, command: Command) -> None:
    _, out, _ = command("add", "uma", "--json", answers=(WORDS, "code"))
    added = json.loads(out)
    one, other = added["recovery_codes"][:2]
    _, out, _ = command("list", "uma", "--sign-in", "--json", answers=(WORDS, one))
    assert [factor["id"] for factor in json.loads(out)["factors"]] == [added["id"]]
    assert command("remove", "uma", added["id"], "--sign-in", answers=(WORDS, other))[0] == 0
    assert api.catalog.factors("uma") == []


def test_a_wrong_password_or_code_adds_nothing(api: Api, command: Command) -> None:
    code, _, err = command("add", "uma", answers=("wrong",))
    assert code == 5
    assert "admin.token" not in err
    code, _, err = command("add", "uma", answers=(WORDS, "000"))
    assert (code, "code: it is not what the application shows now" in err) == (1, True)
    assert api.catalog.factors("uma") == []
    assert command("remove", "uma", "x", "--all")[0] == 2
