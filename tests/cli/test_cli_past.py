"""`import`, `backfill` and `record` as people use them."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import random
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.cli.conftest import Command
from tests.cli.test_cli_processes import _environment, command, configured, venues

from pricewatch.cli.output import ExitCode
from pricewatch.simulator.capture import load
from pricewatch.simulator.settings import SimulatorSettings

CANDLES = "1605571200,2,3,1,2.5,9\n1605571260,2.5,3,2,2,4\n1605571260,2.5,3,2,2,4\n"


def match(number: int, product: str = "BTC-USD", **changes: Any) -> str:
    frame = {"type": "match", "trade_id": number, "side": "buy", "size": "0.5", "price": "100.25"}
    frame |= {"product_id": product, "sequence": number, "time": f"2026-01-31T12:00:{number % 60:02d}.000001Z"}
    raw = json.dumps(frame | changes)
    return json.dumps({"t": 1769860800.0 + number, "dir": "in", "conn": "coinbase.1", "raw": raw})


def capture(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"t": 1769860800.0, "dir": "open", "conn": "coinbase.1", "url": "wss://ws-feed.exchange.coinbase.com"}
    path.write_text("\n".join([json.dumps(head), *lines]) + "\n")
    return path


@pytest.mark.postgres
def test_files_are_imported_once(pw: Command, config: Path, tmp_path: Path) -> None:
    first = capture(tmp_path / "in/coinbase/coinbase-a.jsonl", *(match(number) for number in range(1, 21)))
    rows = [match(number) for number in range(15, 31)]
    rows += [match(31, price="-1"), match(32, price="dear"), match(33, "A-B-C")]
    capture(tmp_path / "in/coinbase/coinbase-b.jsonl", *rows)
    candles = tmp_path / "btc.csv.gz"
    candles.write_bytes(gzip.compress(CANDLES.encode()))
    words = ("import", str(tmp_path / "in"), str(candles), "--market", "coinbase:BTC-USD", "--config", str(config))
    answer = pw(*words)
    assert answer.code == 0, answer.err
    told = {"files": 3, "trades": 30, "known": 7, "rejected": 2, "left_out": 1, "candles": 2, "markets": 1}
    assert answer.json == told
    assert "coinbase-a.jsonl: 20 trades and 0 candles are new so far" in answer.err
    again = pw(*words)
    assert again.json == told | {"trades": 0, "known": 39, "candles": 0}
    assert pw("import", str(first), "--config", str(config)).json["known"] == 20


@pytest.mark.postgres
def test_models_are_measured_on_what_is_stored(pw: Command, config: Path, tmp_path: Path) -> None:
    luck, price, lines = random.Random(7), 100.0, []
    for minute in range(10_300):
        price *= math.exp(luck.gauss(0.0, 1e-3))
        lines.append(f"{1605571200 + 60 * minute},{price},{price * 1.001},{price * 0.999},{price},1")
    (tmp_path / "btc.csv").write_text("\n".join(lines) + "\n")
    where = ("--config", str(config))
    assert pw("import", str(tmp_path / "btc.csv"), "--market", "coinbase:BTC-USD", *where).json["candles"] == 10_300
    stored = ("--market", "coinbase:BTC-USD", *where)
    answer = pw("evaluate", "bands", *stored, "--from", "2020-11-17", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["series"], answer.json["bars"]) == (1, 10_300)
    for words, told in (
        ((*stored, "--from", "30d"), "coinbase:BTC-USD: 0 candles are too few"),
        (("--market", "moon:BTC-USD", *where), "no market 'moon:BTC-USD'; known: coinbase:BTC-USD"),
        ((), "name candle files, or stored markets"),
    ):
        wrong = pw("evaluate", "bands", *words)
        assert (wrong.code, told in wrong.err) == (ExitCode.INPUT, True), wrong.err


@pytest.mark.postgres
@pytest.mark.shared
def test_a_shared_recording_is_imported_whole(pw: Command, config: Path, shared: Path) -> None:
    file = shared / "data/binance/binance-btcusdt-20240808T235413Z.jsonl.gz"
    answer = pw("import", str(file), "--config", str(config))
    assert answer.code == 0, answer.err
    assert (answer.json["trades"], answer.json["rejected"], answer.json["left_out"]) == (9757, 0, 0)
    assert pw("import", str(file), "--config", str(config)).json["trades"] == 0


@pytest.mark.postgres
def test_what_is_wrong_with_a_file_is_told_by_file_line_and_field(pw: Command, config: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("1605571200,2,3,1,two,9\n")
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(b"1605571200,2,3,1,2,9\n" * 999)[:40])
    (tmp_path / "kraken.jsonl").write_text('{"t":1,"dir":"in","raw":"[1,2]"}\n')
    (tmp_path / "bad.jsonl").write_text('{"t":1,"dir":"in"}\n{"t":2}\n')
    market = ("--market", "kraken:BTC-USD")
    for words, code, text in (
        ((), ExitCode.INPUT, "FILES: none given"),
        (("c.csv",), ExitCode.INPUT, "--market: is needed for c.csv"),
        (("c.csv", "--market", "nasdaq:A-B"), ExitCode.INPUT, "there is no venue 'nasdaq'"),
        (("c.csv", *market, "--columns", "time,shut"), ExitCode.INPUT, "'shut' is no column"),
        (("c.csv", *market), ExitCode.INPUT, "c.csv, line 1, column 'close': 'two' is no number"),
        (("torn.csv.gz", *market), ExitCode.CONFIG, "torn.csv.gz: cannot be read"),
        (("missing.csv", *market), ExitCode.CONFIG, "missing.csv: cannot be read"),
        (("kraken.jsonl",), ExitCode.CONFIG, "version 1"),
        (("bad.jsonl",), ExitCode.CONFIG, "bad.jsonl, line 1: not a line of a recording"),
    ):
        answer = pw("import", *words, "--config", str(config))
        assert answer.code == code, answer.err
        assert text in answer.err
        assert not answer.out


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_backfill_fetches_candles_and_trades_once(config: Path, open_folder: Path) -> None:
    async with venues(history_minutes=60) as addresses:
        where = ("--config", str(configured(config, addresses, open_folder)))
        async with aiohttp.ClientSession() as http:
            async with asyncio.timeout(60):
                trades = 0
                while trades < 300:
                    async with http.get(addresses["rest"] + "/control/status") as reply:
                        trades = (await reply.json())["trades"]
                    await asyncio.sleep(0.05)
        words = ("backfill", "coinbase", "btc/usd", "--from", "50m", *where)
        code, out, err = await command(*words, within=90)
        assert code == 0, err
        told = json.loads(out)
        assert told["candles"] >= 49
        assert told["trades"] >= 300
        assert told["trades_told"] is True
        assert "coinbase:BTC-USD: candles up to 20" in err
        assert "coinbase:BTC-USD: trades at 20" in err
        code, out, err = await command(*words, "--no-trades", within=90)
        assert code == 0, err
        again = json.loads(out)
        assert again["candles"] <= 3
        assert again["trades"] == 0
        assert again["known"] >= 49


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nasdaq A-B --from 7d", "there is no venue 'nasdaq'; there are"),
        ("coinbase BTC --from 7d", "'BTC' is not BASE-QUOTE"),
        ("coinbase BTC-USD --from soon", "--from: 'soon' is neither a time such as '2026-01-31T12:00Z' nor a span"),
        ("coinbase BTC-USD --from 2026-01-02 --to 2026-01-01T00:00Z", "--from: '2026-01-02' is not before --to"),
    ],
)
def test_wrong_backfills(pw: Command, line: str, words: str) -> None:
    answer = pw("backfill", *line.split())
    assert answer.code == ExitCode.INPUT
    assert words in answer.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--market kraken", "--market: 'kraken' is not venue:BASE-QUOTE"),
        ("--fault drop", "--fault: 'drop' is not name=value"),
        ("--fault drop=2", "--fault: drop: "),
        ("--fault mute=kraken:X-Y", "there is no market 'kraken:X-Y'"),
        ("--fault bomb=0.5", "bomb needs deflate"),
        ("--market nasdaq:A-B", "there is no venue 'nasdaq'"),
    ],
)
def test_wrong_simulations(pw: Command, line: str, words: str) -> None:
    answer = pw("simulate", *line.split())
    assert answer.code in {ExitCode.INPUT, ExitCode.CONFIG}
    assert words in answer.err


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_killed_recorder_leaves_a_readable_file_and_the_next_one_uploads_it(
    config: Path, tmp_path: Path
) -> None:
    folder, far = tmp_path / "captures", tmp_path / "far"
    async with venues(rate=50.0) as addresses:
        path = configured(config, addresses, tmp_path)
        path.write_text(path.read_text() + f'[ingest.record]\nflush_interval = 0.1\nstore = "{far}"\n')
        words = ("record", str(folder), "--config", str(path))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pricewatch", *words, env=_environment(), stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(60):
            while not [file for file in folder.rglob("*.gz") if file.stat().st_size > 20_000]:
                await asyncio.sleep(0.05)
        code, _, err = await command(*words, "--for", "1s")
        assert code == ExitCode.CONFIG
        assert "already uses the folder" in err
        process.send_signal(signal.SIGKILL)
        await process.wait()
        (torn,) = folder.rglob("*.gz")
        (tape,) = load([torn], SimulatorSettings(speed="max"))
        assert tape.name == "coinbase"
        assert len(list(tape.take(0, 1_000_000, heard=True))) > 20
        assert not list(far.rglob("*.gz"))
        code, out, err = await command(*words, "--for", "2s", within=60)
    assert code == 0, err
    told = json.loads(out)
    assert (told["uploaded"], told["waiting"], len(told["files"])) == (2, 0, 1)
    assert told["frames"] > 20
    names = {file.relative_to(folder) for file in folder.rglob("*.gz")}
    assert {file.relative_to(far) for file in far.rglob("*.gz")} == names
    assert (far / torn.relative_to(folder)).read_bytes() == torn.read_bytes()
