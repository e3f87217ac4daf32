"""The accounts as a whole, as an adapter implements them."""

from contextlib import AbstractContextManager
from typing import Protocol

from lakebed.ports.accounts.attempts import AttemptStore
from lakebed.ports.accounts.audit import AuditLog
from lakebed.ports.accounts.credentials import CredentialStore
from lakebed.ports.accounts.factors import FactorStore
from lakebed.ports.accounts.openid import OpenIdStore
from lakebed.ports.accounts.owners import OwnerStore
from lakebed.ports.accounts.presence import PresenceStore
from lakebed.ports.accounts.shares import ShareStore
from lakebed.ports.accounts.tickets import TicketStore
from lakebed.ports.accounts.tokens import TokenStore
from lakebed.ports.accounts.units import UnitStore
from lakebed.ports.accounts.users import SessionStore, UserStore


class Accounts(
    OwnerStore,
    UserStore,
    SessionStore,
    UnitStore,
    PresenceStore,
    ShareStore,
    TokenStore,
    CredentialStore,
    AttemptStore,
    FactorStore,
    TicketStore,
    AuditLog,
    OpenIdStore,
    Protocol,
):
    """A part of the SQL store: the catalog's transactions are theirs, too."""

    def transaction(self) -> AbstractContextManager[None]: ...
