"""Accounts, their feeds and their keys in memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from pricewatch.domain.account import Account, ApiKey, Role, Session
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.accounts import Change, Ticket
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import FeedHead
from pricewatch.ports.records import AuditEntry


class MemoryAccounts:
    """Keeps `ports.accounts.Accounts`; the journal's keeper moves the feeds' heads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[uuid.UUID, Account] = {}
        self._keys: dict[uuid.UUID, ApiKey] = {}
        self._passwords: dict[uuid.UUID, str] = {}
        self.heads: dict[uuid.UUID, FeedHead] = {SYSTEM: FeedHead(epoch=1, seq=0)}
        self.audit = MemoryAuditLog()
        self.sessions = MemorySessions(self)

    async def create(self, name: str, email: str, role: Role, *, by: uuid.UUID | None = None) -> Account:
        """As the port says."""
        for field, text in (("name", name), ("email", email)):
            if not text.isprintable():
                raise Invalid(field, "must not contain control characters or broken Unicode")
        if await self.find(name) is not None:
            raise Invalid("name", f"{name!r} is taken")
        account = Account(id=uuid.uuid4(), name=name, email=email, role=role, created=self._clock.now())
        self._accounts[account.id] = account
        self.heads[account.id] = FeedHead(epoch=max(account.created // SECOND, 1), seq=0)
        self.note("user.create", account.id, account.id, by, {"role": role.value})
        return account

    async def find(self, name: str) -> Account | None:
        """As the port says."""
        return next((account for account in self._accounts.values() if account.name == name), None)

    async def get(self, account: uuid.UUID) -> Account | None:
        """As the port says."""
        return self._accounts.get(account)

    async def everyone(self) -> list[Account]:
        """As the port says."""
        return list(self._accounts.values())

    async def change(self, account: uuid.UUID, change: Change, *, by: uuid.UUID | None = None) -> Account:
        """As the port says."""
        if not (change.email or "").isprintable():
            raise Invalid("email", "must not contain control characters or broken Unicode")
        held = self._held(account)
        if change.disabled is True or change.role not in {None, Role.ADMIN}:
            self.keep_one_admin(account, "disabled" if change.disabled else "role")
        now = self._clock.now()
        disabled = {True: held.disabled or now, False: None, None: held.disabled}[change.disabled]
        changed = self._accounts[account] = msgspec.structs.replace(
            held,
            email=held.email if change.email is None else change.email,
            role=change.role or held.role,
            disabled=disabled,
        )
        if disabled is not None:
            self.sessions.end_all(account)
        words = {"role": change.role and change.role.value, "disabled": change.disabled}
        words["email"] = None if change.email is None else "changed"
        detail = {name: word for name, word in words.items() if word is not None}
        self.note("user.change", account, account, by, detail)
        return changed

    async def password(self, name: str) -> tuple[Account, str | None] | None:
        """As the port says."""
        found = await self.find(name)
        return None if found is None else (found, self._passwords.get(found.id))

    async def set_password(
        self,
        account: uuid.UUID,
        hashed: str | None,
        *,
        by: uuid.UUID | None = None,
        keep: uuid.UUID | None = None,
        quietly: bool = False,
    ) -> None:
        """As the port says."""
        self._held(account)
        self._passwords.pop(account, None)
        if hashed is not None:
            self._passwords[account] = hashed
        if not quietly:
            self.sessions.end_all(account, keep=keep)
            self.note("password.set" if hashed is not None else "password.remove", account, account, by)

    async def add_key(self, key: ApiKey, *, by: uuid.UUID | None = None) -> None:
        """As the port says."""
        if key.account_id not in self._accounts:
            raise NotFound(f"there is no account {key.account_id}")
        if not key.title.isprintable():
            raise Invalid("title", "must not contain control characters or broken Unicode")
        if key.id in self._keys or any(held.digest == key.digest for held in self._keys.values()):
            raise Invalid("key", "is there already")
        self._keys[key.id] = key
        detail = {"prefix": key.prefix, "scopes": sorted(key.scopes)}
        self.note("key.create", key.id, key.account_id, by, detail)

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """As the port says."""
        return [key for key in self._keys.values() if key.account_id == account]

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int, *, by: uuid.UUID | None = None) -> None:
        """As the port says."""
        held = self._keys.get(key)
        if held is None or held.account_id != account:
            raise NotFound(f"there is no key {key}")
        if held.revoked is None:
            self._keys[key] = msgspec.structs.replace(held, revoked=at)
            self.sessions.end_all(account, key=key)
            self.audit.add("key.revoke", str(key), at=at, by=by, account=account)

    async def key_used(self, key: uuid.UUID, at: int) -> None:
        """As the port says."""
        held = self._keys[key]
        self._keys[key] = msgspec.structs.replace(held, used=max(at, held.used or 0))

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """As the port says."""
        for key in self._keys.values():
            if key.digest == digest:
                return self._accounts[key.account_id], key
        return None

    async def standing(self, digests: Sequence[bytes], now: int) -> frozenset[bytes]:
        """As the port says."""
        held = {key.digest: (key.account_id, key.expires) for key in self._keys.values() if key.revoked is None}
        held |= {one.digest: (one.account_id, one.expires) for one in self.sessions.held.values()}
        return frozenset(
            digest
            for digest, (account, expires) in held.items()
            if digest in digests and self._accounts[account].disabled is None and (expires is None or expires > now)
        )

    def remove(self, account: uuid.UUID, by: uuid.UUID | None) -> None:
        """For the dossiers: nothing of it is left here."""
        self._held(account)
        self.keep_one_admin(account, "id")
        self.sessions.end_all(account)
        del self._accounts[account], self.heads[account]
        self._keys = {key.id: key for key in self._keys.values() if key.account_id != account}
        self.note("user.erase", account, account, by)

    def keep_one_admin(self, account: uuid.UUID, field: str) -> None:
        """Raises `Invalid` for the last one."""
        admins = [one.id for one in self._accounts.values() if one.role is Role.ADMIN and one.disabled is None]
        if admins == [account]:
            raise Invalid(field, "this is the last administrator; make another one first")

    def _held(self, account: uuid.UUID) -> Account:
        if account not in self._accounts:
            raise NotFound(f"there is no account {account}")
        return self._accounts[account]

    def note(
        self,
        action: str,
        target: uuid.UUID,
        account: uuid.UUID,
        by: uuid.UUID | None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """For all keepers here."""
        self.audit.add(action, str(target), at=self._clock.now(), by=by, account=account, detail=detail)


class MemorySessions:
    """Keeps `ports.accounts.Sessions` and `Tickets`."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts
        self.held: dict[uuid.UUID, Session] = {}
        self._tickets: dict[bytes, Ticket] = {}

    async def begin(self, session: Session) -> None:
        """As the port says."""
        agent = "".join(letter for letter in session.agent[:200] if letter.isprintable())
        self.held[session.id] = msgspec.structs.replace(session, agent=agent)
        self._accounts.audit.add(
            "session.begin", str(session.id), at=session.created, by=session.account_id, account=session.account_id
        )

    async def by_digest(self, digest: bytes) -> tuple[Account, Session] | None:
        """As the port says."""
        for session in self.held.values():
            account = await self._accounts.get(session.account_id)
            if session.digest == digest and account is not None:
                return account, session
        return None

    async def listing(self, account: uuid.UUID, now: int) -> list[Session]:
        """As the port says."""
        return [one for one in self.held.values() if one.account_id == account and one.expires > now]

    async def end(self, account: uuid.UUID, session: uuid.UUID) -> None:
        """As the port says."""
        held = self.held.get(session)
        if held is None or held.account_id != account:
            raise NotFound(f"there is no session {session}")
        del self.held[session]
        self._accounts.note("session.end", session, account, account)

    async def used(self, session: uuid.UUID, at: int) -> None:
        """As the port says."""
        held = self.held[session]
        self.held[session] = msgspec.structs.replace(held, used=max(at, held.used or 0))

    async def forget_expired(self, now: int) -> None:
        """As the port says."""
        self.held = {one.id: one for one in self.held.values() if one.expires > now}
        self._tickets = {one.digest: one for one in self._tickets.values() if one.expires > now}

    async def issue(self, ticket: Ticket) -> None:
        """As the port says."""
        self._tickets[ticket.digest] = ticket

    async def take(self, digest: bytes) -> Ticket | None:
        """As the port says."""
        return self._tickets.pop(digest, None)

    def end_all(self, account: uuid.UUID, *, keep: uuid.UUID | None = None, key: uuid.UUID | None = None) -> None:
        """For the accounts: all of one, or those made with a key."""
        gone = [one for one in self.held.values() if one.account_id == account and one.id != keep]
        for one in gone:
            if key is None or one.key_id == key:
                del self.held[one.id]


class MemoryAuditLog:
    """Keeps `ports.records.AuditLog`."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []

    async def note(
        self,
        action: str,
        target: str,
        *,
        at: int,
        by: uuid.UUID | None,
        account: uuid.UUID | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """As the port says."""
        self.add(action, target, at=at, by=by, account=account, detail=detail)

    async def page(
        self, account: uuid.UUID | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """As the port says."""
        newest = (one for one in reversed(self._entries) if before is None or one.number < before)
        return [one for one in newest if account is None or account in {one.actor, one.account}][:limit]

    def add(
        self,
        action: str,
        target: str,
        *,
        at: int,
        by: uuid.UUID | None,
        account: uuid.UUID | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """For the other keepers."""
        number = len(self._entries) + 1
        entry = AuditEntry(
            number=number, at=at, actor=by, account=account, action=action, target=target, detail=detail or {}
        )
        self._entries.append(entry)
