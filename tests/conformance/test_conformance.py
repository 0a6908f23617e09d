"""The suite passes our client, and fails clients that deserve it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pricewatch.conformance import faults
from pricewatch.conformance.__main__ import main
from pricewatch.conformance.server import KEY, Faulty
from pricewatch.conformance.suite import SCENARIOS, Scenario, run

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = [sys.executable, str(REPOSITORY / "docs" / "examples" / "ids.py")]
NAIVE = [sys.executable, str(Path(__file__).with_name("naive.py"))]
FORGETFUL = [sys.executable, str(Path(__file__).with_name("forgetful.py"))]


def chosen(*names: str) -> list[Scenario]:
    return [one for one in SCENARIOS if one.name in names]


async def test_our_client_passes() -> None:
    verdicts = await run(OURS, patience=40)
    assert {one.scenario.name: one.faults for one in verdicts} == {one.name: [] for one in SCENARIOS}


async def test_a_naive_client_passes_only_what_is_easy() -> None:
    names = ("plain", "novelties", "drops", "duplicates", "reorders", "gaps", "revoked")
    verdicts = {one.scenario.name: one.faults for one in await run(NAIVE, scenarios=chosen(*names), patience=6)}
    assert not verdicts["plain"]
    assert not verdicts["novelties"]
    assert "missing" in verdicts["drops"][0]
    assert "more than once" in verdicts["duplicates"][0]
    assert "more than once" in verdicts["reorders"][0] or "out of order" in verdicts["reorders"][0]
    assert "missing" in verdicts["gaps"][0]
    assert any("goes on running" in one for one in verdicts["revoked"])
    assert any("connected" in one for one in verdicts["revoked"])


async def test_a_program_that_is_no_client_fails() -> None:
    talks = [sys.executable, "-c", "import time\nprint('hello', flush=True)\ntime.sleep(60)"]
    (verdict,) = await run(talks, scenarios=chosen("plain"), patience=1)
    assert verdict.faults == ["40 of 40 missing", "printed what is no id: 'hello'"]


async def test_who_never_acknowledges_fails() -> None:
    (verdict,) = await run(NAIVE, scenarios=chosen("consumer"), patience=1)
    assert "acknowledged 0 of 40" in verdict.faults


async def test_who_lets_the_wait_run_out_fails() -> None:
    (verdict,) = await run(FORGETFUL, scenarios=chosen("slow work"), patience=20)
    assert verdict.faults == ["held 2 of 2 for longer than it had asked for"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "plain", "--patience", "30", "--", *OURS]) == 0
    out = capsys.readouterr().out
    assert "plain" in out
    assert "1 of 1 passed" in out
    with pytest.raises(SystemExit):
        main(["--only", "nonsense", "--", "true"])
    assert main(["--only", "plain", "--patience", "1", "--", sys.executable, "-c", "pass"]) == 1


def test_its_help_says_what_a_client_must_do() -> None:
    command = [sys.executable, "-m", "pricewatch.conformance", "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(REPOSITORY / "src")}
    )
    assert "PRICEWATCH_CONSUMER" in done.stdout


async def frames(server: Faulty, *requests: dict[str, Any], count: int) -> list[dict[str, Any]]:
    async with connect(server.url, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        for request in requests:
            await socket.send(json.dumps(request))
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                frame = json.loads(await socket.recv())
                if frame["type"] != "heartbeat":
                    found.append(frame)
    return found


async def test_the_server_answers_as_the_real_one() -> None:
    async with Faulty(faults.Plan(), 3).running() as server:
        found = await frames(
            server,
            {"method": "ping", "req_id": 1},
            {"method": "dance", "req_id": 2},
            {"method": "subscribe", "params": {"channel": "ticker", "symbols": ["*"]}, "req_id": 3},
            {
                "method": "subscribe",
                "params": {"channel": "signals", "symbols": ["*"], "after": {"epoch": 1, "seq": 9}},
            },
            count=8,
        )
        kinds = [one["type"] for one in found]
        assert kinds[:6] == ["welcome", "pong", "error", "subscribed", "subscribed", "snapshot"]
        assert (found[5]["resumed"], found[5]["reason"]) == (False, "future")
        with pytest.raises(InvalidStatus, match="401"):
            async with connect(server.url):
                raise AssertionError
