from __future__ import annotations

import uuid

import msgspec
import pytest

from pricewatch.accounts.policy import may_administer, may_write
from pricewatch.accounts.tokens import digest, is_valid, is_well_formed, mint
from pricewatch.domain.account import Account, Role


def test_a_minted_key_is_known_only_by_its_digest() -> None:
    account = uuid.uuid4()
    minted = mint(account, now=5, expires=10)
    assert is_well_formed(minted.text)
    assert minted.text.startswith(f"pw_{minted.key.prefix}_")
    assert minted.key.digest == digest(minted.text)
    assert minted.text not in repr(minted.key)
    assert (minted.key.account_id, minted.key.created, minted.key.expires) == (account, 5, 10)


def test_no_two_keys_are_alike() -> None:
    assert len({mint(uuid.uuid4(), now=0).text for _ in range(100)}) == 100


@pytest.mark.parametrize("text", ["", "pw_", "pw_1234_abc", "x" * 100_000, "pw_00000000_" + "é" * 43, "\ud800"])
def test_nonsense_is_no_key(text: str) -> None:
    assert not is_well_formed(text)
    assert len(digest(text)) == 32


def test_keys_end() -> None:
    key = mint(uuid.uuid4(), now=0, expires=10).key
    assert is_valid(key, 9)
    assert not is_valid(key, 10)
    assert is_valid(msgspec.structs.replace(key, expires=None), 2**60)
    assert not is_valid(msgspec.structs.replace(key, expires=None, revoked=3), 2)


@pytest.mark.parametrize(
    ("role", "write", "administer"),
    [(Role.VIEWER, False, False), (Role.USER, True, False), (Role.ADMIN, True, True)],
)
def test_roles(role: Role, write: bool, administer: bool) -> None:
    account = Account(uuid.uuid4(), "ann", "", role, 0)
    assert (may_write(account), may_administer(account)) == (write, administer)
