"""What happens around a condition: how long it must hold, when it ends, who is told."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND, parse_instant, parse_span
from pricewatch.rules.bars import Bar, bar
from pricewatch.rules.numbers import Number, percent, positive, shown
from pricewatch.rules.quiet import Quiet, QuietDocument

CHANNELS = ("email", "webhook", "webhook:NAME")
"""The channels a rule may name; every signal goes to the feed in any case."""
_CHANNEL = re.compile(r"email|webhook(?::[A-Za-z0-9][A-Za-z0-9._-]{0,63})?")
LONGEST = 30 * DAY
MOST_FIRES = 1_000_000
MOST_PER_HOUR = 1_000
"""So many fires within one hour on one market are no information any more."""

Severity = Literal["info", "warning", "critical"]


class NodataDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{"after": "5m", "then": "fire"}`."""

    after: Annotated[str, msgspec.Meta(description="How long without a trade, from '1s' to '24h'.")]
    then: Annotated[
        Literal["ok", "fire", "keep"],
        msgspec.Meta(description="'ok': it ends; 'fire': it fires, until a trade says otherwise; 'keep': nothing."),
    ] = "fire"


class PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `policy` of a rule document."""

    hold: Annotated[str, msgspec.Meta(description="How long it must hold before it fires, e.g. '5s'.")] = msgspec.field(
        name="for", default="0s"
    )
    clear: Annotated[
        Number | None, msgspec.Meta(description="Where it ends, in the unit of the condition's threshold.")
    ] = None
    hysteresis: Annotated[
        Number | None, msgspec.Meta(description="Where it ends, as a percentage of the threshold back, e.g. '0.1%'.")
    ] = None
    cooldown: Annotated[
        str,
        msgspec.Meta(
            description="Event time after a fire before the next one; a rule still true then fires, e.g. '10m'."
        ),
    ] = "0s"
    fires: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=MOST_FIRES)] | Literal["once", "always"],
        msgspec.Meta(description="How often it may fire on each market: 'once', a number, or 'always'."),
    ] = "always"
    fire_on_arming: Annotated[
        bool, msgspec.Meta(description="Fire when it is already true at the rule's first trade.")
    ] = False
    clear_signal: Annotated[bool, msgspec.Meta(description="Send a signal when it ends.")] = True
    severity: Severity = "info"
    channels: Annotated[
        list[str],
        msgspec.Meta(
            description="Channels beside the feed: 'email', 'webhook' (all of yours) or 'webhook:NAME' (that one).",
            max_length=8,
        ),
    ] = []
    mail_on_clear: Annotated[bool, msgspec.Meta(description="Use the channels for the end as well.")] = False
    suspect: Annotated[
        bool,
        msgspec.Meta(description="Count unconfirmed prints far off the recent prices as well (price levels only)."),
    ] = False
    most_per_hour: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=MOST_FIRES,
            description="Pause the rule on a market, and say so, when it would fire more often there within an hour.",
        ),
    ] = MOST_PER_HOUR
    digest: Annotated[
        str,
        msgspec.Meta(
            description="How often a rule so paused tells what it would have fired meanwhile, from '1s' to '24h'."
        ),
    ] = "1h"
    expires: Annotated[
        str | None, msgspec.Meta(description="When the rule ends for good, e.g. '2026-12-31T18:00:00Z'.")
    ] = None
    warn: Annotated[
        str, msgspec.Meta(description="How long before it expires a signal says so, e.g. '24h'; '0s' for not at all.")
    ] = "24h"
    evaluate: Annotated[
        Literal["tick", "bar", "close"],
        msgspec.Meta(description="'tick': at every trade; 'bar': so, but firing once a bar; 'close': as bars end."),
    ] = "tick"
    bar: Annotated[
        Bar | None, msgspec.Meta(description="The bars that 'evaluate' means; an indicator's own unless told.")
    ] = None
    nodata: Annotated[
        NodataDocument | None, msgspec.Meta(description="What it means when nothing is traded for some time.")
    ] = None
    quiet: Annotated[
        QuietDocument | None,
        msgspec.Meta(description="Hours in which deliveries wait for their end; the feed never waits."),
    ] = None


class Policy(msgspec.Struct, frozen=True, gc=False):
    """A checked policy; spans in microseconds."""

    hold: int = 0
    cooldown: int = 0
    fires: int = 0
    """How often it may fire on each market; 0 for always."""
    fire_on_arming: bool = False
    clear_signal: bool = True
    severity: str = "info"
    channels: tuple[str, ...] = ()
    mail_on_clear: bool = False
    suspect: bool = False
    most_per_hour: int = MOST_PER_HOUR
    """Fires on one market within one hour of event time; with the next one it is paused there."""
    digest: int = HOUR
    """How long after the pause, or after the last digest, what it would have fired is told."""
    expires: int = 0
    """When it ends for good (our clock), 0 for never."""
    warn: int = 0
    """How long before that a signal says so; 0 for not at all."""
    quiet: Quiet | None = None
    once_per: int = 0
    """It fires once in a bar of that span (event time); 0 for any number of times."""
    every: int = 0
    """It looks only where bars of that span end; 0 for at every trade."""
    silence: int = 0
    """After how long without a trade that means something; 0 for never."""
    silence_fires: bool = False
    """It means that the rule fires; otherwise that it has ended."""

    def judges_as(self, other: Policy) -> bool:
        """Whether both make the same signals: they differ at most in who is told, when, and how loudly."""
        return self._told_plainly() == other._told_plainly()

    def _told_plainly(self) -> Policy:
        return msgspec.structs.replace(self, severity="", channels=(), mail_on_clear=False, quiet=None)


class Back(msgspec.Struct, frozen=True):
    """How far back a condition ends: an own level, a fraction of the threshold, or the condition's default."""

    clear: Decimal | None = None
    fraction: Decimal | None = None

    def of(self, threshold: Decimal, default: Decimal, *, up: bool = True) -> Decimal:
        """The clear level of a threshold; raises `Invalid` when it lies on the wrong side."""
        if self.clear is not None:
            if (self.clear > threshold) if up else (self.clear < threshold):
                side = "above" if up else "below"
                better = "at most" if up else "at least"
                raise Invalid(
                    "$.policy.clear",
                    f"{shown(self.clear)} lies {side} the threshold {threshold}; it must be {better} that",
                )
            return self.clear
        fraction = default if self.fraction is None else self.fraction
        return threshold * (1 - fraction if up else 1 + fraction)


def span(text: str, field: str) -> int:
    """Microseconds of a span of at most 30 days; raises `Invalid`."""
    value = parse_span(text, field=field)
    if value > LONGEST:
        raise Invalid(field, f"{shown(text)} is longer than 30 days; write at most '30d'")
    return value


def back(document: PolicyDocument, *, percents: bool) -> Back:
    """Where the policy says that a condition ends; `percents` where its threshold is a percentage."""
    if document.clear is not None and document.hysteresis is not None:
        raise Invalid("$.policy.hysteresis", "'clear' is given as well; keep one of the two")
    if document.clear is not None:
        read = percent if percents else positive
        return Back(clear=read(document.clear, "$.policy.clear"))
    if document.hysteresis is None:
        return Back()
    width = percent(document.hysteresis, "$.policy.hysteresis")
    if not 0 <= width < 100:
        raise Invalid(
            "$.policy.hysteresis", f"{shown(document.hysteresis)} must be at least 0% and below 100%; try '0.1%'"
        )
    return Back(fraction=width / 100)


def _silence(document: NodataDocument | None) -> int:
    if document is None:
        return 0
    after = parse_span(document.after, field="$.policy.nodata.after")
    if not SECOND <= after <= DAY:
        raise Invalid("$.policy.nodata.after", f"{shown(document.after)} must be from '1s' to '24h'")
    return 0 if document.then == "keep" else after


def _digest(text: str) -> int:
    every = parse_span(text, field="$.policy.digest")
    if not SECOND <= every <= DAY:
        raise Invalid("$.policy.digest", f"{shown(text)} must be from '1s' to '24h'; try '1h'")
    return every


def _fires(written: int | str) -> int:
    if isinstance(written, int):
        return written
    return 1 if written == "once" else 0


def build(document: PolicyDocument, *, emits_clear: bool, own_bar: int = MINUTE) -> Policy:
    """The checked policy; `own_bar` where it names none. Raises `Invalid` for contradictions."""
    for number, channel in enumerate(document.channels):
        if not _CHANNEL.fullmatch(channel):
            raise Invalid(f"$.policy.channels[{number}]", f"{shown(channel)} is no channel; known: {list(CHANNELS)}")
    if document.fire_on_arming and not emits_clear:
        raise Invalid(
            "$.policy.fire_on_arming", "true, but this condition is an event, which needs a sample before it; remove it"
        )
    if document.mail_on_clear and not (document.clear_signal and emits_clear and document.channels):
        raise Invalid(
            "$.policy.mail_on_clear", "true, but there is no clear signal or no channel; set 'channels' or remove it"
        )
    if document.warn != PolicyDocument().warn and document.expires is None:
        raise Invalid(
            "$.policy.warn", f"{shown(document.warn)}, but the rule never expires; add 'expires' or remove it"
        )
    if document.bar is not None and document.evaluate == "tick":
        raise Invalid("$.policy.bar", f"{shown(document.bar)}, but 'evaluate' is 'tick'; write 'bar' or 'close' there")
    span_of_bar = own_bar if document.bar is None else bar(document.bar, "$.policy.bar")
    return Policy(
        hold=span(document.hold, "$.policy.for"),
        cooldown=span(document.cooldown, "$.policy.cooldown"),
        fires=_fires(document.fires),
        fire_on_arming=document.fire_on_arming,
        clear_signal=document.clear_signal and emits_clear,
        severity=document.severity,
        channels=tuple(dict.fromkeys(document.channels)),
        mail_on_clear=document.mail_on_clear,
        suspect=document.suspect,
        most_per_hour=document.most_per_hour,
        digest=_digest(document.digest),
        expires=0 if document.expires is None else parse_instant(document.expires, field="$.policy.expires"),
        warn=span(document.warn, "$.policy.warn") if document.expires else 0,
        quiet=None if document.quiet is None else document.quiet.build(),
        once_per=span_of_bar if document.evaluate == "bar" else 0,
        every=span_of_bar if document.evaluate == "close" else 0,
        silence=_silence(document.nodata),
        silence_fires=document.nodata is not None and document.nodata.then == "fire",
    )
