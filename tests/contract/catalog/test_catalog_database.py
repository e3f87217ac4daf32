"""What holds of the catalog as a whole: transactions, restarts, threads, kills, migrations."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from catalog_place import Place
from sqlalchemy import Engine, inspect, text
from tests import migrated

from lakebed.accounts.audit_trail import AuditTrail
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog import migrate
from lakebed.stores.catalog.engine import engine_for
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.stores.catalog.tables import metadata
from lakebed.vocabulary.errors import (
    BadRequest,
    Conflict,
    NotFound,
    SettingsError,
    StoreUnavailable,
)

VALUE = LastValue("ann", "now", "plant/1", "number", 1_000, 21.5, 4, 0, 7)
LETTER = DeadLetter("ann", "plant/1", "raw", 0, 7, 1_000, b"payload", "reason")


@contextlib.contextmanager
def bare(place: Place) -> Any:
    """The database without the catalog around it."""
    engine: Engine = engine_for(place.url, place.home)
    try:
        yield engine
    finally:
        engine.dispose()


def test_all_is_there_after_a_restart(
    catalog: SqlCatalog, reopened: Callable[[SqlCatalog], SqlCatalog]
) -> None:
    written: Catalog = catalog
    [(policy, _)] = written.put_policies("ann", [{"name": "raw"}])
    written.upsert_last([VALUE])
    written.save_checkpoints("keeper", 0, [Checkpoint("router", 1, b"state")])
    token = written.add_token(StoredToken("ann", "phone"))
    written.add_dead_letters([LETTER])
    read: Catalog = reopened(catalog)
    assert read.policies() == [policy]
    assert read.last_values("ann") == [VALUE]
    assert read.checkpoints("keeper") == {0: [Checkpoint("router", 1, b"state")]}
    assert read.find_token(token) == StoredToken("ann", "phone")
    assert read.dead_letters("ann") == [LETTER]
    assert read.revision() == 1


def test_health_tells_the_size(catalog: SqlCatalog) -> None:
    health = catalog.health()
    assert health.ok
    assert health.detail["bytes"] > 10_000


def test_a_closed_catalog_is_unavailable(catalog: SqlCatalog) -> None:
    catalog.close()
    catalog.close()
    assert not catalog.health().ok
    with pytest.raises(StoreUnavailable, match="closed"):
        catalog.revision()


# --- transactions ---------------------------------------------------------------------------------


def test_a_text_that_a_database_cannot_hold_is_the_mistake_of_who_sent_it(
    catalog: SqlCatalog,
) -> None:
    with contextlib.suppress(BadRequest):  # of PostgreSQL; SQLite looks for it
        assert catalog.user("a\0") is None
    trail = AuditTrail(catalog)
    trail.refused(AuditEntry(1, "a\0", "nobody:", "policies.read"))
    trail.flush()  # a failure of any other kind would end the process
    assert trail.written + trail.failed == 1
    assert catalog.users() == []


def test_calls_inside_a_transaction_commit_together(catalog: SqlCatalog) -> None:
    with catalog.transaction():
        catalog.upsert_last([VALUE])
        catalog.save_checkpoints("keeper", 0, [Checkpoint("router", 8, b"")])
        assert catalog.last_values("ann") == [VALUE]
    assert catalog.last_values("ann") == [VALUE]
    assert catalog.checkpoints("keeper") == {0: [Checkpoint("router", 8, b"")]}


def test_an_error_undoes_the_whole_transaction(catalog: SqlCatalog) -> None:
    def write_and_fail() -> None:
        with catalog.transaction():
            catalog.upsert_last([VALUE])
            with catalog.transaction():  # joins
                catalog.put_policies("ann", [{"name": "raw"}])
            raise KeyError("made up")

    with pytest.raises(KeyError):
        write_and_fail()
    assert catalog.last_values("ann") == []
    assert catalog.policies() == []
    assert catalog.revision() == 0


def test_a_call_that_fails_inside_is_undone_alone(catalog: SqlCatalog) -> None:
    catalog.add_token(StoredToken("ann", "phone"))
    with catalog.transaction():
        catalog.upsert_last([VALUE])
        with pytest.raises(Conflict):
            catalog.add_token(StoredToken("ann", "phone"))
        with pytest.raises(NotFound):
            catalog.delete_policy("ann", "raw")
        catalog.add_dead_letters([LETTER])
    assert catalog.last_values("ann") == [VALUE]
    assert catalog.dead_letters("ann") == [LETTER]


def test_other_threads_see_nothing_of_an_open_transaction(catalog: SqlCatalog) -> None:
    seen: list[list[LastValue]] = []
    reader = threading.Thread(target=lambda: seen.append(catalog.last_values("ann")))
    with contextlib.suppress(KeyError), catalog.transaction():
        catalog.upsert_last([VALUE])
        reader.start()  # on SQLite it waits for its turn
        raise KeyError("made up")
    reader.join()
    assert seen == [[]]


def test_threads_may_call_at_once(catalog: SqlCatalog) -> None:
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for i in range(15):
                value = LastValue("ann", "now", f"t/{i}", "number", i, number, 1, 0, number)
                with catalog.transaction():
                    catalog.upsert_last([value])
                    catalog.save_checkpoints("keeper", number, [Checkpoint("router", i, b"")])
                catalog.add_dead_letters([LETTER])
                catalog.last_values("ann", prefix="t/")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [value.value for value in catalog.last_values("ann")] == [7.0] * 15
    ends = {number: [Checkpoint("router", 14, b"")] for number in range(8)}
    assert catalog.checkpoints("keeper") == ends


# --- kills ----------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from lakebed.stores.catalog.sql import open_catalog
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.last_values import LastValue

catalog = open_catalog(sys.argv[1], Path(sys.argv[2]))
for i in range(1_000_000):
    values = [LastValue("ann", "now", f"t/{k}", "number", i, i, 1, 0, i) for k in range(50)]
    with catalog.transaction():
        catalog.upsert_last(values)
        catalog.save_checkpoints("keeper", 0, [Checkpoint("router", i, b"")])
    print(i, flush=True)
"""


def test_what_a_killed_process_was_told_is_written_is_written(place: Place) -> None:
    command = [sys.executable, "-c", WRITER, place.url, str(place.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 40:
                break
        writer.kill()
        told = max([40, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    catalog = place.open()
    [checkpoint] = catalog.checkpoints("keeper")[0]
    assert checkpoint.offset >= told
    values = catalog.last_values("ann")
    assert [value.offset for value in values] == [checkpoint.offset] * 50


# --- the schema -----------------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [migrated.each_step, nullcontext])
def test_the_migrations_make_the_tables_of_the_code(
    place: Place, opened: Callable[[], AbstractContextManager[None]]
) -> None:
    """The second way is that of all other tests, which replay the migrations."""
    with opened():
        place.open().close()
    with bare(place) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_step_is_the_one_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.HEAD


def test_opening_again_migrates_nothing(place: Place) -> None:
    place.open().close()
    with bare(place) as engine:
        tables = inspect(engine).get_table_names()
    place.open().close()
    with bare(place) as engine:
        assert inspect(engine).get_table_names() == tables


def test_a_migration_that_fails_leaves_nothing_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "HEAD", "9999")  # a step that is not there
    with pytest.raises(Exception, match="9999"):
        place.open()
    monkeypatch.undo()
    with bare(place) as engine:
        assert inspect(engine).get_table_names() == []
    assert place.open().revision() == 0


def test_a_newer_schema_is_refused_in_one_clear_line(place: Place) -> None:
    place.open().close()
    with bare(place) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(SettingsError) as caught:
        place.open()
    assert "newer Lakebed (schema 0999" in str(caught.value)
    assert "\n" not in str(caught.value)
