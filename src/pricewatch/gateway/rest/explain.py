"""`signals/{id}/explain`: a signal worked out once more from its evidence."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from aiohttp import web

from pricewatch.domain.errors import NotFound
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import MINUTE
from pricewatch.domain.watch import SYSTEM
from pricewatch.engine.explain import Check, Contribution, Witness, explain
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, identifier
from pricewatch.ports.journal import FeedLog
from pricewatch.ports.models import ModelStore
from pricewatch.ports.registry import Registry


class ExplanationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`agrees` is null where the evidence does not hold enough to tell."""

    id: uuid.UUID
    kind: str
    direction: str
    market: str
    model: str | None
    model_version: uuid.UUID | None
    """The registered version behind the forecast that `model` names."""
    agrees: bool | None
    summary: str
    checks: list[Check]
    contributions: list[Contribution]
    evidence: dict[str, Any]


class Explanations:
    """For the account's own signals and the system's."""

    def __init__(self, log: FeedLog, models: ModelStore, registry: Registry) -> None:
        self._log = log
        self._models = models
        self._registry = registry

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        return [Endpoint("GET", "/signals/{id}/explain", self.get, docs=Docs(ExplanationDocument, query=()))]

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """Whether it agrees with its evidence, what was compared, and what contributed how much."""
        number = identifier(request)
        entry = await self._log.get(who.account.id, number) or await self._log.get(SYSTEM, number)
        if entry is None:
            raise NotFound("there is no such signal, or it is not yours")
        signal = entry.signal
        found = explain(signal, await self._witness(signal))
        return reply(
            ExplanationDocument(
                id=signal.id,
                kind=signal.kind,
                direction=signal.direction.value,
                market=signal.scope,
                model=signal.model,
                model_version=await self._version(signal),
                agrees=found.agrees,
                summary=found.summary,
                checks=found.checks,
                contributions=found.contributions,
                evidence=signal.evidence,
            )
        )

    async def _witness(self, signal: Signal) -> Witness:
        """What is still stored of the models it names."""
        version, band = _uuid(signal.evidence.get("version")), signal.evidence.get("band")
        row = None
        if version is not None and isinstance(band, dict) and isinstance(band.get("at"), int):
            row = await self._models.forecast_row(version, band["at"])
        score = None
        if signal.kind == "anomaly":
            score = await self._models.bar_score(signal.market, signal.at - signal.at % MINUTE)
        return Witness(row, score)

    async def _version(self, signal: Signal) -> uuid.UUID | None:
        """The registered version behind the forecast it names."""
        issue = _uuid(signal.evidence.get("version"))
        found = None if issue is None else await self._registry.baseline(issue)
        return None if found is None else found.version


def _uuid(value: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        return None
