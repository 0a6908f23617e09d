from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from pricewatch.telemetry.exposition import render
from pricewatch.telemetry.metrics import Sample


class Ingest:
    name = "ingest"

    def samples(self) -> Iterable[Sample]:
        yield Sample("trades", 5, labels=(("venue", "kraken"),), help="Trades taken.")
        yield Sample("lag_seconds", 0.25, "gauge")
        yield Sample("trades", 7, labels=(("venue", 'odd"\n'),))


def test_parts_become_families_with_their_prefix() -> None:
    families = {family.name: family for family in text_string_to_metric_families(render([Ingest()]).decode())}
    trades = families["pricewatch_ingest_trades"]
    assert (trades.type, trades.documentation) == ("counter", "Trades taken.")
    assert {sample.labels["venue"]: sample.value for sample in trades.samples} == {"kraken": 5, 'odd"\n': 7}
    assert trades.samples[0].name == "pricewatch_ingest_trades_total"
    assert families["pricewatch_ingest_lag_seconds"].type == "gauge"


def test_no_parts_no_families() -> None:
    assert render([]) == b""
