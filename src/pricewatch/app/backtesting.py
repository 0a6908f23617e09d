"""Where back-tests get their past from: the store, or files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pricewatch.app.importing import Counts, candles_of, listing_of, ticks_of
from pricewatch.app.wiring import Store, open_store
from pricewatch.backtest.memory import MemoryPast
from pricewatch.backtest.replay import Replay
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.config import Settings
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.time import MINUTE
from pricewatch.ports.preview import PlacedQuote
from pricewatch.ports.ticks import Listing, Sequenced
from pricewatch.simulator.capture import Memories, recordings
from pricewatch.store.past import PostgresPast

_EVER = 100 * 365 * 86_400.0


@asynccontextmanager
async def stored_past(store: Store) -> AsyncIterator[PostgresPast]:
    """What is stored, as the evaluator reads it."""
    async with store.database.for_ticks(2, by_index=True) as ticks:
        yield PostgresPast(ticks, store.history, store.models)


@asynccontextmanager
async def over_store(settings: Settings) -> AsyncIterator[tuple[PostgresPast, Replay]]:
    """Back-tests over the store, of any length; raises `ConfigError` or `Unavailable`."""
    async with open_store(settings) as store, stored_past(store) as past:
        yield past, replay(settings, past)


def replay(settings: Settings, past: PostgresPast | MemoryPast) -> Replay:
    """For a command: nobody else waits, so a span may have any length."""
    return Replay(past, PreviewSettings(longest=_EVER), settings.engine)


class Files:
    """Recordings and candle files, held in memory. Trades keep the order in which they were received."""

    def __init__(self) -> None:
        self.past = MemoryPast([])
        self.counts = Counts()
        self.start, self.end = 1 << 62, 0
        """The span of everything in them."""
        self._markets: dict[tuple[str, str], Market] = {}
        self._seen = 0

    async def read(self, files: Sequence[Path], market: str | None, columns: Sequence[str] | None) -> None:
        """`market` is that of the candle files; raises `Invalid` or `ConfigError` that name file, line and field."""
        target = listing_of(market) if market is not None else None
        memories = Memories()
        for file in recordings(files):
            if file.name.removesuffix(".gz").endswith(".csv"):
                if target is None:
                    raise Invalid("--market", f"is needed for {file.name}: say for example --market coinbase:BTC-USD")
                (known,) = await self._register([target])
                for batch in candles_of(file, known, columns):
                    self.past.add_candles(batch)
                    self._note(batch[0].at, batch[-1].at + MINUTE)
            else:
                await self._recording(file, memories)
            self.counts.files += 1
        if not self.end:
            raise Invalid("--data", "there is no trade and no candle in these files")

    async def _recording(self, file: Path, memories: Memories) -> None:
        trades: list[Sequenced] = []
        quotes: list[PlacedQuote] = []
        async for _, ticks in ticks_of(file, self._register, memories, self.counts):
            for tick in ticks:
                self._seen = max(self._seen + 1, tick.received)
                if isinstance(tick, Trade):
                    trades.append(Sequenced(self._seen, tick))
                    self._note(tick.at, tick.at + 1)
                else:
                    quotes.append(PlacedQuote(self._seen, tick))
        self.past.add_trades(trades)
        self.past.add_quotes(quotes)
        self.counts.trades += len(trades)

    async def _register(self, listings: Sequence[Listing]) -> list[Market]:
        """Numbers of our own: the store is not asked."""
        found = []
        for one in listings:
            key = one.venue, one.symbol
            if key not in self._markets:
                number = len(self._markets) + 1
                self._markets[key] = Market(number, one.venue, one.symbol, one.native, one.step)
                self.past.add_market(self._markets[key])
            found.append(self._markets[key])
        return found

    def _note(self, start: int, end: int) -> None:
        self.start, self.end = min(self.start, start), max(self.end, end)
