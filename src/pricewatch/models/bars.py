"""All models of one market's closed bars: features, bank, alarm rate, bands, drift; fed, guarded, saved together."""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from pricewatch.models.bands.conformal import HorizonBand, Sides
from pricewatch.models.bands.reach import Reach
from pricewatch.models.bank.price import PriceBank
from pricewatch.models.bank.rate import AlarmRate
from pricewatch.models.bank.scores import NAMES
from pricewatch.models.drift import DriftWatch
from pricewatch.models.features import FeatureStream, Row, Shape, is_bar

HORIZONS = (1, 5, 15, 60, 360, 1_440)
"""Bars ahead for which there are bands: with bars of a minute, up to a day."""
CHECKPOINT = 500
"""Bars between two good states kept in memory."""
DEAD = 200
"""Bars with a move that answer with one and the same rarity: such a bank is dead, and begins anew."""
BANK, BANDS = "bank", "bands"
"""The names under which the state is saved, in two parts."""
SCHEMAS = {BANK: 2, BANDS: 3}
NAME = f"bank+bands@{SCHEMAS[BANK]}.{SCHEMAS[BANDS]}"
"""What a signal says took part."""
LARGEST = 1 << 20
"""Bytes of a state that are read at most."""
_PASSING = (KeyboardInterrupt, SystemExit)
"""What is not a model's failure; River's Rust panics, on the other hand, are no `Exception`."""
_DRIFTS = (None, "ranges", "coverage")
_KINDS: list[Any] = [int if name in ("at", "step", "hour") else float for name in Row._fields]
_STATE = msgspec.msgpack.Decoder(tuple[list[int], bytes])
_BANDS = msgspec.msgpack.Decoder(tuple[list[int], list[float], list[bytes]])
_ENCODE = msgspec.msgpack.Encoder().encode


class Closed(NamedTuple):
    """What is known once a bar has closed."""

    row: Row
    rarity: float
    """About -log10 of the probability of the rarest thing about it; 0 while the bank is silent."""
    ranks: list[float]
    """The same of each score, in the order of `NAMES`."""
    rate: float
    """Alarms a bar that a threshold would cost which the present cluster passes; infinite outside clusters."""
    drift: str | None
    """What has just drifted: `ranges` or `coverage`."""

    @property
    def parts(self) -> dict[str, float]:
        """The rarity of each score by its name."""
        return dict(zip(NAMES, self.ranks, strict=True))


class BarModels:
    """`close` takes a bar once it is closed. A failing model never gets out: all go back to the last good state."""

    __slots__ = (
        "_good", "_horizons", "_left", "_rarity", "_same", "bands", "bank", "drift", "failures", "features", "last",
        "rate", "reach",
    )  # fmt: skip

    def __init__(self, horizons: Sequence[int] = HORIZONS) -> None:
        self._horizons = list(horizons)
        self.failures = 0
        """How often a model failed, or was found dead, and the last good state was taken back."""
        self.last: Closed | None = None
        """The newest closed bar; None before the first, and after a failure without a good state."""
        self.features = FeatureStream()
        self.bank = PriceBank()
        self.rate = AlarmRate()
        self.drift = DriftWatch()
        self.reach = Reach()
        self.bands = [HorizonBand(horizon) for horizon in self._horizons]
        self._good: dict[str, bytes] = {}
        self._left = CHECKPOINT
        self._same = 0
        """Bars in a row with the same rarity."""
        self._rarity = 0.0

    def close(self, bar: Shape) -> list[Closed]:
        """The next closed bar; empty bars before it are made up. What each of them said, oldest first.

        Nothing for what is no bar, or not later than the last one: it teaches nothing.
        """
        if bar.at < self.features.at + self.features.step or not is_bar(bar):
            return []
        try:
            found = [self._close(one) for one in (*self.features.empties(bar.at, bar.step), bar)]
            self._watch(found)
        except _PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see _PASSING
            self._recover()
            return []
        return found

    def sides(self, place: int) -> Sides:
        """How far (in logarithms, by level) bands that `bands[place]` issues at the last close reach."""
        band = self.bands[place]
        return band.sides(self.reach.ahead(band.horizon, self.features))

    def dump(self) -> dict[str, bytes]:
        """The whole state in its two parts."""
        lists = [_dumped(self.last), self.features.dump(), self.rate.dump(), *self.drift.dump(), *self.bank.dump()]
        numbers = array("d", [number for one in lists for number in one])
        bank = _ENCODE([[len(one) for one in lists], zlib.compress(numbers.tobytes(), 1)])
        return {BANK: bank, BANDS: _ENCODE([self._horizons, self.reach.dump(), [band.dump() for band in self.bands]])}

    def load(self, name: str, payload: bytes) -> None:
        """Take one part up, exactly. Raises `ValueError` for anything else, and then that part begins anew."""
        try:
            if name == BANDS:
                self._load_bands(payload)
            else:
                self._load_bank(payload)
        except (ValueError, OverflowError, msgspec.MsgspecError, zlib.error) as error:
            self._renew(name)
            raise ValueError(f"not the state of {name}: {error}") from error
        self._good = self.dump()
        self._left = CHECKPOINT

    def _close(self, bar: Shape) -> Closed:
        features = self.features
        row = features.look(bar)
        judgement = self.bank.look(row)
        rate = self.rate.step(judgement.rarity)
        self.bank.learn(judgement)
        features.learn(row)
        self.reach.step(row, features)
        drift = None
        if features.settled:
            ahead = self.reach.ahead
            missed, *_ = [
                band.step(row.log, ahead(band.horizon, features) if band.issues else 0.0) for band in self.bands
            ]
            drift = self.drift.step(row.size / row.level, missed=None if missed is None else bool(missed >> 1 & 1))
        self.last = closed = Closed(row, judgement.rarity, judgement.ranks, rate, drift)
        return closed

    def _watch(self, found: Sequence[Closed]) -> None:
        """Finite, alive, and a good state now and then."""
        for one in found:
            rarity = one.rarity
            if not math.isfinite(sum(one.ranks)):
                raise ValueError(f"rarities of {one.ranks!r}")
            if one.row.move and rarity > 0.0:
                self._same = self._same + 1 if rarity == self._rarity else 0
                self._rarity = rarity
        if self._same >= DEAD:
            self._good = {}
            raise ValueError(f"{DEAD} bars with a rarity of {self._rarity!r}")
        self._left -= len(found)
        if self._left <= 0:
            self._left = CHECKPOINT
            self._good = self.dump()

    def _recover(self) -> None:
        self.failures += 1
        self._same = 0
        good = self._good
        self._renew(BANK)
        self._renew(BANDS)
        for name, payload in good.items():
            with suppress(ValueError):  # what was good in memory and is not readable now begins anew
                self.load(name, payload)

    def _renew(self, name: str) -> None:
        if name == BANDS:
            self.reach = Reach()
            self.bands = [HorizonBand(horizon) for horizon in self._horizons]
            return
        self.last = None
        self.features = FeatureStream()
        self.bank = PriceBank()
        self.rate = AlarmRate()
        self.drift = DriftWatch()

    def _load_bands(self, payload: bytes) -> None:
        horizons, reach, dumps = _BANDS.decode(payload)
        if horizons != self._horizons or len(dumps) != len(horizons):
            raise ValueError(f"bands of the horizons {horizons}")
        self.reach.load(reach)
        for band, dump in zip(self.bands, dumps, strict=True):
            band.load(dump)

    def _load_bank(self, payload: bytes) -> None:
        lengths, packed = _STATE.decode(payload)
        numbers = array("d")
        numbers.frombytes(zlib.decompressobj().decompress(packed, LARGEST))
        if sum(lengths) != len(numbers) or len(lengths) < 7 or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{len(numbers)} numbers in {len(lengths)} parts, finite each")
        rest = iter(numbers)
        last, features, rate, *others = [list(islice(rest, length)) for length in lengths]
        self.last = _loaded(last)
        self.features.load(features)
        self.rate.load(rate)
        self.drift.load(others[:3])
        self.bank.load(others[3:])


def _dumped(last: Closed | None) -> list[float]:
    if last is None:
        return []
    rate = -1.0 if math.isinf(last.rate) else last.rate
    return [*last.row, last.rarity, rate, _DRIFTS.index(last.drift), *last.ranks]


def _loaded(numbers: Sequence[float]) -> Closed | None:
    if not numbers:
        return None
    count = len(Row._fields)
    if len(numbers) != count + 3 + len(NAMES) or not 0 <= numbers[count + 2] < len(_DRIFTS):
        raise ValueError(f"a closed bar of {len(numbers)} numbers")
    row = Row(*(kind(number) for kind, number in zip(_KINDS, numbers, strict=False)))
    rarity, rate, drift, *ranks = numbers[count:]
    return Closed(row, rarity, ranks, math.inf if rate < 0.0 else rate, _DRIFTS[int(drift)])
