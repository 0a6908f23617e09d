"""`backtest`: what rules would have done."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pricewatch.backtest.study import Closes
from pricewatch.backtest.wallet import Terms
from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, say, settings_of
from pricewatch.cli.past import instant
from pricewatch.cli.rules import read_documents
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import DAY, MINUTE
from pricewatch.ports.preview import Answer, Past, Preview, Question
from pricewatch.rules.numbers import percent
from pricewatch.wire.preview import document, summary

_TOLD = 1_000_000


async def backtest(
    *rules: Path,
    from_: Annotated[
        str | None, Parameter(name="--from", help="2026-01-31, 2026-01-31T12:00Z, or how long ago: 7d. Default: 30d.")
    ] = None,
    to: Annotated[str | None, Parameter(help="Likewise; default: now.")] = None,
    data: Annotated[
        tuple[Path, ...],
        Parameter(help="Recordings, folders of them, or candle files instead of the store; may be given repeatedly."),
    ] = (),
    market: Annotated[
        str | None, Parameter(help="venue:BASE-QUOTE of the candle files, else the only one read.")
    ] = None,
    columns: Annotated[
        str | None, Parameter(help="Columns of candle files without a header, as time,open,high,low,close,volume.")
    ] = None,
    report: Annotated[Path | None, Parameter(help="Write a page with plots there, for people to look at.")] = None,
    fee: Annotated[str, Parameter(help="Of the report's wallet: share of each order, as 0.1%.")] = "0.1%",
    slippage: Annotated[str, Parameter(help="Likewise: how much worse an order is filled.")] = "0.05%",
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Evaluate rule documents over the past with the very evaluator of the service.

    Over stored ticks the signals are those a live run made, ids included; where only candles are left, times are to the
    minute and there are no ids. Nothing is stored and nobody is told.
    """
    from pricewatch.app.backtesting import Files, over_store, replay
    from pricewatch.app.clock import SystemClock
    from pricewatch.ingest.candlefile import columns_of

    documents = _documents(rules)
    terms = Terms(fee=_share(fee, "--fee"), slippage=_share(slippage, "--slippage"))
    now = SystemClock().now()
    settings = settings_of(config)
    if data:
        files = Files()
        await files.read(data, market, columns_of(columns) if columns is not None else None)
        start = instant(from_, now, "--from") if from_ is not None else files.start
        end = instant(to, now, "--to") if to is not None else files.end
        answers = await _answers(replay(settings, files.past), documents, start, end, ())
        await _report(report, files.past, documents, answers, terms)
    else:
        start = instant(from_, now, "--from") if from_ is not None else now - 30 * DAY
        end = instant(to, now, "--to") if to is not None else now
        async with over_store(settings) as (past, preview):
            answers = await _answers(preview, documents, start, end, (market,) if market is not None else ())
            await _report(report, past, documents, answers, terms)
    _tell(documents, answers, json=json)
    return ExitCode.OK


def _documents(rules: Sequence[Path]) -> list[bytes]:
    if not rules:
        raise Invalid("RULE.json", "none given; name files with a rule document, or a JSON list of them, each")
    return [found for file in rules for found in read_documents(file)]


async def _answers(
    preview: Preview, documents: Sequence[bytes], start: int, end: int, markets: tuple[str, ...]
) -> list[Answer]:
    answers = []
    with progress_bar() as bar:
        for text in documents:
            question = Question(document=text, start=start, end=end, markets=markets)
            task = bar.add_task(_title(text), total=1.0)
            answers.append(await preview.run(question, lambda done, task=task: bar.update(task, completed=done)))  # type: ignore[misc]
    return answers


async def _report(
    path: Path | None, past: Past, documents: Sequence[bytes], answers: Sequence[Answer], terms: Terms
) -> None:
    if path is None:
        return
    from pricewatch.backtest.report import Case, page

    numbers = {market.key: market.id for market in await past.markets()}
    tested = []
    for text, answer in zip(documents, answers, strict=True):
        closes: dict[str, Closes] = {}
        for chart in answer.charts:
            candles = await past.candles(numbers[chart.market], answer.start, answer.end)
            closes[chart.market] = [(candle.at + MINUTE, candle.close) for candle in candles]
        tested.append(Case(_title(text), answer, closes))
    path.write_text(page(tested, terms), encoding="utf-8")  # noqa: ASYNC240 - nothing else runs
    say(f"the report is in {path}")


def _share(text: str, field: str) -> Decimal:
    """Per cent as a share."""
    value = percent(text, field) / 100
    if not 0 <= value < 1:
        raise Invalid(field, f"{text!r} is not at least 0% and below 100%; try '0.1%'")
    return value


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """On stderr, and only where a person looks at it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


def _tell(documents: Sequence[bytes], answers: Sequence[Answer], *, json: bool) -> None:
    told = [document(answer, _TOLD) for answer in answers]
    if json:
        emit(
            [
                {"rule": json_module.loads(text), **msgspec.to_builtins(one)}
                for text, one in zip(documents, told, strict=True)
            ]
        )
        return
    rows: list[tuple[object, ...]] = []
    for text, one in zip(documents, told, strict=True):
        fires = [signal.at for signal in one.signals if signal.direction == "fired"]
        first, last = (fires[0][:19], fires[-1][:19]) if fires else (None, None)
        rows.append((_title(text), one.resolution, f"{one.fired:,}", f"{one.cleared:,}", f"{one.mails:,}", first, last))
    emit_table(("rule", "read from", "fired", "cleared", "mails", "first (UTC)", "last (UTC)"), rows)
    for text, answer in zip(documents, answers, strict=True):
        say(f"{_title(text)}: {summary(answer)}")


def _title(text: bytes) -> str:
    content: Any = json_module.loads(text)
    return str(content["title"])
