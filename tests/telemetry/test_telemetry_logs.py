from __future__ import annotations

import io
import json
import logging

import structlog

from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

KEY = "pw_0a1b2c3d_" + "A" * 43


def _line(out: io.StringIO) -> dict[str, object]:
    found: dict[str, object] = json.loads(out.getvalue().splitlines()[-1])
    return found


def test_lines_are_json_with_level_and_time() -> None:
    out = io.StringIO()
    configure(LogSettings(format="json"), out)
    structlog.get_logger("x").warning("feed.lost", exchange="kraken", wait=4.0)
    line = _line(out)
    assert (line["event"], line["level"], line["exchange"], line["wait"]) == ("feed.lost", "warning", "kraken", 4.0)
    assert str(line["timestamp"]).endswith("Z")


def test_levels_are_kept() -> None:
    out = io.StringIO()
    configure(LogSettings(format="json", level="warning"), out)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("library").info("quiet")
    assert out.getvalue() == ""


def test_secrets_are_struck_out_by_key_and_by_value() -> None:
    out = io.StringIO()
    configure(LogSettings(format="json"), out)
    structlog.get_logger("x").info(
        f"used {KEY}",
        password="hunter2",
        api_key="abc",
        url="postgresql://ann:hunter2@db/pw",
        headers={"Authorization": "Bearer abcdefgh12345678", "X": ["Bearer abcdefgh12345678", (KEY,)]},
        raw=KEY.encode(),
        error=ValueError(KEY),
        deep={"a": {"b": {"c": {"d": {"e": {"f": {"g": KEY}}}}}}},
        nothing=None,
        token=None,
        count=3,
    )
    text = out.getvalue()
    for secret in (KEY, "hunter2", "abcdefgh12345678"):
        assert secret not in text
    line = _line(out)
    assert line["url"] == "postgresql://ann:[redacted]@db/pw"
    assert (line["count"], line["token"]) == (3, None)


def test_secrets_do_not_leave_in_tracebacks() -> None:
    out = io.StringIO()
    configure(LogSettings(format="json"), out)
    try:
        int(KEY)
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert KEY not in out.getvalue()
    assert "ValueError" in out.getvalue()


def test_the_standard_library_is_logged_alike() -> None:
    out = io.StringIO()
    configure(LogSettings(format="json"), out)
    logging.getLogger("aiohttp").warning("from %s", KEY)
    line = _line(out)
    assert (line["event"], line["level"]) == ("from [redacted]", "warning")


def test_the_console_form_is_for_people() -> None:
    out = io.StringIO()
    configure(LogSettings(format="console"), out)
    structlog.get_logger("x").info("feed.lost", exchange="kraken")
    assert "feed.lost" in out.getvalue()
    assert "exchange=kraken" in out.getvalue()


def test_auto_is_json_where_nobody_looks() -> None:
    out = io.StringIO()
    configure(LogSettings(), out)
    structlog.get_logger("x").info("feed.lost")
    assert _line(out)["event"] == "feed.lost"
