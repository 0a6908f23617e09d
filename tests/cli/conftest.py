"""Commands in this process, with what they wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pricewatch.cli import execute


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):  # noqa: TID251 - what the test itself is run with
        if name.startswith("PRICEWATCH_") and name != "PRICEWATCH_SHARED":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def pw(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run one command line; not inside a running loop."""

    def run(*words: str) -> Answer:
        capfd.readouterr()
        code = execute(list(words))
        out, err = capfd.readouterr()
        return Answer(int(code), out, err)

    return run


@pytest.fixture
def config(open_folder: Path) -> Path:
    """The embedded server in a folder of its own."""
    path = open_folder / "pw.toml"
    path.write_text(
        f'[app]\ndata = "{open_folder}/data"\n[gateway]\nport = 0\n'
        '[ingest.venues.coinbase]\nenabled = false\n[database.embedded.options]\nfsync = "off"\n'
    )
    return path
