"""`pricewatch backtest` over files and over the store."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backtest.conftest import START, document, memory, question, replay, trade
from tests.cli.conftest import Command
from tests.cli.test_cli_past import capture, match

from pricewatch.cli.output import ExitCode
from pricewatch.cli.rules import tell_past
from pricewatch.domain.errors import Invalid
from pricewatch.ports.preview import Answer, Progress, Question


def rule(path: Path, *documents: Mapping[str, Any]) -> str:
    base = {"symbols": "*", "policy": {"channels": ["email"]}}
    path.write_text(json.dumps([{**base, **document} for document in documents]))
    return str(path)


ABOVE: dict[str, Any] = {"title": "above", "when": {"type": "above", "level": "100"}}
CHANGE: dict[str, Any] = {"title": "a rise", "when": {"type": "change", "window": "5s", "percent": "1%"}}


def recording(path: Path) -> str:
    """Every second a trade, up and down around the level."""
    rows = [match(number, price=f"{99 + 2 * (number // 5 % 2)}.25") for number in range(1, 58)]
    return str(capture(path / "coinbase/coinbase-a.jsonl", *rows).parent)


def test_recordings_are_read_with_the_evaluator_of_the_service(pw: Command, tmp_path: Path) -> None:
    rules = rule(tmp_path / "r.json", ABOVE, CHANGE)
    answer = pw("backtest", rules, "--data", recording(tmp_path), "--json")
    assert answer.code == 0, answer.err
    above, rise = answer.json
    assert above["rule"]["title"] == "above"
    assert (above["fired"], above["cleared"], above["mails"], above["resolution"]) == (6, 5, 6, "tick")
    assert above["signals"][0]["id"]
    assert above["signals"][0]["at"] == "2026-01-31T12:00:05.000001Z"
    assert rise["fired"] > 0
    table = pw("backtest", rules, "--data", recording(tmp_path), "--from", "2026-01-31T12:00:30Z")
    assert table.code == 0
    assert "a rise" in table.out
    assert "above: 27 seconds: fired 3 times, you would have got 3 mails" in table.err


def test_candle_files_are_read_in_any_order_of_columns(pw: Command, tmp_path: Path) -> None:
    candles = tmp_path / "btc.csv"
    candles.write_text("".join(f"9,99,{100 + n % 3},99,98,{1605571200 + 60 * n}\n" for n in range(30)))
    words = ("--data", str(candles), "--columns", "volume,close,high,open,low,time")
    rules = rule(tmp_path / "r.json", ABOVE)
    answer = pw("backtest", rules, *words, "--market", "coinbase:BTC-USD", "--json")
    assert answer.code == 0, answer.err
    (told,) = answer.json
    assert (told["fired"], told["resolution"]) == (20, "candle")
    assert {signal["id"] for signal in told["signals"]} == {None}
    missing = pw("backtest", rules, *words)
    assert missing.code == ExitCode.INPUT
    assert "--market" in missing.err


def test_a_report_is_written_where_asked(pw: Command, tmp_path: Path) -> None:
    rules, out = rule(tmp_path / "r.json", ABOVE, CHANGE), tmp_path / "out.html"
    words = ("--data", recording(tmp_path), "--report", str(out), "--fee", "0.2%")
    answer = pw("backtest", rules, *words)
    assert answer.code == 0, answer.err
    assert "0.20% fee" in out.read_text()
    assert str(out) in answer.err.replace("\n", "")
    wrong = pw("backtest", rules, *words, "--slippage", "100%")
    assert wrong.code == ExitCode.INPUT
    assert "--slippage" in wrong.err


def test_wrong_commands_name_the_fix(pw: Command, tmp_path: Path) -> None:
    none = pw("backtest")
    assert none.code == ExitCode.INPUT
    assert "RULE.json" in none.err
    (tmp_path / "bad.json").write_text('{"title": "x"}')
    bad = pw("backtest", str(tmp_path / "bad.json"))
    assert bad.code == ExitCode.INPUT
    assert "symbols" in bad.err
    (tmp_path / "empty.csv").write_text("time,open,high,low,close\n")
    rules = rule(tmp_path / "r.json", ABOVE)
    empty = pw("backtest", rules, "--data", str(tmp_path / "empty.csv"), "--market", "coinbase:BTC-USD")
    assert empty.code == ExitCode.INPUT
    assert "no trade" in empty.err


@pytest.mark.postgres
def test_the_store_is_read_and_nothing_is_written(pw: Command, config: Path, tmp_path: Path) -> None:
    assert pw("import", recording(tmp_path), "--config", str(config)).code == 0
    rules = rule(tmp_path / "r.json", ABOVE, CHANGE)
    words = ("--from", "2026-01-31T12:00Z", "--to", "2026-01-31T12:01Z", "--json")
    stored = pw("backtest", rules, *words, "--config", str(config))
    assert stored.code == 0, stored.err
    files = pw("backtest", rules, "--data", recording(tmp_path), *words)
    assert [one["signals"] for one in stored.json] == [one["signals"] for one in files.json]
    other = pw("backtest", rules, "--market", "kraken:BTC-USD", "--config", str(config))
    assert other.code == ExitCode.INPUT
    assert "coinbase:BTC-USD" in other.err


class Past:
    """A preview that gives these answers."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)

    async def run(self, question: Question, progress: Progress | None = None) -> Answer:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return msgspec.structs.replace(answer, start=question.start, end=question.end)


async def test_before_rules_are_added_their_past_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    answer = await replay(memory([trade(1, START, 1.0)])).run(question(document(ABOVE["when"], channels=["email"])))
    text = json.dumps({**ABOVE, "symbols": "*"}).encode()
    await tell_past(Past(answer, Invalid("symbols", "nothing is stored"), TimeoutError(), *[answer] * 30), [text] * 23)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "above: last 30 days: fired 0 times, you would have got 0 mails"
    assert lines[1] == "above: nothing is stored"
    assert "pricewatch backtest" in lines[2]
    assert len(lines) == 21
    assert lines[-1] == "3 more were not looked at"


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", ExitCode.REFUSED), ("no\n", ExitCode.REFUSED)])
@pytest.mark.postgres
def test_in_a_terminal_it_asks_first(
    pw: Command, config: Path, tmp_path: Path, typed: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--config", str(config))
    assert pw("user", "add", "ann", "--email", "ann@example.org", *where).code == 0
    words = ("rules", "add", rule(tmp_path / "r.json", ABOVE), "--account", "ann", *where)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert pw(*words).code == code
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert len(pw("rules", "list", "--account", "ann", "--json", *where).json) == (code == 0)
    assert pw(*words, "--yes").code == 0
