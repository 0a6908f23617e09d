"""The wallet, what followed, and the page."""

from __future__ import annotations

import base64
import re
from decimal import Decimal

import pytest
from tests.backtest.conftest import BTC, START, M, S, document, memory, question, replay, trade

from pricewatch.backtest.report import Case, outcomes, page
from pricewatch.backtest.study import price_at, study
from pricewatch.backtest.wallet import Terms, Wallet, follow
from pricewatch.domain.time import DAY
from pricewatch.ports.preview import Answer

FREE = Terms(fee=Decimal(0), slippage=Decimal(0))


async def answered(prices: list[float], end: int = START + DAY) -> tuple[Answer, list[tuple[int, float]]]:
    """A price a minute, and an `above 100` over it."""
    trades = [trade(n + 1, START + n * M + S, price) for n, price in enumerate(prices)]
    answer = await replay(memory(trades)).run(question(document({"type": "above", "level": "100"}), end=end))
    return answer, [(one.trade.at, one.trade.price) for one in trades]


def test_a_wallet_is_all_in_or_all_out_and_loses_nothing_to_rounding() -> None:
    wallet = Wallet(Terms(cash=Decimal(1_000), fee=Decimal("0.01"), slippage=Decimal("0.1")))
    wallet.sell(1, Decimal(100))
    assert wallet.deals == []
    wallet.buy(2, Decimal(100))
    size = wallet.size
    assert size == Decimal("9.00090009")
    assert wallet.cash == 1_000 - size * Decimal(110) * Decimal("1.01") >= 0
    wallet.buy(3, Decimal(100))  # no cash is left
    wallet.sell(4, Decimal(200))
    assert [deal.is_buy for deal in wallet.deals] == [True, False]
    assert wallet.size == 0
    assert wallet.fees == size * (Decimal(110) + Decimal(180)) * Decimal("0.01")


async def test_following_a_rule_beside_holding() -> None:
    answer, closes = await answered([99.0, 101.0, 110.0, 99.0, 90.0, 101.0, 105.0])
    free = follow(answer.signals, closes, FREE)
    assert free is not None
    # 101 -> 99, then 101 -> 105 at the end.
    assert float(free.gain(FREE.cash)) == pytest.approx(99 / 101 * 105 / 101 - 1, abs=1e-6)
    assert float(free.held_gain(FREE.cash)) == pytest.approx(105 / 99 - 1, abs=1e-6)
    assert [deal.is_buy for deal in free.deals] == [True, False, True]
    dear = follow(answer.signals, closes, Terms())
    assert dear is not None
    assert dear.worth < free.worth
    assert dear.fees > 0
    assert follow(answer.signals, [], FREE) is None


async def test_what_followed_each_fire() -> None:
    prices = [99.0] * 10 + [101.0] * 5 + [103.0] * 30 + [98.0] * 60
    answer, closes = await answered(prices)
    found = study(answer.signals, {BTC.key: closes}, START, START + 2 * DAY)
    assert [count for _, count in found.per_day] == [1, 0, 0]
    five, fifteen, hour = found.following
    assert (five.count, five.rose) == (1, 1.0)
    assert five.median == pytest.approx(100 * (103 / 101 - 1))
    assert hour.median == pytest.approx(100 * (98 / 101 - 1))
    assert hour.rose == 0.0
    assert fifteen.usual >= 0.0
    assert found.leads == [pytest.approx(35.0)]
    assert price_at(closes, START) is None
    assert price_at(closes, closes[-1][0] + 1) is None
    nothing = study(answer.signals, {}, START, START + DAY)
    assert (nothing.following[0].count, nothing.leads) == (0, [])


async def test_the_page_needs_nothing_else(tmp_path: object) -> None:
    answer, closes = await answered([99.0, 101.0, 99.0] * 40, end=START + 2 * DAY)
    quiet, _ = await answered([99.0])
    none, _ = await answered([])
    tested = [
        Case("<b>above</b>", answer, {BTC.key: closes}),
        Case("quiet", quiet, {BTC.key: [(START, 99.0)]}),
        Case("nothing", none, {BTC.key: []}),
        Case("no prices", answer, {BTC.key: []}),
    ]
    text = page(tested, Terms())
    assert "&lt;b&gt;above" in text
    assert "<script" not in text
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert len(images) == 6  # prices, days and leads; prices; prices and days
    assert all(base64.b64decode(one).startswith(b"\x89PNG") for one in images)
    assert "fired 40 times" in text
    assert outcomes(tested[2], Terms()) == {}
