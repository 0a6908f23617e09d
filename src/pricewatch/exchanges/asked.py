"""Subscriptions a venue has not answered yet, for venues whose refusals name nobody."""

from __future__ import annotations

from collections.abc import Iterable

from pricewatch.exchanges.base import Notice, Output, Subscribed, Subscription, SubscriptionFailed

_MARKS = "'\"`.,:;()[]"


def mentioned(reason: str, natives: Iterable[str]) -> list[str]:
    """Those of the venue's names that its prose has as words of their own, in their order."""
    words = {word.strip(_MARKS) for word in reason.split()}
    return [native for native in natives if native in words]


class Asked:
    """Finds out whom a nameless refusal meant: once as many came as requests are open, those are the refused ones.

    Until then, a refusal is a notice, and the session asks again for what stays unconfirmed.
    """

    __slots__ = ("_open", "_reasons")

    def __init__(self) -> None:
        self._open: dict[Subscription, None] = {}
        self._reasons: list[str] = []

    def ask(self, wanted: Iterable[Subscription]) -> None:
        """These were asked for; what is asked for a second time makes the count start anew."""
        for subscription in wanted:
            if subscription in self._open:
                self._reasons.clear()
            self._open[subscription] = None

    def forget(self, gone: Iterable[Subscription]) -> None:
        """These are not wanted any more, whatever the venue answers."""
        for subscription in gone:
            self._open.pop(subscription, None)

    def confirmed(self, subscription: Subscription, out: list[Output]) -> None:
        """The venue confirmed one."""
        self._open.pop(subscription, None)
        out.append(Subscribed(*subscription))
        self._settle(out)

    def failed(self, subscription: Subscription, reason: str, out: list[Output]) -> None:
        """The venue refused one by name."""
        self._open.pop(subscription, None)
        out.append(SubscriptionFailed(*subscription, reason))
        self._settle(out)

    def refused(self, reason: str, out: list[Output]) -> None:
        """The venue refused one and did not say which."""
        out.append(Notice(reason))
        if self._open:
            self._reasons.append(reason)
            self._settle(out)

    def _settle(self, out: list[Output]) -> None:
        if self._reasons and len(self._reasons) >= len(self._open):
            reason = self._reasons[-1]
            out.extend(SubscriptionFailed(*subscription, reason) for subscription in self._open)
            self._open.clear()
            self._reasons.clear()
