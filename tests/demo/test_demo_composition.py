"""The whole demo, shortly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from pricewatch.demo.composition import run_demo

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(180)]
SOURCE = Path(__file__).resolve().parents[2] / "src"


def test_a_short_run_counts_what_passed(capfd: pytest.CaptureFixture[str]) -> None:
    summary = run_demo(seed=1, span=9_000_000, port=0, data=None)
    assert summary["trades_received"] > 20
    assert summary["trades_received"] == summary["stored"] + summary["duplicates"] + summary["rejected"]
    out, err = capfd.readouterr()
    assert not out
    assert "live page" in err
    assert "API key" in err


@pytest.mark.parametrize("patience", [1.0, 2.5])
async def test_an_early_interrupt_ends_it(open_folder: Path, patience: float) -> None:
    inherited = dict(os.environ)  # noqa: TID251 - handed on to the child
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pricewatch", "demo", "--port", "0", "--for", "60s", "--data", str(open_folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=inherited | {"PYTHONPATH": str(SOURCE)},
    )
    await asyncio.sleep(patience)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode in {0, -signal.SIGTERM}
    assert process.returncode != 0 or json.loads(out)["trades_received"] >= 0
