"""The demo as its user runs it: what it signals is what the definitions say, for any seed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from tests.acceptance import world
from tests.acceptance.rig import SOURCE

from pricewatch.store.embedded import EmbeddedPostgres

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(480)]

SEEDS = (1, 7, 20)
SPAN = "32s"
KEYS = ["trades_received", "stored", "duplicates", "rejected", "signals", "mails", "p50_ms", "p99_ms"]
WARM_UP = 30


class Run(NamedTuple):
    code: int
    output: list[str]
    words: str
    left: world.World

    @property
    def summary(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.output[0])
        return answer


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[int, Run]]:
    """All seeds at the same time; the data folders do not exist before."""
    with TemporaryDirectory(prefix="pw-demo-") as name:
        root = Path(name)
        root.chmod(0o711)
        processes = {seed: _start(seed, root / str(seed)) for seed in SEEDS}
        found = {}
        for seed, process in processes.items():
            output, words = process.communicate(timeout=200)
            left = asyncio.run(_left(root / str(seed)))
            found[seed] = Run(process.returncode, output.splitlines(), words, left)
        yield found


def _start(seed: int, folder: Path) -> subprocess.Popen[str]:
    words = ["demo", "--for", SPAN, "--seed", str(seed), "--port", "0", "--data", str(folder)]
    environment = dict(os.environ) | {"PYTHONPATH": str(SOURCE)}  # noqa: TID251 - handed on to the child
    return subprocess.Popen(
        [sys.executable, "-m", "pricewatch", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


async def _left(folder: Path) -> world.World:
    async with EmbeddedPostgres(folder / "postgres") as server:
        return await world.read(server.url())


@pytest.fixture(params=SEEDS, ids="seed{}".format)
def run(request: pytest.FixtureRequest, runs: dict[int, Run]) -> Run:
    return runs[request.param]


def test_it_ends_well_and_prints_one_line_of_json(run: Run) -> None:
    assert run.code == 0, run.words[-3000:]
    assert len(run.output) == 1
    assert list(run.summary) == KEYS


def test_every_trade_is_accounted_for(run: Run) -> None:
    counted = run.summary
    assert counted["trades_received"] == counted["stored"] + counted["duplicates"] + counted["rejected"]
    assert counted["stored"] == len(run.left.prints) > 500
    assert len({(one.market, one.key) for one in run.left.prints}) == len(run.left.prints)
    assert not run.left.gaps


def test_the_signals_are_those_the_definitions_ask_for(run: Run) -> None:
    wanted = run.left.expected(WARM_UP)
    assert run.left.ids() == [one.id for one in wanted]
    assert [(one["seen"], one["at"], one["direction"]) for one in run.left.signals] == [
        (one.seen, one.at, one.direction) for one in wanted
    ]
    run.left.assert_feeds_are_whole()
    assert run.summary["signals"] == len(wanted)


def test_every_kind_of_condition_has_fired(run: Run) -> None:
    kinds = {rule.id: rule.document["when"]["type"] for rule in run.left.rules}
    fired = Counter(kinds[one["rule_id"]] for one in run.left.signals if one["direction"] == "fired")
    assert set(fired) == {"above", "below", "crosses", "change", "anomaly", "outside_band"}
    assert any(json.loads(one["payload"])["cause"].startswith("timer:") for one in run.left.signals)


def test_every_mail_owed_has_arrived_once(run: Run) -> None:
    assert run.summary["mails"] == len(run.left.deliveries) > 0
    assert {one["state"] for one in run.left.deliveries} == {"sent"}
    assert {one["attempts"] for one in run.left.deliveries} == {1}
