"""How much anybody may ask in a minute: counted here, or in Redis for all gateways together."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, NamedTuple

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock

log = structlog.get_logger(__name__)

_SECOND = 1_000_000
_MOST_KEPT = 100_000
_NAMESPACE = "pricewatch"
_PATIENCE = 0.5
"""Seconds Redis may take."""


class Standing(NamedTuple):
    """Where somebody stands after one more request."""

    policy: str
    quota: int
    window: int
    """Seconds."""
    left: int
    reset: int
    """Seconds until the window ends."""
    is_over: bool

    def headers(self) -> dict[str, str]:
        """As the IETF's draft on RateLimit header fields has it."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={self.window}',
            "RateLimit": f'"{self.policy}";r={self.left};t={self.reset}',
        }

    def refuse(self, code: str = "rate_limited", what: str = "too many requests") -> None:
        """Raises `Denied` (429) when it is over."""
        if self.is_over:
            headers = {**self.headers(), "Retry-After": str(self.reset)}
            raise Denied(429, code, f"{what}; try again in {self.reset} s", headers=headers)


class Windows(Storage):
    """Counts in memory: the oldest go when there are too many of them."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """None are foreseen."""
        return StorageError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; a window begins with its first."""
        count, until = self._standing(key)
        self._counts[key] = count + amount, until or self._now() + expiry
        if len(self._counts) > _MOST_KEPT:
            self._counts.popitem(last=False)
        return count + amount

    async def get(self, key: str) -> int:
        """How many in the current window."""
        return self._standing(key)[0]

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970."""
        return self._standing(key)[1] or self._now()

    async def check(self) -> bool:
        """Always there."""
        return True

    async def reset(self) -> int:
        """Forget all."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)

    def _standing(self, key: str) -> tuple[int, float]:
        count, until = self._counts.get(key, (0, 0.0))
        if until <= self._now():
            self._counts.pop(key, None)
            return 0, 0.0
        return count, until

    def _now(self) -> float:
        return self._clock.now() / _SECOND


class RateLimits:
    """Every policy by name. While Redis is away each gateway counts for itself."""

    def __init__(self, settings: GatewaySettings, clock: Clock, *, redis: str = "") -> None:
        self._clock = clock
        self._policies = {
            "read": _per(settings.read_limit, 60),
            "write": _per(settings.write_limit, 60),
            "anonymous": _per(settings.anonymous_limit, 60),
            "login": _per(settings.login_attempts, 60),
            "name": _per(settings.name_attempts, settings.name_window),
        }
        self._own = FixedWindowRateLimiter(Windows(clock))
        self._pool = ConnectionPool.from_url(redis, socket_timeout=_PATIENCE) if redis else None
        self._shared = FixedWindowRateLimiter(_redis(self._pool)) if self._pool is not None else None
        self._is_away = False

    async def spend(self, policy: str, who: str) -> Standing:
        """Count one request."""
        item = self._policies[policy]
        if self._shared is not None:
            try:
                standing = await self._spend(self._shared, policy, item, who)
            except (StorageError, OSError) as error:
                self._lost(error)
            else:
                self._is_away = False
                return standing
        return await self._spend(self._own, policy, item, who)

    async def forgive(self, policy: str, who: str) -> None:
        """Begin at nothing again."""
        for limiter in (self._shared, self._own):
            if limiter is not None:
                try:
                    await limiter.clear(self._policies[policy], policy, who)
                except (StorageError, OSError) as error:
                    self._lost(error)

    async def close(self) -> None:
        """Let go of Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _spend(self, limiter: FixedWindowRateLimiter, policy: str, item: RateLimitItem, who: str) -> Standing:
        is_within = await limiter.hit(item, policy, who)
        stats = await limiter.get_window_stats(item, policy, who)
        reset = max(1, math.ceil(stats.reset_time - self._clock.now() / _SECOND))
        window = item.get_expiry()
        return Standing(policy, item.amount, window, stats.remaining, min(reset, window), not is_within)

    def _lost(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("limits.redis_away", error=str(error))
        self._is_away = True


def _per(amount: int, seconds: int) -> RateLimitItem:
    return RateLimitItemPerSecond(amount, seconds, namespace=_NAMESPACE)


def _redis(pool: ConnectionPool) -> Storage:
    """The address is the pool's; the one given here is only to say what it is."""
    options: Any = {"connection_pool": pool}
    return RedisStorage("async+redis://", wrap_exceptions=True, implementation="redispy", **options)
