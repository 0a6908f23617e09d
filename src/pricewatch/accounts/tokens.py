"""API keys: `pw_<prefix>_<secret>`, of which only the SHA-256 is ever stored."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from typing import NamedTuple

from pricewatch.domain.account import ApiKey

_FORM = re.compile(r"pw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


class Minted(NamedTuple):
    """A new key: `text` is shown once to its owner, `key` is stored."""

    text: str
    key: ApiKey


def mint(account: uuid.UUID, *, now: int, expires: int | None = None) -> Minted:
    """A new random key of an account; `now` and `expires` are instants in microseconds."""
    prefix = secrets.token_hex(4)
    text = f"pw_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(id=uuid.uuid4(), account_id=account, prefix=prefix, digest=digest(text), created=now, expires=expires)
    return Minted(text, key)


def digest(text: str) -> bytes:
    """What is stored and looked up. A plain hash is enough: the secret has 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def is_well_formed(text: str) -> bool:
    """Whether this can be a key at all, so that nonsense never reaches the database."""
    return _FORM.fullmatch(text) is not None


def is_valid(key: ApiKey, now: int) -> bool:
    """Neither revoked nor expired at `now`."""
    return key.revoked is None and (key.expires is None or now < key.expires)
