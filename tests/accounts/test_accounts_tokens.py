from __future__ import annotations

import uuid

import msgspec
import pytest

from pricewatch.accounts.policy import abilities
from pricewatch.accounts.tokens import digest, is_ticket, is_valid, is_well_formed, issue, mint, open_session
from pricewatch.domain.account import EVERY_SCOPE, Account, Role, Scope


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
    ("role", "can"),
    [
        (Role.VIEWER, {Scope.READ}),
        (Role.USER, {Scope.READ, Scope.WRITE}),
        (Role.ADMIN, {Scope.READ, Scope.WRITE, Scope.ADMIN}),
    ],
)
def test_a_key_may_what_both_its_role_and_its_scopes_allow(role: Role, can: set[Scope]) -> None:
    account = Account(uuid.uuid4(), "ann", "", role, 0)
    assert abilities(account, EVERY_SCOPE) == can
    assert abilities(account, frozenset({Scope.READ})) == {Scope.READ}
    assert abilities(account, frozenset({Scope.ADMIN})) == can & {Scope.ADMIN}


def test_a_session_does_and_lives_no_more_than_its_key() -> None:
    account = uuid.uuid4()
    opened = open_session(account, now=5, lifetime=100, agent="Firefox")
    assert opened.session.digest == digest(opened.cookie)
    assert opened.cookie not in repr(opened.session)
    assert (opened.session.expires, opened.session.scopes, opened.session.key_id) == (105, EVERY_SCOPE, None)
    key = mint(account, now=0, expires=50, scopes=frozenset({Scope.READ})).key
    short = open_session(account, now=5, lifetime=100, key=key).session
    assert (short.expires, short.scopes, short.key_id) == (50, frozenset({Scope.READ}), key.id)
    endless = open_session(account, now=5, lifetime=100, key=mint(account, now=0).key).session
    assert endless.expires == 105


def test_a_ticket_is_known_only_by_its_digest() -> None:
    issued = issue(uuid.uuid4(), credential=b"c", is_session=True, expires=9)
    assert is_ticket(issued.text)
    assert not is_ticket("pwt_" + "x" * 42)
    assert issued.ticket.digest == digest(issued.text)
    assert issued.text not in repr(issued.ticket)
