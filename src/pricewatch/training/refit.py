"""One fit from its candles to the registry and to those who use it."""

from __future__ import annotations

import math
import uuid
from typing import Protocol

import msgspec
import structlog

from pricewatch.domain.errors import BadData
from pricewatch.domain.model import (
    Baseline,
    Forecast,
    ForecastRow,
    ModelEvent,
    Outlook,
    OutlookRow,
    Pointer,
    What,
)
from pricewatch.domain.packed import Packed
from pricewatch.domain.time import DAY, HOUR, SECOND, named
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import FORGOTTEN_AT_ONCE, ForecastSink, ModelStore
from pricewatch.ports.registry import Artefacts, Registry
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.promote import refusal
from pricewatch.training.settings import TrainingSettings

log = structlog.get_logger(__name__)

ACTOR = "training"
MODEL = "prophet"


class Fits(Protocol):
    """What fits: never raises for what happens inside."""

    async def fit(self, job: Job) -> Fitted | Failed:
        """One at a time."""
        ...


class State(msgspec.Struct, frozen=True):
    """How one kind stands on one market."""

    status: str
    """`ok`, `gappy`, `empty`, `short`, `constant`, `spiking`, `sparse`, `failed`, `killed`, `died` or `memory`."""
    note: str
    expires: int = 0
    """Event time from which what was made last is not used any more; 0 before the first."""
    pointer: Pointer | None = None
    """The version in use."""

    @property
    def fitted(self) -> bool:
        """Whether the last try brought a version."""
        return self.status in {"ok", "gappy"}


class Candles(msgspec.Struct, frozen=True):
    """What was read for a market: candles of one span, and where the open ones begin."""

    packed: Packed
    span: int
    until: int


class Refitter:
    """Measures each new version beside the one in use; only the better one's rows go out."""

    def __init__(
        self,
        settings: TrainingSettings,
        *,
        fits: Fits,
        models: ModelStore,
        registry: Registry,
        artefacts: Artefacts,
        forecasts: ForecastSink,
        clock: Clock,
    ) -> None:
        self.fits = fits
        self.promoted = 0
        self.kept = 0
        self.refused = 0
        self._settings = settings
        self._models = models
        self._registry = registry
        self._artefacts = artefacts
        self._forecasts = forecasts
        self._clock = clock
        self._payloads: dict[uuid.UUID, bytes] = {}
        self._registered = 0
        self._pruned = 0

    async def refit(self, market: int, kind: str, candles: Candles, pointer: Pointer | None, before: State) -> State:
        """The market's new state. Raises `Unavailable` when storage is away; then nothing has changed."""
        outcome = self._too_little(kind, candles) or await self._fit(kind, candles, pointer)
        if isinstance(outcome, Fitted) and not _is_sound(outcome):
            outcome = Failed("a number of the band is not finite or out of order")
        if isinstance(outcome, Failed):
            await self._note_failure(market, kind, outcome, before)
            return State(outcome.status, outcome.reason, before.expires, before.pointer)
        if outcome.refused and pointer is not None:
            await self._refuse(pointer, BadData("artefact", outcome.refused))
        baseline, in_use = await self._register(market, kind, outcome, pointer)
        expires = await self._publish(baseline, outcome)
        return State(outcome.status, outcome.note, expires, in_use)

    async def prune(self) -> None:
        """Forget old versions and forecasts now and then; artefacts go after the rows that name them."""
        now, ours = self._clock.now(), self._settings
        if now >= self._pruned + HOUR:
            before, since = now - round(ours.forecast_keep * SECOND), now - DAY
            forgotten = FORGOTTEN_AT_ONCE
            while forgotten >= FORGOTTEN_AT_ONCE:
                forgotten = await self._models.forget_forecasts(before)
            await self._models.thin_forecasts(since)
            self._pruned = now
        if self._registered >= self._settings.keep_versions:
            self._registered = 0
            await self._artefacts.remove(await self._registry.prune(self._settings.keep_versions))

    async def _fit(self, kind: str, candles: Candles, pointer: Pointer | None) -> Fitted | Failed:
        champion = b"" if pointer is None else await self._champion(pointer)
        return await self.fits.fit(self._job(kind, candles, champion, pointer))

    def _too_little(self, kind: str, candles: Candles) -> Failed | None:
        """Too few candles for any span: no process need be asked, as it would be each minute for each young market."""
        least = self._settings.min_rows if kind == "price" else self._settings.baseline_min_rows
        count = len(candles.packed)
        if count >= least:
            return None
        text = f"{count} rows of {named(candles.span)}, at least {least} are needed"
        return Failed(text, "short" if count else "empty")

    async def _champion(self, pointer: Pointer) -> bytes:
        """The artefact in use, verified once; empty where it cannot be believed."""
        known = self._payloads.get(pointer.version)
        if known is not None:
            return known
        baseline = await self._registry.baseline(pointer.version)
        if baseline is None:
            return b""
        try:
            payload = await self._artefacts.get(baseline.seal)
        except BadData as error:
            await self._refuse(pointer, error)
            return b""
        self._payloads[pointer.version] = payload
        return payload

    async def _refuse(self, pointer: Pointer, error: BadData) -> None:
        self.refused += 1
        wanted = ModelEvent(
            at=self._clock.now(),
            what=What.KEPT,
            actor=ACTOR,
            market=pointer.market,
            kind=pointer.kind,
            version=pointer.version,
            previous=pointer.version,
        )
        await self._registry.note(refusal(wanted, error))

    def _job(self, kind: str, candles: Candles, champion: bytes, pointer: Pointer | None) -> Job:
        ours, price = self._settings, kind == "price"
        reach = ours.horizon if price else ours.outlook_reach if kind == "outlook" else ours.rhythm_reach
        return Job(
            kind=kind,
            candles=candles.packed,
            span=candles.span,
            until=candles.until,
            least=ours.min_rows if price else ours.baseline_min_rows,
            most=ours.rows if price else ours.baseline_rows,
            reach=round(reach * SECOND),
            levels=[ours.level] if price else list(ours.levels),
            champion=champion,
            pinned=pointer is not None and pointer.pinned,
            half_life=ours.anchor_half_life if price else None,
            least_half=math.log1p(ours.min_half_width) if price else 0.0,
        )

    async def _note_failure(self, market: int, kind: str, outcome: Failed, before: State) -> None:
        """Written down when it begins, not at every try."""
        if before.status == outcome.status:
            return
        tell = log.info if outcome.status == "short" else log.warning  # a young market is nobody's fault
        tell("training.failed", market=market, kind=kind, status=outcome.status, reason=outcome.reason)
        await self._registry.note(
            ModelEvent(
                at=self._clock.now(),
                what=What.FAILED,
                actor=ACTOR,
                market=market,
                kind=kind,
                version=None if before.pointer is None else before.pointer.version,
                detail={"status": outcome.status, "reason": outcome.reason},
            )
        )

    async def _register(
        self, market: int, kind: str, fitted: Fitted, pointer: Pointer | None
    ) -> tuple[Baseline, Pointer]:
        """Store and register the new version; returns the one that is in use from now on, and its pointer."""
        now, version = self._clock.now(), uuid.uuid4()
        seal = await self._artefacts.put(f"{kind}/{market}/{version}.json", fitted.artefact)
        rival = None if pointer is None else pointer.version
        baseline = Baseline(
            version=version,
            market=market,
            kind=kind,
            model=MODEL,
            trained_from=fitted.trained_from,
            trained_to=fitted.trained_to,
            rows_used=fitted.rows_used,
            step=fitted.step,
            parameters=fitted.parameters,
            libraries=fitted.libraries,
            metrics=fitted.metrics,
            rival=rival,
            rival_metrics=fitted.rival_metrics,
            won=fitted.won,
            seal=seal,
            created=now,
        )
        champion = None if fitted.won or rival is None else await self._registry.baseline(rival)
        chosen = Pointer(market, kind, version, now) if pointer is None or champion is None else pointer
        event = ModelEvent(
            at=now,
            what=What.PROMOTED if champion is None else What.KEPT,
            actor=ACTOR,
            market=market,
            kind=kind,
            version=version,
            previous=rival,
            detail=_compared(fitted, pointer),
        )
        await self._registry.register(baseline, chosen if champion is None else None, event)
        self._registered += 1
        if champion is not None:
            self.kept += 1
            return champion, chosen
        self.promoted += 1
        if rival is not None:
            self._payloads.pop(rival, None)
        self._payloads[version] = fitted.artefact
        return baseline, chosen

    async def _publish(self, baseline: Baseline, fitted: Fitted) -> int:
        """Hand the rows out; returns until when they may be used."""
        if baseline.kind != "price":
            outlook = self._outlook(baseline, fitted)
            await self._registry.save_outlook(outlook)
            return outlook.expires
        forecast = self._forecast(baseline, fitted)
        await self._models.save_forecast(forecast)
        self._forecasts.forecast_ready(forecast)
        return forecast.expires

    def _forecast(self, baseline: Baseline, fitted: Fitted) -> Forecast:
        (lower,), (upper,) = fitted.lower, fitted.upper
        return Forecast(
            version=uuid.uuid4(),
            market=baseline.market,
            model=MODEL,
            trained_from=baseline.trained_from,
            trained_to=baseline.trained_to,
            rows_used=baseline.rows_used,
            level=self._settings.level,
            step=fitted.step,
            expires=fitted.origin + round(self._settings.ttl * SECOND),
            rows=[
                ForecastRow(fitted.origin + place * fitted.step, *numbers)
                for place, numbers in enumerate(zip(fitted.centre, lower, upper, strict=True))
            ],
            source=baseline.version,
        )

    def _outlook(self, baseline: Baseline, fitted: Fitted) -> Outlook:
        lower, upper = list(zip(*fitted.lower, strict=True)), list(zip(*fitted.upper, strict=True))
        return Outlook(
            market=baseline.market,
            kind=baseline.kind,
            unit=fitted.unit,
            version=baseline.version,
            model=MODEL,
            origin=fitted.origin,
            step=fitted.step,
            expires=fitted.origin + round(self._settings.baseline_ttl * SECOND),
            naive=fitted.naive,
            levels=list(self._settings.levels),
            rows=[
                OutlookRow(fitted.origin + place * fitted.step, centre, list(lower[place]), list(upper[place]))
                for place, centre in enumerate(fitted.centre)
            ],
            metrics=dict(baseline.metrics if fitted.won else fitted.rival_metrics or baseline.metrics),
        )


def _is_sound(fitted: Fitted) -> bool:
    return all(
        0.0 <= low <= centre <= high < math.inf and high > 0.0
        for lower, upper in zip(fitted.lower, fitted.upper, strict=True)
        for low, centre, high in zip(lower, fitted.centre, upper, strict=True)
    )


def _compared(fitted: Fitted, pointer: Pointer | None) -> dict[str, object]:
    return {
        "loss": fitted.metrics["loss"],
        "rival_loss": None if fitted.rival_metrics is None else fitted.rival_metrics["loss"],
        "pinned": pointer is not None and pointer.pinned,
    }
