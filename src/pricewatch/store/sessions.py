"""Browser sessions and tickets for WebSockets in PostgreSQL."""

from __future__ import annotations

import uuid

from pricewatch.domain.account import Account, Session
from pricewatch.domain.errors import NotFound
from pricewatch.ports.accounts import Ticket
from pricewatch.ports.clock import Clock
from pricewatch.store import sql
from pricewatch.store.accounts import account_of, scopes_of
from pricewatch.store.pool import Database, Row

_SQL = sql.load("sessions")
_LONGEST = 200


class PostgresSessions:
    """Keeps `ports.accounts.Sessions` and `Tickets`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, session: Session) -> None:
        """What browsers call themselves is made storable."""
        agent = "".join(letter for letter in session.agent[:_LONGEST] if letter.isprintable())
        fields = (session.id, session.account_id, session.digest, session.key_id, sorted(session.scopes))
        await self._database.execute(_SQL["begin"], *fields, session.created, session.expires, agent)

    async def by_digest(self, digest: bytes) -> tuple[Account, Session] | None:
        """One indexed look-up."""
        row = await self._database.fetchrow(_SQL["by_digest"], digest)
        if row is None:
            return None
        account = account_of(row)
        return account, _session(row, account.id)

    async def listing(self, account: uuid.UUID, now: int) -> list[Session]:
        """In order of creation."""
        return [_session(row, account) for row in await self._database.fetch(_SQL["listing"], account, now)]

    async def end(self, account: uuid.UUID, session: uuid.UUID) -> None:
        """Raises `NotFound`, also the second time."""
        if await self._database.fetchval(_SQL["end"], account, session, self._clock.now()) is None:
            raise NotFound(f"there is no session {session}")

    async def used(self, session: uuid.UUID, at: int) -> None:
        """The latest time counts."""
        await self._database.execute(_SQL["used"], session, at)

    async def forget_expired(self, now: int) -> None:
        """Sessions and tickets."""
        await self._database.execute(_SQL["forget_expired"], now)

    async def issue(self, ticket: Ticket) -> None:
        """One row."""
        fields = (ticket.digest, ticket.account_id, ticket.credential, ticket.is_session, ticket.expires)
        await self._database.execute(_SQL["issue"], *fields)

    async def take(self, digest: bytes) -> Ticket | None:
        """Deleted as it is read."""
        row = await self._database.fetchrow(_SQL["take"], digest)
        return None if row is None else Ticket(*row)


def _session(row: Row, account: uuid.UUID) -> Session:
    return Session(
        id=row["session_id"],
        account_id=account,
        digest=row["digest"],
        created=row["session_created"],
        expires=row["expires"],
        agent=row["agent"],
        key_id=row["key_id"],
        scopes=scopes_of(row),
        used=row["used"],
    )
