"""The past: candles and trades from venues, recordings and files into the store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from pricewatch.cli.output import ConfigFile, ExitCode, emit, say, settings_of
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import from_datetime, parse_span


async def import_(
    *files: Path,
    market: Annotated[str | None, Parameter(help="venue:BASE-QUOTE of the candle files.")] = None,
    columns: Annotated[
        str | None, Parameter(help="Columns of candle files without a header, as time,open,high,low,close,volume.")
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Read recordings (.jsonl, .jsonl.gz, or folders of them) and candle files (.csv, .csv.gz) into the store.

    Doing it twice adds nothing. Prints one line of JSON: files, trades, known, rejected, left_out, candles, markets.
    """
    from pricewatch.app.importing import import_files
    from pricewatch.ingest.candlefile import columns_of

    if not files:
        raise Invalid("FILES", "none given; name recordings, folders of them, or candle files")
    named = columns_of(columns) if columns is not None else None
    counts = await import_files(settings_of(config), files, market=market, columns=named, progress=say)
    emit(msgspec.to_builtins(counts))
    return ExitCode.OK


async def backfill(
    venue: str,
    symbol: str,
    *,
    from_: Annotated[str, Parameter(name="--from", help="2026-01-31, 2026-01-31T12:00Z, or how long ago: 7d.")],
    to: Annotated[str | None, Parameter(help="Likewise; default: now.")] = None,
    trades: Annotated[bool, Parameter(help="Trades too, where the venue tells them.")] = True,
    config: ConfigFile = None,
) -> int:
    """Fetch a market's one-minute candles, and its trades where the venue has a history, into the store.

    Doing it twice adds nothing. Prints one line of JSON: candles, trades, known, trades_told.
    """
    from pricewatch.app.backfilling import backfill as fetch
    from pricewatch.app.clock import SystemClock

    now = SystemClock().now()
    start, end = instant(from_, now, "--from"), instant(to, now, "--to") if to is not None else now
    if start >= end:
        raise Invalid("--from", f"{from_!r} is not before --to ({to or 'now'})")
    counts = await fetch(settings_of(config), venue, symbol, start, end, trades=trades, progress=say)
    emit(msgspec.to_builtins(counts))
    return ExitCode.OK


def instant(text: str, now: int, field: str) -> int:
    """A date, a time (UTC unless it says otherwise) or a span before now."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - parse_span(text, field=field)
        except Invalid as error:
            raise Invalid(
                field, f"{text[:40]!r} is neither a time such as '2026-01-31T12:00Z' nor a span such as '7d'"
            ) from error
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
