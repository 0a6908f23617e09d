"""A session's part of the protocol of named consumers: joined, settled, left. No I/O, no clock."""

from __future__ import annotations

import uuid

from pricewatch.domain.consumer import Filter
from pricewatch.gateway.feed import wishes
from pricewatch.gateway.feed.codes import ErrorCode
from pricewatch.gateway.feed.membership import Join, Leave, Member, Members, Settle, settled
from pricewatch.gateway.feed.reading import Refusal
from pricewatch.gateway.feed.steps import Say, Step, error
from pricewatch.gateway.feed.subscription import Encoder
from pricewatch.ports.consumers import Joined, Lot, Settlement, Wish
from pricewatch.wire.feed import Params, Request, RequestId, Unsubscribed, encode


class Sharing:
    """What one session does as named consumers. `may_join`: its credential may write.

    To join moves a place that others share, to acknowledge moves it for ever: whoever only reads does neither.
    """

    def __init__(self, account: uuid.UUID, document: Encoder, *, in_flight: int, may_join: bool) -> None:
        self.members = Members()
        """The named consumers it has joined."""
        self._account = account
        self._document = document
        self._in_flight = in_flight
        self._may_join = may_join

    # -- asked for ----------------------------------------------------------------------------------------------------

    def conflict(self, name: str) -> Refusal | None:
        """Why this session cannot join that consumer."""
        if not self._may_join:
            reason = "to join a named consumer needs the scope `write`; subscribe with `after` to read without one"
            return Refusal(ErrorCode.SCOPE_MISSING, reason)
        if self.members.get(name) is not None:
            return Refusal(ErrorCode.ALREADY_SUBSCRIBED, f"this session has joined the consumer {name!r}")
        if self.members.is_full():
            return Refusal(ErrorCode.TOO_MANY_CONSUMERS, "leave one first, or open another session")
        return None

    def join(self, name: str, params: Params, wanted: Filter, req_id: RequestId) -> Join:
        """Begin to join; there is no conflict."""
        wait = wishes.microseconds(params.ack_wait)
        wish = Wish(self._account, name, params.channel, wanted, wait, wishes.start(params))
        return self.members.add(wish, params.max_in_flight or self._in_flight, req_id)

    def leave(self, name: str, request: Request) -> list[Step]:
        """What is held is given back."""
        channel, number = request.params.channel, request.req_id
        if self.members.get(name) is None:
            return [error(ErrorCode.UNKNOWN_CONSUMER, f"{name!r} was not joined here", number, channel)]
        self.members.drop(name)
        return [Leave(name), Say(encode(Unsubscribed(req_id=number, channel=channel, ok=True)))]

    def settle(self, request: Request) -> Settle | Refusal:
        """An ack, nack or extension; raises `Invalid`."""
        params = request.params
        wishes.check(request.method, params)
        member = self.members.get(params.consumer or "")
        if member is None or member.joined is None:
            return Refusal(ErrorCode.UNKNOWN_CONSUMER, f"{params.consumer!r} was not joined here", request.req_id)
        step = _step(request, member.joined.lease)
        if step.lease == member.joined.lease:
            member.settling(step)
        return step

    def is_owed(self, asked: Request | Refusal) -> bool:
        """Whether it settles what the client holds: that is never asking for too much."""
        if not isinstance(asked, Request) or asked.method not in {"ack", "nack"}:
            return False
        params, member = asked.params, self.members.get(asked.params.consumer or "")
        if member is None or member.joined is None or (params.seqs is None) == (params.upto is None):
            return False
        return params.lease in {None, member.joined.lease} and member.owes(_step(asked, 0))

    # -- answered -----------------------------------------------------------------------------------------------------

    def joined(self, name: str, joined: Joined) -> list[Step]:
        """What `Join` asked for."""
        member = self.members.get(name)
        return [] if member is None else [Say(member.begin(joined))]

    def delivered(self, member: Member, joined: Joined, lot: Lot) -> list[Step]:
        """What was taken for a consumer."""
        return [Say(frame) for frame in member.deliver(joined, lot, self._document)]

    def settled(self, step: Settle, channel: str, result: Settlement) -> list[Step]:
        """What `Settle` asked for."""
        return [Say(settled(step, channel, result))]

    def ended(self, name: str, code: ErrorCode, reason: str, req_id: RequestId) -> list[Step]:
        """A consumer could not be joined, or is no more."""
        member = self.members.get(name)
        if member is None:
            return []
        self.members.drop(name)
        return [error(code, f"consumer {name!r}: {reason}", req_id, member.wish.channel)]


def _step(request: Request, lease: int) -> Settle:
    params = request.params
    return Settle(
        method=request.method,
        name=params.consumer or "",
        seqs=tuple(dict.fromkeys(params.seqs or ())),
        upto=params.upto,
        lease=lease if params.lease is None else params.lease,
        delay=wishes.microseconds(params.delay),
        req_id=request.req_id,
    )
