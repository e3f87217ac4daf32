"""Policies: every version is kept, and one of them is in force."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    delete,
    func,
    select,
    update,
)

from lakebed.ports.catalog.policies import Check, StoredPolicy, anything
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.slices import slices
from lakebed.stores.catalog.tables import policies, policy_versions, revisions
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import now

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
    """Implements `ports.PolicyStore`."""

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
            names = list(dict.fromkeys(document["name"] for document in documents))
            current = _in_force(connection, owner, names)
            greatest = _greatest_versions(connection, owner, names)
            written: list[tuple[StoredPolicy, bool]] = []
            added: list[StoredPolicy] = []
            moment = now()
            for document in documents:
                name = document["name"]
                before = current.get(name)
                if before is not None:
                    if create:
                        raise Conflict(f"a policy named {name!r} exists already")
                    check(before)
                    if _canonical(before.document) == _canonical(document):
                        written.append((before, False))
                        continue
                version = greatest[name] = greatest.get(name, 0) + 1
                created = moment if before is None else before.created
                policy = StoredPolicy(owner, name, version, _stable(document), created, moment)
                current[name] = policy
                added.append(policy)
                written.append((policy, before is None))
            if added:
                _add_versions(connection, added)
                bump_policies(connection)
        return written

    def delete_policy(self, owner: str, name: str, check: Check = anything) -> None:
        with self._call() as connection:
            _lock(connection)
            current = _in_force(connection, owner, [name]).get(name)
            if current is None:
                raise NotFound(f"there is no policy {name!r}")
            check(current)
            connection.execute(
                delete(policies).where(policies.c.owner == owner, policies.c.name == name)
            )
            bump_policies(connection)


def _in_force(connection: Connection, owner: str, names: Sequence[str]) -> dict[str, StoredPolicy]:
    query = _IN_FORCE_OF.where(policies.c.name.in_(bindparam("names", expanding=True)))
    found = (
        _stored(row)
        for some in slices(names)
        for row in connection.execute(query, {"owner": owner, "names": some})
    )
    return {policy.name: policy for policy in found}


def _greatest_versions(connection: Connection, owner: str, names: Sequence[str]) -> dict[str, int]:
    """The newest version of each name, those of deleted policies too: no version is used again."""
    query = (
        select(policy_versions.c.name, func.max(policy_versions.c.version))
        .where(
            policy_versions.c.owner == _OWNER,
            policy_versions.c.name.in_(bindparam("names", expanding=True)),
        )
        .group_by(policy_versions.c.name)
    )
    return {
        name: version
        for some in slices(names)
        for name, version in connection.execute(query, {"owner": owner, "names": some})
    }


def _add_versions(connection: Connection, added: Sequence[StoredPolicy]) -> None:
    """Insert these versions and put the last one of each name in force."""
    dialect = connection.dialect.name
    rows = [
        {name: getattr(policy, name) for name in StoredPolicy.__slots__}
        | {"document": json.dumps(policy.document, allow_nan=False)}
        for policy in added
    ]
    connection.execute(insert(dialect, policy_versions), rows)
    upsert = insert(dialect, policies)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["owner", "name"], set_={"version": upsert.excluded.version}
        ),
        [
            {"owner": policy.owner, "name": name, "version": policy.version}
            for name, policy in {policy.name: policy for policy in added}.items()
        ],
    )


def _lock(connection: Connection) -> None:
    """Make changes of policies take turns: two at once would choose the same version."""
    connection.execute(_READ_REVISION.with_for_update())


def bump_policies(connection: Connection) -> None:
    """Move the revision, so that keepers look at the policies again."""
    connection.execute(update(revisions).where(_REVISION).values(value=revisions.c.value + 1))


def _stable(document: dict[str, Any]) -> dict[str, Any]:
    """The document as it will be read back."""
    stable: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return stable


def _canonical(document: dict[str, Any]) -> str:
    """Return a text that is equal for equal documents. Unlike with ==, true is not 1."""
    return json.dumps(document, sort_keys=True)


def _stored(row: Sequence[Any]) -> StoredPolicy:
    owner, name, version, document, created, updated = row
    return StoredPolicy(owner, name, version, json.loads(document), created, updated)
