"""Candle files of every origin, and what is said of wrong ones."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import from_datetime
from pricewatch.ingest.candlefile import CandleFile, columns_of


def at(*parts: int) -> int:
    return from_datetime(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


def read(name: str, text: str, columns: str | None = None) -> list[Candle]:
    named = columns_of(columns) if columns else None
    return list(CandleFile(name, 1, named).candles(text.splitlines(keepends=True)))


ORDER = "time,open,close,low,high,volume,trades"


SHARED = [
    ("crypto/binance-btcusdt-1d-2020", None, 366, at(2020, 1, 1), (7195.24, 7255, 7175.15, 7200.85), 16792.388165, 0),
    (
        *("crypto/binance-btcusdt-1h-2020-11-2021-05", ORDER, 4314, at(2020, 11, 17)),
        *((16713.08, 16830, 16683.63, 16806.09), 2861.4, 51506),
    ),
    ("crypto/bitcoin-1d-2017-08-2021-01", None, 1246, at(2017, 8, 16), (4261.48, 4485.39, 4200.74, 4285.08), 795.150377, 0),  # noqa: E501
    ("crypto/bitstamp-btcusd-1m-20200101", None, 1440, at(2020, 1, 1), (7160.69, 7160.69, 7159.64, 7159.64), 5.50169101, 0),  # noqa: E501
    ("crypto/coinbase-btcusd-1d-2014-12-2018-08", None, 1318, at(2014, 12, 1), (300, 370, 300, 370), 0.05655554, 0),
    ("crypto/coinbase-btcusd-1m-20171217-quote", None, 1439, at(2017, 12, 17), (19650.005,) * 4, 0.0, 0),
    ("crypto/coinbase-btcusd-1m-20171217-trade", None, 1440, at(2017, 12, 17), (19650.02, 19650.02, 19505, 19516.96), 61.34020731, 0),  # noqa: E501
    ("equities/spy-1h-1998-2021", None, 40832, at(1998, 1, 2, 9), (973100, 975300, 970300, 970300), 384500, 0),
    ("fx/eurusd-oanda-1h-2007-2018", None, 74439, at(2007, 1, 1, 21), (1.31977, 1.32005, 1.3192, 1.31985), 0.0, 0),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(("name", "columns", "count", "moment", "prices", "volume", "trades"), SHARED)
def test_shared_files(
    shared: Path,
    name: str,
    columns: str | None,
    count: int,
    moment: int,
    prices: tuple[float, ...],
    volume: float,
    trades: int,
) -> None:
    with gzip.open(shared / f"data/candles/{name}.csv.gz", "rt", encoding="utf-8") as lines:
        candles = list(CandleFile(name, 1, columns_of(columns) if columns else None).candles(lines))
    assert len(candles) == count
    begin = candles[0]
    assert (begin.at, begin.volume, begin.trades) == (moment, volume, trades)
    assert (begin.open, begin.high, begin.low, begin.close) == pytest.approx(prices)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("1605571200", at(2020, 11, 17)),
        ("1605571200000", at(2020, 11, 17)),
        ("1605571200000000", at(2020, 11, 17)),
        ("2020-11-17", at(2020, 11, 17)),
        ("2020-11-17T01:00:00+01:00", at(2020, 11, 17)),
        ("2020-11-17 00:01:00", at(2020, 11, 17, 0, 1)),
        ("20201117 00:01", at(2020, 11, 17, 0, 1)),
        ("60000", at(2024, 5, 6, 0, 1)),
    ],
)
def test_times(time: str, moment: int) -> None:
    assert [candle.at for candle in read("a/x-20240506.csv", f"{time},2,3,1,2,9\n\n")] == [moment]


def test_eight_digits_are_a_date_where_the_name_has_none() -> None:
    assert [candle.at for candle in read("x.csv", "20201117,2,3,1,2,9\n")] == [at(2020, 11, 17)]


def test_a_header_names_the_columns_in_any_order() -> None:
    text = "close,Date,volume,colour,LOW,high,open\n2,2020-01-01,5,red,1,3,1.5\n"
    assert read("x.csv", text) == [Candle(1, at(2020, 1, 1), 1.5, 3, 1, 2, 5)]


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("1,2,3\n", None, "x.csv, line 1: 3 columns and no header; name them with --columns"),
        ("date,open,high,low\n", None, "x.csv, line 1: close: each is needed exactly once"),
        ("1605571200,2,3,1,2,9\n1605571260,2,3,1,2\n", None, "x.csv, line 2, column 'columns': 5 instead of 6"),
        ("1605571200,2,3,1,two,9\n", None, "x.csv, line 1, column 'close': 'two' is no number"),
        ("1605571200,2,3,1,nan,9\n", None, "column 'close': 'nan' is no number"),
        (f"1605571200,2,3,1,{'9' * 50},9\n", None, "column 'close'"),
        ("1605571200,2,1,3,2,9\n", None, "is the column order right"),
        ("yesterday,2,3,1,2,9\n", None, "column 'time': 'yesterday' is no time"),
        ("20209999,2,3,1,2,9\n", None, "column 'time': '20209999' is no time"),
        ("60000,2,3,1,2,9\n", None, "milliseconds of a day, and the file's name has no YYYYMMDD"),
        ("1605571200,2,2,1,3,9,1.5e3\n1605571200,2,2,1,3,9,x\n", ORDER, "line 2, column 'trades'"),
        ('"' + "1" * 200_000 + '",2,3,1,2,9\n', None, "no CSV"),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_column(text: str, columns: str | None, words: str) -> None:
    with pytest.raises(Invalid) as error:
        read("x.csv", text, columns)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("columns", "words"),
    [("time,open,high,low,shut", "'shut' is no column"), ("time,open,open,low,close", "high")],
)
def test_columns_that_cannot_be(columns: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        columns_of(columns)
