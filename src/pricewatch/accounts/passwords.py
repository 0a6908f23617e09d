"""Passwords: argon2id in threads of their own, so that neither the loop nor a crowd of logins stalls the service."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pricewatch.domain.errors import Invalid, Unavailable

SHORTEST = 10
LONGEST = 1_024
T = TypeVar("T")


def check(password: str, *, name: str = "", field: str = "password") -> None:
    """Raises `Invalid` for what nobody should use. No rules about kinds of letters: length is what counts."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid(field, f"has {len(password)} characters; use {SHORTEST} to {LONGEST}, for example four words")
    if name and name.casefold() in password.casefold() and len(password) < SHORTEST + len(name):
        raise Invalid(field, "is little more than the account's name; use for example four words")
    if len(set(password)) < 4:
        raise Invalid(field, "repeats itself; use for example four words")


class Passwords:
    """Hashes and verifies, a few at a time; more than `queue` waiting are sent away with `Unavailable`.

    `memory` in KiB and `rounds` are those of new hashes; old ones say their own.
    """

    def __init__(self, *, memory: int, rounds: int, threads: int = 1, queue: int = 16) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory, parallelism=1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most = threads + queue
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The text to store. Raises `Unavailable` when too many wait."""
        return await self._do(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is this password. Without a hash it costs as much, and is false. Raises `Unavailable`."""
        return await self._do(lambda: self._verify(hashed, password))

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        """What is being worked on is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str | None, password: str) -> bool:
        if hashed is None and self._nobody is None:
            self._nobody = self._hasher.hash(secrets.token_bytes(16))
        try:
            is_right = self._hasher.verify(hashed or self._nobody or "", _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return is_right and hashed is not None

    async def _do(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Unavailable("too many log in at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
