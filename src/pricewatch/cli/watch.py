"""A live feed in the terminal."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pricewatch.cli.output import AsJson, ExitCode, emit
from pricewatch.client.feed import Feed
from pricewatch.client.health import BLIND
from pricewatch.domain.errors import ConfigError, Invalid


async def watch(
    *symbols: Annotated[str, Parameter(help="BTC-USD or coinbase:BTC-USD; none for all.")],
    url: Annotated[str, Parameter(help="The service's feed.")] = "ws://127.0.0.1:8080/ws/v1",
    key: Annotated[str | None, Parameter(help="API key; better in PRICEWATCH_KEY.", env_var="PRICEWATCH_KEY")] = None,
    json: AsJson = False,
) -> int:
    """Follow prices and signals live until interrupted. With --json every frame is one line on stdout."""
    if not key:
        raise ConfigError("no API key: set PRICEWATCH_KEY or give --key (pricewatch user add makes one)")
    check = _Check()
    feed = Feed(url, key, symbols=symbols or ("*",))
    if json:
        async for message in feed.messages():
            emit(message)
            check.take(message)
        return ExitCode.OK
    screen = _Screen()
    with Live(screen.table(), refresh_per_second=8, screen=os.isatty(1)) as live:
        async for message in feed.messages():
            check.take(message)
            screen.take(message)
            live.update(screen.table())
    return ExitCode.OK


class _Check:
    """Whether the service knows what is asked for: of a misspelt name nothing would ever come.

    What it has known once it may not know for a moment after a restart.
    """

    def __init__(self) -> None:
        self._known: set[object] = set()

    def take(self, message: dict[str, object]) -> None:
        """Raises `Invalid` with what may have been meant."""
        name = message.get("symbol")
        if message.get("type") == "subscribed":
            self._known.add(name)
        elif message.get("code") == "unknown_symbol" and name not in self._known:
            near = message.get("did_you_mean")
            hint = f"; did you mean {' or '.join(map(str, near))}?" if isinstance(near, list) and near else ""
            raise Invalid("SYMBOLS", f"{message.get('reason')}{hint}")


class _Screen:
    """Prices above, the newest signals below, the state of the connection in the title."""

    def __init__(self) -> None:
        self._state = Text("connecting", style="yellow")
        self._prices: dict[str, dict[str, object]] = {}
        self._feeds: dict[str, str] = {}
        self._signals: list[dict[str, object]] = []

    def take(self, message: dict[str, object]) -> None:
        kind = message.get("type")
        if kind == "lost":
            self._state = Text(f"BLIND: {message.get('reason')}", style="bold white on red")
            return
        self._state = Text("live", style="green")
        if kind == "heartbeat" and isinstance(feeds := message.get("feeds"), dict):
            self._feeds.update({market: str(one.get("state")) for market, one in feeds.items()})
        data = message.get("data")
        fresh = [one for one in (data if isinstance(data, list) else [data]) if isinstance(one, dict)]
        if message.get("channel") == "ticker":
            self._prices.update((str(one.get("market")), one) for one in fresh)
        elif message.get("channel") == "signals" and fresh:
            before = [] if kind == "snapshot" else self._signals
            self._signals = [*reversed(fresh), *before][:20]

    def table(self) -> Table:
        grid = Table.grid(expand=True)
        prices = Table("market", "price", "bid", "ask", "time", "feed", expand=True, title=self._state)
        for market, one in sorted(self._prices.items()):
            state = self._feeds.get(market, "")
            feed = Text(state, style="bold white on red" if state in BLIND else "")
            prices.add_row(market, *(str(one.get(name) or "") for name in ("price", "bid", "ask", "at")), feed)
        signals = Table("time", "market", "what", "rule", "price", expand=True, title="signals")
        for one in self._signals:
            signals.add_row(*(str(one.get(name) or "") for name in ("at", "market", "direction", "title", "price")))
        grid.add_row(prices)
        grid.add_row(signals)
        return grid
