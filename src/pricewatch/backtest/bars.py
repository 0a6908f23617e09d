"""Rules on anomalies: the scores that the models gave live are stored a minute, and read again here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from pricewatch.domain.market import Trade
from pricewatch.domain.model import BarScore
from pricewatch.domain.rule import Phase
from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import MINUTE
from pricewatch.ports.ticks import Sequenced
from pricewatch.rules.base import PRICE, SCORE, Condition, Feature, Triggers
from pricewatch.rules.document import Rule


class OfBars(msgspec.Struct, frozen=True):
    """A condition whose number comes where prices come: minute by minute, as stored."""

    inner: Condition

    kind: ClassVar[str] = "anomaly"
    emits_clear: ClassVar[bool] = True

    @property
    def level(self) -> float:
        """As the condition's."""
        return self.inner.level

    @property
    def clear(self) -> float:
        """As the condition's."""
        return self.inner.clear

    def needs(self) -> Feature:
        """What stands where the price stands."""
        return PRICE

    def begins(self, prior: float, x: float) -> bool:
        """As the condition."""
        return self.inner.begins(prior, x)

    def holds(self, x: float) -> bool:
        """As the condition."""
        return self.inner.holds(x)

    def cleared(self, x: float) -> bool:
        """As the condition."""
        return self.inner.cleared(x)

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """As the condition."""
        return self.inner.triggers(phase, x)

    def evidence(self) -> dict[str, Any]:
        """As the condition's."""
        return self.inner.evidence()


def by_bars(rule: Rule) -> Rule:
    """The rule, to be fed with `numbers`."""
    return msgspec.structs.replace(rule, when=OfBars(rule.when))


def numbers(rule: Rule, scores: Iterable[BarScore]) -> Iterator[Sequenced]:
    """What the rule reads at the close of each minute: its score, or how rare its cluster is, in weeks."""
    is_score = rule.when.needs() == SCORE
    for one in scores:
        number = one.score if is_score else 1.0 / one.alarms if one.alarms else 0.0
        at = one.at + MINUTE
        yield Sequenced(one.seen, Trade(one.market, at, number, 0.0, 0, at, one.seen))


def told(signal: Signal, closes: Mapping[int, float], feature: Feature) -> Signal:
    """The signal with the price of its minute, where it is known, and the number as what it is."""
    price = closes.get(signal.at - signal.at % MINUTE - MINUTE, 0.0)
    if signal.direction is Direction.DIGEST:  # its prices are numbers of minutes
        kept = signal.evidence
        times = {name: {"at": kept[name]["at"]} for name in ("first", "last")}
        return msgspec.structs.replace(
            signal, price=price, evidence={"v": kept["v"], "count": kept["count"], "since": kept["since"], **times}
        )
    evidence = {**signal.evidence, "feature": feature.name, "value": signal.price}
    evidence.pop("price", None)
    evidence.pop("prior", None)
    return msgspec.structs.replace(signal, price=price, evidence=evidence)
