"""What is not installed, and how to install it: `pip install lakebed` gives what an edge needs.

Whatever needs more imports it when it is asked for, and the error of that import is told in one
line by the command line.
"""

from importlib.util import find_spec

from lakebed.vocabulary.errors import Fatal, Problem, SettingsError

EXTRAS = {
    "alembic": "server",
    "argon2": "server",
    "authlib": "web",
    "chdb": "server",
    "clickhouse_connect": "server",
    "confluent_kafka": "kafka",
    "cryptography": "web",
    "fastapi": "web",
    "joserfc": "web",
    "obstore": "server",
    "plotext": "server",
    "psycopg": "postgres",
    "pyarrow": "server",
    "pyotp": "web",
    "sqlalchemy": "server",
    "starlette": "web",
    "webauthn": "web",
}
"""By module the extra of `pyproject.toml` that brings it."""

_SERVER = ("fastapi", "pyarrow", "sqlalchemy")


def require_server(what: str) -> None:
    """Raises `Fatal` where what runs servers is not installed, before anything is begun.

    Args:
        what: needs it.
    """
    if any(find_spec(module) is None for module in _SERVER):
        raise Fatal(f"{what} needs more than is installed: install lakebed[server]")


def missing(error: ModuleNotFoundError) -> Fatal | None:
    """What to tell of a module that could not be imported; None where it is none of an extra."""
    told = _told(error, "this")
    return None if told is None else Fatal(told)


def needed(error: ModuleNotFoundError, setting: str, what: str) -> Exception:
    """What to raise where a setting asks for something that is not installed.

    Args:
        what: the setting's value, or the part of it that asks.
    """
    told = _told(error, what)
    return error if told is None else SettingsError(Problem(setting, told))


def _told(error: ModuleNotFoundError, what: str) -> str | None:
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    if extra == "web":  # which alone is no use yet, and comes with the other
        extra = "server"
    return f"{what} needs {module}: install lakebed[{extra}]"
