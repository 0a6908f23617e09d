"""How good the models are, on files at hand and on stored history."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, say, settings_of
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import HOUR, MINUTE

evaluate = App(name="evaluate", help="Measure the models on public benchmarks and on price histories.")

Workers = Annotated[int, Parameter(help="Processes; 0 for one a core.")]
Report = Annotated[Path | None, Parameter(help="Write an HTML page with tables and plots to this file.")]
Columns = Annotated[
    str | None, Parameter(help="Columns of files without a header, e.g. time,open,high,low,close,volume.")
]


@dataclass(frozen=True)
class _Stored:
    """Options that name stored history."""

    market: Annotated[
        tuple[str, ...], Parameter(name="--market", help="A stored market such as coinbase:BTC-USD; repeatable.")
    ] = ()
    since: Annotated[str, Parameter(name="--from", help="From when on: a time, or a span before now.")] = "30d"
    bar: Annotated[Literal["1m", "1h"], Parameter(name="--bar", help="Which stored candles.")] = "1m"
    config: ConfigFile = None


Stored = Annotated[_Stored, Parameter(name="*")]
_FILES = _Stored()
Tuned = Literal["all", "even", "odd"]


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(name: str, done: int, count: int) -> None:
            bar.update(task, completed=done, total=count, description=name)

        yield show


def _write(report: Path | None, html: Callable[[], str]) -> None:
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(html(), encoding="utf-8")
        say(f"report written to {report}")


@evaluate.command
def nab(
    folder: Path,
    *,
    out: Annotated[Path, Parameter(help="Folder for the scores: GROUP/FILE.csv with timestamp,value,anomaly_score.")],
    tune_on: Annotated[
        Tuned, Parameter(help="Take the threshold from every second series, 'even' or 'odd', and measure the others.")
    ] = "all",
    workers: Workers = 0,
    report: Report = None,
    json: AsJson = False,
) -> int:
    """Run the detector over every FOLDER/data/GROUP/FILE.csv and print the benchmark's three scores."""
    from pricewatch.appraisal import nab as work
    from pricewatch.appraisal.pages import nab_page, nab_table

    with _progress("series") as show:
        found = work.appraise(folder, out, workers=workers or os.cpu_count() or 1, progress=show, tune_on=tune_on)
    _write(report, lambda: nab_page(found))
    if json:
        emit(
            {
                "series": found.series,
                "rows": found.rows,
                "tune_on": tune_on,
                "profiles": {one.profile: one._asdict() for one in found.verdicts},
                "groups": {group: {one.profile: one._asdict() for one in some} for group, some in found.groups.items()},
            }
        )
    elif found.verdicts:
        emit_table(*nab_table(found))
    else:
        say(f"{found.series} series written to {out}; there are no labelled windows to score them by")
    return ExitCode.OK


@evaluate.command
def bands(
    *files: Path,
    columns: Columns = None,
    stored: Stored = _FILES,
    workers: Workers = 0,
    report: Report = None,
    json: AsJson = False,
) -> int:
    """Measure bands on candle files or stored history: whether they cover what they say, and what they are worth."""
    from pricewatch.appraisal import bands as work
    from pricewatch.appraisal.pages import bands_page, bands_table, together_table

    series = _histories(files, columns, stored)
    with _progress("bands") as show:
        found = work.appraise(series, workers=workers or os.cpu_count() or 1, progress=show)
    _write(report, lambda: bands_page(found))
    if json:
        outcomes = [{**one._asdict(), "honest": one.is_honest} for one in found.outcomes]
        together = [one._asdict() for one in found.together]
        emit({"series": found.series, "bars": found.bars, "outcomes": outcomes, "together": together})
    else:
        emit_table(*bands_table(found))
        emit_table(*together_table(found))
    return ExitCode.OK


@evaluate.command
def injection(
    *files: Path,
    columns: Columns = None,
    stored: Stored = _FILES,
    workers: Workers = 0,
    report: Report = None,
    json: AsJson = False,
) -> int:
    """Put known events into histories of minutes and hours, and count those found at so many false alarms."""
    from pricewatch.appraisal import injection as work
    from pricewatch.appraisal.pages import honesty_table, injection_page, recall_table
    from pricewatch.appraisal.series import joined

    series = work.fitting(joined(_histories(files, columns, stored)))
    with _progress("runs") as show:
        found = work.appraise(series, workers=workers or os.cpu_count() or 1, progress=show)
    _write(report, lambda: injection_page(found))
    if json:
        emit(_injection_json(found))
    else:
        emit_table(*recall_table(found))
        emit_table(*honesty_table(found))
    return ExitCode.OK


def _histories(files: Sequence[Path], columns: str | None, stored: _Stored) -> list[Any]:
    from pricewatch.app.histories import histories, stored_histories
    from pricewatch.ingest.candlefile import columns_of

    found = []
    if not files and not stored.market:
        raise Invalid("FILES", "name candle files, or stored markets as --market coinbase:BTC-USD")
    if files:
        found += histories(files, None if columns is None else columns_of(columns))
    if stored.market:
        from pricewatch.app.clock import SystemClock
        from pricewatch.cli.past import instant

        now = SystemClock().now()
        start, span = instant(stored.since, now, "--from"), {"1m": MINUTE, "1h": HOUR}[stored.bar]
        settings = settings_of(stored.config)
        found += asyncio.run(stored_histories(settings, stored.market, start, now - now % span, span=span))
    return found


def _injection_json(found: Any) -> dict[str, Any]:
    detectors = sorted({one.detector for one in found.recalls})
    rates = sorted({one.rate for one in found.recalls})
    return {
        "series": found.series,
        "events": found.events,
        "overall": {name: {str(rate): found.overall(name, rate) for rate in rates} for name in detectors},
        "recalls": [one._asdict() for one in found.recalls],
        "stated": [one._asdict() for one in found.honesty],
        "observed_over_stated": {str(rate): found.factor(rate) for rate in sorted({one.rate for one in found.honesty})},
    }


@evaluate.command
def baselines(
    *files: Path,
    columns: Columns = None,
    stored: Stored = _FILES,
    rows: Annotated[int, Parameter(help="The newest rows of each series that are measured.")] = 20_000,
    workers: Workers = 0,
    report: Report = None,
    json: AsJson = False,
) -> int:
    """Refit baselines along histories of hours or less, and measure them beside a random walk and moving levels."""
    from pricewatch.appraisal import baselines as work
    from pricewatch.appraisal.baselines_page import baselines_page, baselines_table
    from pricewatch.training.seasons import fit_shape

    pasts = [work.past_of(one.name, one.step, one.bars) for one in _histories(files, columns, stored)]
    with _progress("fits") as show:
        found = work.appraise_all(pasts, fit_shape, rows=rows, workers=workers or os.cpu_count() or 1, progress=show)
    _write(report, lambda: baselines_page(found))
    for name, why in found.skipped.items():
        say(f"left out: {name}: {why}")
    if json:
        emit({"standings": [one._asdict() for one in found.standings], "skipped": found.skipped})
    else:
        emit_table(*baselines_table(found))
    return ExitCode.OK


@evaluate.command
async def alarms(
    *,
    account: Annotated[str | None, Parameter(help="Whose rules; everybody's unless given.")] = None,
    config: ConfigFile = None,
    report: Report = None,
    json: AsJson = False,
) -> int:
    """Compare the false alarms that stored rules state with those that came, before they were armed and since."""
    from msgspec import to_builtins

    from pricewatch.app.clock import SystemClock
    from pricewatch.app.wiring import open_store
    from pricewatch.appraisal import alarms as work
    from pricewatch.appraisal.alarms_page import alarms_page, alarms_table, totals_table
    from pricewatch.engine.falsealarms import FalseAlarmCount

    async with open_store(settings_of(config)) as store:
        owners = await store.accounts.everyone() if account is None else [await store.owner(account)]
        with _progress("rules") as show:
            found = await work.appraise(
                store.rules.everything(),
                {one.id: one.name for one in owners},
                await store.catalog.markets(),
                count=FalseAlarmCount(store.models, store.records.watchlists),
                now=SystemClock().now(),
                progress=show,
            )
    _write(report, lambda: alarms_page(found))
    if json:
        totals = [{**one._asdict(), "per_week": one.per_week, "factor": one.factor} for one in found.totals]
        rules = [{**one._asdict(), "markets": to_builtins(one.markets)} for one in found.rules]
        emit({"rules": rules, "totals": totals})
    elif found.rules:
        emit_table(*alarms_table(found))
        emit_table(*totals_table(found))
    else:
        say("no rule states a rate of false alarms; 'false_alarms' of an anomaly condition does, e.g. \"3/week\"")
    return ExitCode.OK
