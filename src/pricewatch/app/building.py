"""How single parts are built from settings and store; heavy ones are imported only by a process that runs them."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.app.home import home_name
from pricewatch.app.seats import Evaluator, Shard, Training
from pricewatch.app.wiring import Store
from pricewatch.config import Settings
from pricewatch.domain.market import Market
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import Journal, SignalSink
from pricewatch.ports.models import DriftSink, ForecastSink
from pricewatch.ports.ticks import PriceTape


def shard(settings: Settings, store: Store, owner: str, *, replaceable: bool) -> Shard:
    """The right to evaluate; what is stored goes with it where another process may take over."""
    from pricewatch.evaluation.takeover import Tenure

    return Tenure(
        settings.evaluation,
        store.journal,
        owner=owner,
        home=home_name(settings.app.data),
        rows=store.ticks if replaceable else None,
    )


def evaluation(
    settings: Settings,
    store: Store,
    clock: Clock,
    owner: str,
    journal: Journal,
    *,
    tape: PriceTape,
    signals: SignalSink,
    drifts: DriftSink,
) -> Evaluator:
    """The engine in its shell."""
    from pricewatch.engine.evaluate import Engine
    from pricewatch.evaluation.worker import Evaluation

    return Evaluation(
        settings.evaluation,
        lambda: Engine(settings.engine),
        clock=clock,
        owner=owner,
        writer=store.ticks,
        ticks=store.log,
        history=store.history,
        journal=journal,
        rules=store.rules,
        models=store.models,
        tape=tape,
        signals=signals,
        drifts=drifts,
        watchlists=store.records.watchlists,
    )


def trainer(
    settings: Settings, store: Store, clock: Clock, markets: Sequence[Market], forecasts: ForecastSink
) -> Training:
    """Refits in a process of its own."""
    from pricewatch.training.worker import Trainer

    return Trainer(
        settings.training,
        markets,
        history=store.history,
        columns=store.columns,
        spreads=store.spreads,
        models=store.models,
        registry=store.registry,
        artefacts=store.artefacts,
        forecasts=forecasts,
        clock=clock,
    )
