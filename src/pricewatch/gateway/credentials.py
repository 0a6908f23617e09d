"""Keys and sessions looked up in the store, believed for a few seconds (longer while the store is away)."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from pricewatch.accounts import tokens
from pricewatch.accounts.policy import abilities
from pricewatch.domain.account import Account, ApiKey, Scope
from pricewatch.domain.errors import Unavailable
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.accounts import Accounts, Sessions
from pricewatch.ports.clock import Clock

_SECOND = 1_000_000
_CACHED = 10_000
_SEEN_EVERY = 60 * _SECOND


class Identity(NamedTuple):
    """Whose request this is, and by which key or session."""

    account: Account
    digest: bytes
    scopes: frozenset[Scope]
    is_session: bool = False
    credential: uuid.UUID | None = None
    """The id of the key or session."""

    def may(self, scope: Scope) -> bool:
        """Whether role and scopes both allow it."""
        return scope in abilities(self.account, self.scopes)


class Known(NamedTuple):
    """What the store said of a credential that may have ended."""

    identity: Identity
    expires: int | None
    used: int | None
    key: ApiKey | None = None

    def holds(self, now: int) -> bool:
        """Not expired, not revoked, and its owner not shut out."""
        if self.identity.account.disabled is not None or (self.expires is not None and now >= self.expires):
            return False
        return self.key is None or self.key.revoked is None


class _Looked(NamedTuple):
    known: Known | None
    at: int


class KeyRing:
    """Finds out who stands behind a digest."""

    def __init__(self, accounts: Accounts, sessions: Sessions, settings: GatewaySettings, clock: Clock) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._ttl = round(settings.key_ttl * _SECOND)
        self._grace = round(settings.key_grace * _SECOND)
        self._clock = clock
        self._cache: OrderedDict[bytes, _Looked] = OrderedDict()

    async def key(self, text: str, *, fresh: bool = False) -> Known | None:
        """Behind a key; None when it is unknown, expired or revoked. Raises `Unavailable` as `find` does."""
        return await self.find(tokens.digest(text), fresh=fresh) if tokens.is_well_formed(text) else None

    async def find(self, digest: bytes, *, is_session: bool = False, fresh: bool = False) -> Known | None:
        """A valid credential. Raises `Unavailable` for one not seen lately while the store is away."""
        now = self._clock.now()
        looked = self._cache.get(digest)
        if looked is None or fresh or not 0 <= now - looked.at < self._ttl:
            looked = await self._look_up(digest, looked, now, is_session=is_session)
        known = looked.known
        if known is None or known.identity.is_session is not is_session or not known.holds(now):
            return None
        return known

    async def standing(self, identities: Iterable[Identity]) -> frozenset[bytes]:
        """Whose connections may stay; all of them while nobody can tell."""
        digests = list({identity.digest for identity in identities})
        if not digests:
            return frozenset()
        try:
            return await self._accounts.standing(digests, self._clock.now())
        except Unavailable:
            return frozenset(digests)

    def forget(self, digest: bytes) -> None:
        """Look it up anew the next time."""
        self._cache.pop(digest, None)

    def forget_account(self, account: uuid.UUID) -> None:
        """Look up all its credentials anew the next time."""
        gone = [digest for digest, one in self._cache.items() if one.known and one.known.identity.account.id == account]
        for digest in gone:
            del self._cache[digest]

    async def _look_up(self, digest: bytes, before: _Looked | None, now: int, *, is_session: bool) -> _Looked:
        try:
            known = await (self._session(digest) if is_session else self._key(digest))
            if known is not None and known.holds(now) and (known.used is None or now - known.used >= _SEEN_EVERY):
                await self._note_use(known.identity, now)
        except Unavailable:
            if before is not None and before.known is not None and now - before.at < self._grace:
                return before
            raise
        looked = self._cache[digest] = _Looked(known, now)
        self._cache.move_to_end(digest)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return looked

    async def _key(self, digest: bytes) -> Known | None:
        found = await self._accounts.by_digest(digest)
        if found is None:
            return None
        account, key = found
        return Known(Identity(account, digest, key.scopes, credential=key.id), key.expires, key.used, key)

    async def _session(self, digest: bytes) -> Known | None:
        found = await self._sessions.by_digest(digest)
        if found is None:
            return None
        account, session = found
        identity = Identity(account, digest, session.scopes, is_session=True, credential=session.id)
        return Known(identity, session.expires, session.used)

    async def _note_use(self, identity: Identity, now: int) -> None:
        if identity.credential is not None:
            keeper = self._sessions.used if identity.is_session else self._accounts.key_used
            await keeper(identity.credential, now)
