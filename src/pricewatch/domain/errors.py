"""Errors named by what to do about them."""

from __future__ import annotations


class PricewatchError(Exception):
    """The root of every error pricewatch raises on purpose."""


class ConfigError(PricewatchError):
    """Stop: something the operator wrote is wrong. Says key, value and fix."""


class BadData(PricewatchError):  # noqa: N818 - named by what it is, not by a suffix
    """Drop one: this message or row is unusable; the next one may be fine."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(PricewatchError):  # noqa: N818
    """Try again later: the other side is away."""


class Refused(PricewatchError):  # noqa: N818
    """Never again as it stands: the other side said no, and why."""

    def __init__(self, reason: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds the other side wants us to stay away, where it said so."""


class Fenced(PricewatchError):  # noqa: N818
    """Another process owns this shard now: stop evaluating at once."""


class NotFound(PricewatchError):  # noqa: N818
    """There is no such thing, or it is not yours."""


class Invalid(PricewatchError):  # noqa: N818
    """What a user sent is wrong: names the field, the value and the fix."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)  # what pickle makes it of again, on its way out of another process
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem
