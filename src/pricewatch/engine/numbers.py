"""The numbers that are read of one market: each made when the first rule reads it, and dropped with the last."""

from __future__ import annotations

import msgspec

from pricewatch.domain.market import Quote
from pricewatch.engine.closing import Closing
from pricewatch.engine.gauges.base import Followed
from pricewatch.engine.gauges.indicator import Indicator
from pricewatch.engine.gauges.registry import GAUGES
from pricewatch.engine.index import LevelIndex
from pricewatch.engine.series import Series, Window
from pricewatch.engine.silence import SILENCE, Silence
from pricewatch.rules.base import OUTSIDE, OVER, PRICE, QUOTED, SCORE, UNDER, Feature
from pricewatch.rules.minutes import is_of_minutes


class Numbers:
    """Which numbers are followed, and what measures them. The price always is."""

    __slots__ = (
        "bands", "closings", "gauges", "indexes", "model_seen", "number", "price", "quote", "quoted", "saved", "score",
        "series", "silences",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        """The market's."""
        self.model_seen = 0
        """Models and bars already contain every trade up to here."""
        self.price = LevelIndex(PRICE)
        self.score: LevelIndex | None = None
        self.quoted: list[LevelIndex] = []
        """What quotes move."""
        self.bands: list[LevelIndex] = []
        self.indexes: dict[Feature, LevelIndex] = {PRICE: self.price}
        """What is read by some rule, besides the price, which always is."""
        self.series = Series()
        self.gauges: list[Followed] = []
        self.quote: Quote | None = None
        """The last one, while some rule reads quotes."""
        self.silences: list[Silence] = []
        self.closings: dict[int, Closing] = {}
        """By the span of the bars."""
        self.saved: tuple[int, dict[str, list[object]]] = (0, {})
        """What indicators were saved with, and the place in the order at which that was."""

    def index(self, feature: Feature, after: int) -> LevelIndex:
        """The index of a number, made when the first rule reads it; `after` is that rule's `effective_seen`."""
        found = self.indexes.get(feature)
        if found is None:
            found = self.indexes[feature] = LevelIndex(feature)
            self._adopt(found, after)
        elif (followed := self.gauge(found)) is not None:
            followed.after = max(followed.floor, min(followed.after, after))
        return found

    def _adopt(self, found: LevelIndex, after: int) -> None:
        feature = found.feature
        if feature.every:
            self._view(found, after)
        elif feature == SCORE:
            self.score = found
        elif feature in QUOTED:
            self.quoted.append(found)
        elif feature.name == SILENCE:
            self.silences.append(Silence(found, self.number))
        elif feature in (OVER, UNDER, OUTSIDE) or is_of_minutes(feature):
            self.bands.append(found)
        elif feature.name in GAUGES:
            self.gauges.append(self._follow(found, after))
        else:
            self.series.windows.append(Window(found))

    def _view(self, index: LevelIndex, after: int) -> None:
        feature = index.feature
        number = self.index(msgspec.structs.replace(feature, every=0), after)
        closing = self.closings.setdefault(feature.every, Closing(feature.every, self.number))
        closing.views[index] = number
        seen, saved = self.saved
        if seen == self.model_seen and (held := saved.get(index.feature.key)):
            closing.known[index] = seen
            index.x = index.now = msgspec.convert(held[0], float)

    def _follow(self, index: LevelIndex, after: int) -> Followed:
        """A gauge, as it was saved where it was."""
        followed = Followed(GAUGES[index.feature.name](index.feature), index, after)
        seen, saved = self.saved
        if seen == self.model_seen and isinstance(followed.gauge, Indicator) and (held := saved.get(index.feature.key)):
            followed.gauge.load(held)
            followed.floor = followed.after = seen
            index.x = index.now = followed.gauge.number()
        return followed

    def indicators(self) -> dict[str, list[object]]:
        """What indicators remember, and what they were where bars ended last."""
        followed = {one.index: one.gauge for one in self.gauges if isinstance(one.gauge, Indicator)}
        found = {index.feature.key: gauge.save() for index, gauge in followed.items()}
        for closing in self.closings.values():
            for view, number in closing.views.items():
                if number in followed:
                    found[view.feature.key] = [view.x]
        return found

    def gauge(self, index: LevelIndex) -> Followed | None:
        """What measures the number of `index`; None where it is no gauge's."""
        return next((followed for followed in self.gauges if followed.index is index), None)

    def release(self, index: LevelIndex) -> None:
        """Nobody reads this number any more: it costs nothing from now on."""
        if index is self.price or any(index in closing.views.values() for closing in self.closings.values()):
            return
        del self.indexes[index.feature]
        self._drop(index)

    def _drop(self, index: LevelIndex) -> None:
        if index.feature.every:
            self._unview(index)
        elif index is self.score:
            self.score = None
        elif index in self.quoted:
            self.quoted.remove(index)
            self.quote = self.quote if self.quoted else None
        elif (silence := self.silence(index)) is not None:
            silence.due_at = silence.due_seen = 0
            self.silences.remove(silence)
        elif index in self.bands:
            self.bands.remove(index)
        elif (followed := self.gauge(index)) is not None:
            self.gauges.remove(followed)
        else:
            windows = [window for window in self.series.windows if window.index is not index]
            if not windows:
                self.series = Series()
            self.series.windows = windows

    def _unview(self, index: LevelIndex) -> None:
        closing = self.closings[index.feature.every]
        number = closing.views.pop(index)
        closing.known.pop(index, None)
        if not closing.views:
            closing.due_at = closing.due_seen = 0
            del self.closings[index.feature.every]
        if not number.members:
            self.release(number)

    def silence(self, index: LevelIndex) -> Silence | None:
        """What times the silence `index` is about; None where it is no silence's."""
        return next((silence for silence in self.silences if silence.index is index), None)
