"""The demo's terminal: what the venues print, what the rules say, what the mailbox holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pricewatch.domain.market import Market, Quote, Trade, decimal_text
from pricewatch.domain.signal import Direction, FeedEntry
from pricewatch.domain.time import rfc3339
from pricewatch.ports.clock import Clock


class Tap:
    """Remembers the last prices and signals (a `PriceTape` and a `SignalSink`)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: deque[float] = deque(maxlen=10_000)
        self.prices: dict[int, Trade] = {}
        self.before: dict[int, float] = {}
        self.counts: dict[int, int] = {}
        self.signals: deque[FeedEntry] = deque(maxlen=200)
        self.emitted = 0

    def trade(self, trade: Trade, seen: int) -> None:
        """Keep the price."""
        _ = seen
        market = trade.market
        last = self.prices.get(market)
        if last is not None:
            self.before[market] = last.price
        self.prices[market] = trade
        self.counts[market] = self.counts.get(market, 0) + 1

    def quote(self, quote: Quote, seen: int) -> None:
        """Quotes are not shown here."""

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Keep the signals, and how long each took from its frame to here."""
        now = self._clock.now()
        self._waits.extend((now - entry.signal.received) / 1000 for entry in entries)
        self.signals.extend(entries)
        self.emitted += len(entries)

    def latency(self, quantile: float) -> float | None:
        """Milliseconds from a frame's arrival to its committed signal being handed out; None without signals."""
        waits = sorted(self._waits)
        return round(waits[min(len(waits) - 1, int(quantile * len(waits)))], 3) if waits else None


def render(
    tap: Tap, markets: Sequence[Market], links: Mapping[str, str], figures: Callable[[], Mapping[str, object]]
) -> RenderableType:
    """One picture of the whole road."""
    header = Table.grid(padding=(0, 2))
    for name, value in links.items():
        header.add_row(Text(name, style="bold"), Text(value, style="cyan"))
    facts = "   ".join(f"{name} {value}" for name, value in figures().items())
    return Group(
        Panel(header, title="pricewatch demo", border_style="cyan"),
        _prices(tap, markets),
        _signals(tap),
        Text(facts, style="dim"),
    )


def _prices(tap: Tap, markets: Sequence[Market]) -> Table:
    table = Table(title="Markets", expand=True, title_justify="left")
    for name, justify in (("market", "left"), ("price", "right"), ("", "left"), ("trades", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for market in markets:
        trade = tap.prices.get(market.id)
        if trade is None:
            table.add_row(market.key, Text("waiting", style="dim"), "", "0")
            continue
        change = trade.price - tap.before.get(market.id, trade.price)
        arrow = Text("▲", style="green") if change > 0 else Text("▼", style="red") if change < 0 else Text(" ")
        table.add_row(market.key, decimal_text(trade.price), arrow, f"{tap.counts[market.id]:,}")
    return table


def _signals(tap: Tap) -> Table:
    table = Table(title="Signals", expand=True, title_justify="left")
    for name in ("time (UTC)", "market", "what", "rule", "price", "ms"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"price", "ms"} else "left")
    for entry in list(tap.signals)[-10:][::-1]:
        signal = entry.signal
        style = "bold yellow" if signal.direction is Direction.FIRED else "dim"
        table.add_row(
            rfc3339(signal.at)[11:23],
            signal.scope,
            Text(signal.direction.value, style=style),
            signal.title,
            decimal_text(signal.price),
            f"{(entry.committed - signal.received) / 1000:.1f}",
        )
    if not tap.signals:
        table.add_row("", "", Text("none yet", style="dim"), "", "", "")
    return table
