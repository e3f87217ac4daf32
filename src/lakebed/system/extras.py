"""Reports modules that are not installed, and the extra to install.

`pip install lakebed` installs what an edge needs. Modules of extras are imported when they are
used, and the command line reports a failed import in one line.
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
    "cramjam": "server",
    "cryptography": "web",
    "fastapi": "web",
    "google": "server",
    "jinja2": "web",
    "joserfc": "web",
    "obstore": "server",
    "opentelemetry": "server",
    "opentelemetry.exporter": "telemetry",
    "opentelemetry.sdk": "telemetry",
    "plotext": "server",
    "psycopg": "postgres",
    "pyarrow": "server",
    "pyotp": "web",
    "segno": "web",
    "sentry_sdk": "telemetry",
    "sqlalchemy": "server",
    "starlette": "web",
    "webauthn": "web",
    "wsproto": "server",
}
"""By module the extra of `pyproject.toml` that brings it."""

_SERVER = ("fastapi", "pyarrow", "sqlalchemy")


def require_server(what: str) -> None:
    """Raise `Fatal` if the packages of servers are not installed.

    Args:
        what: the part that needs them, for the message.
    """
    if any(find_spec(module) is None for module in _SERVER):
        raise Fatal(f"{what} needs more than is installed: install lakebed[server]")


def missing(error: ModuleNotFoundError) -> Fatal | None:
    """The error for a module that could not be imported; None if it belongs to no extra."""
    hint = _install_hint(error, "this")
    return None if hint is None else Fatal(hint)


def needed(error: ModuleNotFoundError, setting: str, what: str) -> Exception:
    """The error for a setting that needs a module which is not installed.

    Args:
        what: the setting's value, or the part of it that needs the module.
    """
    hint = _install_hint(error, what)
    return error if hint is None else SettingsError(Problem(setting, hint))


def _install_hint(error: ModuleNotFoundError, what: str) -> str | None:
    module, extra = _named(error.name or "")
    if extra is None:
        return None
    if extra == "web":  # which alone is no use yet, and comes with the other
        extra = "server"
    return f"{what} needs {module}: install lakebed[{extra}]"


def _named(module: str) -> tuple[str, str | None]:
    """The module as the table has it, and its extra: several may share a top package."""
    while module not in EXTRAS and "." in module:
        module = module.rpartition(".")[0]
    return module, EXTRAS.get(module)
