from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from pricewatch.exchanges.base import Instrument
from pricewatch.ingest.instruments import Lists, VenueList

NOWHERE = "http://127.0.0.1:9"
INSTRUMENTS = (
    Instrument("BTC/USD", "BTC-USD"),
    Instrument("BTC/USDT", "BTC-USDT"),
    Instrument("ETH/USD", "ETH-USD", active=False),
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pw.toml"
    path.write_text(
        f'[app]\ndata = "{tmp_path}/data"\n[ingest.venues.kraken]\nsymbols = ["BTC-USD", "BTC-USDX", "ETH-USD"]\n'
        f'rest_url = "{NOWHERE}"\nsocket_url = "ws://127.0.0.1:9"\n[database]\nurl = "postgresql://127.0.0.1:9/none"\n'
    )
    return path


def keep(tmp_path: Path, *, days_ago: int = 0) -> None:
    asked = time.time_ns() // 1000 - days_ago * 86_400_000_000
    Lists(tmp_path / "data/instruments").write(VenueList("kraken", NOWHERE, asked, INSTRUMENTS))


def test_a_kept_list_answers_without_the_venue(pw: Command, config: Path, tmp_path: Path) -> None:
    keep(tmp_path)
    answer = pw("markets", "kraken", "--json", "--config", str(config))
    assert answer.code == 0
    assert answer.json == [
        {"symbol": "BTC-USD", "native": "BTC/USD", "trading": True},
        {"symbol": "BTC-USDT", "native": "BTC/USDT", "trading": True},
        {"symbol": "ETH-USD", "native": "ETH/USD", "trading": False},
    ]
    table = pw("markets", "kraken", "usdt", "--config", str(config))
    assert table.out.split() == ["symbol", "at", "kraken", "trading", "BTC-USDT", "BTC/USDT", "yes"]
    none = pw("markets", "kraken", "BTC-USDX", "--config", str(config))
    assert none.code == 4
    assert "kraken has no 'BTC-USDX'; did you mean 'BTC-USD', 'BTC-USDT'?" in none.err


def test_an_old_list_is_said_to_be_old(pw: Command, config: Path, tmp_path: Path) -> None:
    keep(tmp_path, days_ago=3)
    answer = pw("markets", "kraken", "eth/", "--json", "--config", str(config))
    assert (answer.code, len(answer.json)) == (0, 1)
    assert "this is its list of" in answer.err
    keep(tmp_path)
    assert "this is its list of" in pw("markets", "kraken", "--anew", "--json", "--config", str(config)).err


def test_without_a_list_the_venue_is_not_reachable(pw: Command, config: Path) -> None:
    answer = pw("markets", "kraken", "--config", str(config))
    assert answer.code == 5
    assert NOWHERE in answer.err


def test_an_unknown_venue(pw: Command, config: Path) -> None:
    assert "did you mean 'kraken'?" in pw("markets", "kraaken", "--config", str(config)).err
    answer = pw("markets", "zzz", "--config", str(config))
    assert (answer.code, "there are binance, " in answer.err) == (4, True)


def test_check_names_what_the_venue_does_not_have(pw: Command, config: Path, tmp_path: Path) -> None:
    subject = "ingest.venues.kraken.symbols"
    before = {one["subject"] for one in pw("check", "--json", "--config", str(config)).json}
    assert subject not in before
    keep(tmp_path)
    (found,) = [one for one in pw("check", "--json", "--config", str(config)).json if one["subject"] == subject]
    assert not found["ok"]
    assert (
        "kraken has no 'BTC-USDX'; did you mean 'BTC-USD', 'BTC-USDT'?; kraken does not trade ETH-USD" in found["says"]
    )
    config.write_text(config.read_text().replace('"BTC-USDX", "ETH-USD"', '"BTC-USDT"'))
    (found,) = [one for one in pw("check", "--json", "--config", str(config)).json if one["subject"] == subject]
    assert found["ok"]
    assert found["says"].startswith("2 of 3 markets, as listed ")
