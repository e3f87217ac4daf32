"""Policies: every version is kept, and one of them is in force."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    select,
    update,
)

from lakebed.ports.catalog.policies import Check, StoredPolicy, anything
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.tables import policies, policy_versions, revisions
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import Micros, now

_COLUMNS = tuple(policy_versions.c[name] for name in StoredPolicy.__slots__)
_OWNER: BindParameter[str] = bindparam("owner")
_NAME: BindParameter[str] = bindparam("name")
_VERSIONS = select(*_COLUMNS).order_by(policy_versions.c.version)
_OF_NAME = _VERSIONS.where(policy_versions.c.owner == _OWNER, policy_versions.c.name == _NAME)
_OF_VERSION = _OF_NAME.where(policy_versions.c.version == bindparam("version"))
_DOCUMENTS = select(policy_versions.c.name, policy_versions.c.document).where(
    policy_versions.c.owner == _OWNER
)
_ORDER = (policy_versions.c.owner, policy_versions.c.name)
_IN_FORCE = select(*_COLUMNS).join(policies).order_by(*_ORDER)
_IN_FORCE_OF = _IN_FORCE.where(policies.c.owner == _OWNER)
_REVISION = revisions.c.name == "policies"
_READ_REVISION = select(revisions.c.value).where(_REVISION)


class SqlPolicies(Database):
    """Fulfils `ports.PolicyStore`."""

    def revision(self) -> int:
        with self._read() as connection:
            return int(connection.execute(_READ_REVISION).scalar_one())

    def policies(self, owner: str | None = None) -> list[StoredPolicy]:
        query, asked = (_IN_FORCE, {}) if owner is None else (_IN_FORCE_OF, {"owner": owner})
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(query, asked)]

    def policy_version(self, owner: str, name: str, version: int) -> StoredPolicy | None:
        asked = {"owner": owner, "name": name, "version": version}
        with self._read() as connection:
            row = connection.execute(_OF_VERSION, asked).one_or_none()
        return None if row is None else _stored(row)

    def policy_versions(self, owner: str, name: str) -> list[StoredPolicy]:
        with self._read() as connection:
            rows = connection.execute(_OF_NAME, {"owner": owner, "name": name})
            return [_stored(row) for row in rows]

    def policy_topics(self, owner: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        with self._read() as connection:
            for name, document in connection.execute(_DOCUMENTS, {"owner": owner}):
                found.setdefault(name, set()).update(json.loads(document)["topics"])
        return found

    def put_policies(
        self,
        owner: str,
        documents: Sequence[dict[str, Any]],
        create: bool = False,
        check: Check = anything,
    ) -> list[tuple[StoredPolicy, bool]]:
        with self._call() as connection:
            _lock(connection)
            written = [_put(connection, owner, document, create, check) for document in documents]
            if any(changed for _, _, changed in written):
                _bump(connection)
        return [(policy, named) for policy, named, _ in written]

    def delete_policy(self, owner: str, name: str, check: Check = anything) -> None:
        with self._call() as connection:
            _lock(connection)
            current = _in_force(connection, owner, name)
            if current is None:
                raise NotFound(f"there is no policy {name!r}")
            check(current)
            connection.execute(delete(policies).where(_named(owner, name)))
            _bump(connection)


def _in_force(connection: Connection, owner: str, name: str) -> StoredPolicy | None:
    row = connection.execute(_IN_FORCE.where(_named(owner, name))).one_or_none()
    return None if row is None else _stored(row)


def _named(owner: str, name: str) -> ColumnElement[bool]:
    return (policies.c.owner == owner) & (policies.c.name == name)


def _put(
    connection: Connection, owner: str, document: dict[str, Any], create: bool, check: Check
) -> tuple[StoredPolicy, bool, bool]:
    """Write one document; return the policy, whether its name is new, and whether it changed."""
    name = document["name"]
    current = _in_force(connection, owner, name)
    if current is not None:
        if create:
            raise Conflict(f"a policy named {name!r} exists already")
        check(current)
    if current is not None and _canonical(current.document) == _canonical(document):
        return current, False, False
    moment = now()
    created = moment if current is None else current.created
    return _add_version(connection, owner, document, created, moment), current is None, True


def _add_version(
    connection: Connection, owner: str, document: dict[str, Any], created: Micros, updated: Micros
) -> StoredPolicy:
    # Versions are never deleted, so the greatest includes those of a deleted policy.
    name = document["name"]
    greatest = select(func.max(policy_versions.c.version)).where(
        policy_versions.c.owner == owner, policy_versions.c.name == name
    )
    version = (connection.execute(greatest).scalar() or 0) + 1
    key = {"owner": owner, "name": name, "version": version}
    text = json.dumps(document, allow_nan=False)
    connection.execute(
        insert(connection.dialect.name, policy_versions).values(
            **key, document=text, created=created, updated=updated
        )
    )
    connection.execute(
        insert(connection.dialect.name, policies)
        .values(**key)
        .on_conflict_do_update(index_elements=["owner", "name"], set_={"version": version})
    )
    return StoredPolicy(owner, name, version, json.loads(text), created, updated)


def _lock(connection: Connection) -> None:
    """Make changes of policies take turns: two at once would choose the same version."""
    connection.execute(_READ_REVISION.with_for_update())


def _bump(connection: Connection) -> None:
    connection.execute(update(revisions).where(_REVISION).values(value=revisions.c.value + 1))


def _canonical(document: dict[str, Any]) -> str:
    """Return a text that is equal for equal documents. Unlike with ==, true is not 1."""
    return json.dumps(document, sort_keys=True)


def _stored(row: Sequence[Any]) -> StoredPolicy:
    owner, name, version, document, created, updated = row
    return StoredPolicy(owner, name, version, json.loads(document), created, updated)
