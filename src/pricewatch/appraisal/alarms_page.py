"""Stated and observed false alarms as tables and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.appraisal.alarms import Appraisal
from pricewatch.appraisal.report import Section, bars, page
from pricewatch.wire.alarms import AlarmSpan

Table = tuple[Sequence[str], list[Sequence[object]]]
_HEAD = ("stated a week", "before it was armed", "minutes", "since it was armed", "minutes")


def alarms_table(found: Appraisal) -> Table:
    """A row for each rule, market and rate."""
    return ("account", "rule", "market", *_HEAD), [
        (rule.account, rule.title, row.market, f"{row.stated_per_week:g}", *_span(row.history), *_span(row.armed))
        for rule in found.rules
        for row in rule.markets
    ]


def totals_table(found: Appraisal) -> Table:
    """A row for each rate and span, all rules and markets together."""
    return ("stated a week", "span", "minutes judged", "alarms", "observed a week", "observed by stated"), [
        (
            f"{one.stated_per_week:g}",
            "before arming" if one.span == "history" else "since arming",
            one.minutes,
            one.alarms,
            _rate(one.per_week),
            "" if one.factor is None else f"{one.factor:.2f}",
        )
        for one in found.totals
    ]


def alarms_page(found: Appraisal) -> str:
    """Observed by stated, then every rule."""
    lead = (
        "Alarms among the minutes that the models judged, a cluster of unusual minutes being one; a week has 10,080 "
        "minutes. Before arming: up to 30 days in which nobody acted on the rule. Real events are among them: no "
        "history is quiet throughout."
    )
    known = [one for one in found.totals if one.per_week is not None]
    sections = [Section("All rules together", "By stated rate.", *totals_table(found))]
    if known:
        names = [f"{one.stated_per_week:g} a week, {'before' if one.span == 'history' else 'since'}" for one in known]
        values = {
            "stated": [one.stated_per_week for one in known],
            "observed": [one.per_week or 0.0 for one in known],
        }
        sections[0] = sections[0]._replace(plot=bars(names, values, "alarms a week"))
    sections.append(Section("Rule by rule", "Alarms a week, and among how many minutes.", *alarms_table(found)))
    return page("False alarms", lead, sections)


def _span(span: AlarmSpan | None) -> tuple[str, str]:
    return ("not armed", "") if span is None else (_rate(span.per_week), str(span.minutes))


def _rate(per_week: float | None) -> str:
    return "nothing judged" if per_week is None else f"{per_week:.2f}"
