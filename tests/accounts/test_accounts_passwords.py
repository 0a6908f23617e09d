from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pricewatch.accounts.passwords import Passwords, check
from pricewatch.domain.errors import Invalid, Unavailable


@pytest.fixture
def hasher() -> Iterator[Passwords]:
    made = Passwords(memory=64, rounds=1)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("short", "has 5 characters"),
        ("x" * 1_025, "has 1025 characters"),
        ("bartholomew1", "the account's name"),
        ("aaaaaaaaaaaa", "repeats itself"),
    ],
)
def test_what_nobody_should_use(password: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        check(password, name="Bartholomew", field="new")
    assert caught.value.field == "new"


@pytest.mark.parametrize("password", ["correct horse battery", "pässwörter zählen", "bartholomew likes 4 long words"])
def test_length_is_what_counts(password: str) -> None:
    check(password, name="bartholomew")


async def test_a_hash_is_of_its_password_alone(hasher: Passwords) -> None:
    hashed = await hasher.hash("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert hashed != await hasher.hash("correct horse")
    assert await hasher.verify(hashed, "correct horse")
    assert not await hasher.verify(hashed, "correct horse ")
    assert not await hasher.verify("no hash", "correct horse")
    assert not await hasher.verify(await hasher.hash("\ud800 odd ones too"), "correct horse")


async def test_nobody_has_no_password(hasher: Passwords) -> None:
    assert not await hasher.verify(None, "")
    assert not await hasher.verify(None, "correct horse")


async def test_older_parameters_are_seen(hasher: Passwords) -> None:
    hashed = await hasher.hash("correct horse")
    assert not hasher.is_outdated(hashed)
    stronger = Passwords(memory=128, rounds=1)
    assert stronger.is_outdated(hashed)
    assert await stronger.verify(hashed, "correct horse")
    stronger.close()


async def test_it_is_not_done_on_the_loop_and_a_crowd_is_sent_away() -> None:
    hasher = Passwords(memory=64, rounds=1, threads=1, queue=2)
    gate, seen = threading.Event(), []

    def hold() -> None:
        seen.append(threading.current_thread())
        gate.wait(30)

    async with asyncio.TaskGroup() as group:
        held = group.create_task(hasher._do(hold))
        waiting = [group.create_task(hasher.hash("correct horse")) for _ in range(2)]
        while not seen:
            await asyncio.sleep(0.005)
        with pytest.raises(Unavailable, match="too many"):
            await hasher.hash("correct horse")
        gate.set()
    assert seen != [threading.main_thread()]
    assert held.done()
    assert all(task.result() for task in waiting)
    assert await hasher.hash("correct horse")
    hasher.close()
