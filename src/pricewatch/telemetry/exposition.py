"""The parts' samples in the Prometheus text format, made at scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from pricewatch.telemetry.metrics import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Source(Protocol):
    """Whoever counts."""

    name: str

    def samples(self) -> Iterable[Sample]:
        """Counters and gauges as of now."""
        ...


class PartsCollector(Collector):
    """Families named `pricewatch_<part>_<sample>`, one per name, whatever the order of the samples."""

    def __init__(self, parts: Iterable[Source]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Read every part once."""
        for part in self._parts:
            families: dict[str, Metric] = {}
            for sample in part.samples():
                name = f"pricewatch_{part.name}_{sample.name}"
                family = families.get(name)
                if family is None:
                    family = families[name] = _family(name, sample)
                suffix = "_total" if sample.kind == "counter" else ""
                family.add_sample(name + suffix, dict(sample.labels), sample.value)
            yield from families.values()


def _family(name: str, sample: Sample) -> Metric:
    kind = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
    return kind(name, sample.help or sample.name.replace("_", " "))


def render(parts: Iterable[Source]) -> bytes:
    """One scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PartsCollector(parts))
    return generate_latest(registry)
