"""A back-test as one HTML page that needs nothing else: no script, no other origin."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape

import msgspec

from pricewatch.backtest import plots
from pricewatch.backtest.study import Closes, Study, median, study
from pricewatch.backtest.wallet import Outcome, Terms, follow
from pricewatch.domain.signal import Direction
from pricewatch.domain.time import MINUTE, rfc3339
from pricewatch.ports.preview import Answer
from pricewatch.wire.preview import summary

_STYLE = """
:root { color-scheme: light dark; --edge: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--edge); padding-top: 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; } th, td { padding: .2rem .8rem .2rem 0; text-align: left; }
th { font-weight: 600; border-bottom: 1px solid var(--edge); } .figures td + td, .figures th + th { text-align: right; }
img { max-width: 100%; background: #fff; border-radius: 4px; } .note { opacity: .75; font-size: .9em; }
"""
_LARGEST = 3
"""Markets of a rule that get a chart: those with the most signals."""


class Case(msgspec.Struct, frozen=True):
    """One rule's back-test, and the prices it is measured by."""

    title: str
    answer: Answer
    closes: dict[str, Closes]
    """By market key."""


def page(tested: Sequence[Case], terms: Terms) -> str:
    """The whole page."""
    first = tested[0].answer
    rows = [(one.title, summary(one.answer), _best(one, terms)) for one in tested]
    note = (
        f"Bought at a fire and sold at its end, all in or all out, with {terms.fee:.2%} fee and {terms.slippage:.2%} "
        f"slippage an order; from {terms.cash:,} each market. What was, not what will be."
    )
    body = [
        f"<h1>Back-test</h1><p>{rfc3339(first.start)[:16]} to {rfc3339(first.end)[:16]} UTC</p>",
        _table(("rule", "what it would have done", "bought and sold by it"), rows, kind="words"),
        *(_section(one, terms) for one in tested),
        f'<p class="note">{note}</p>',
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    title = "<title>Back-test</title>"
    return f'<!doctype html><html lang="en"><head>{head}{title}</head><body>{"".join(body)}</body></html>'


def _section(one: Case, terms: Terms) -> str:
    answer = one.answer
    found = study(answer.signals, one.closes, answer.start, answer.end)
    counts = {chart.market: sum(signal.scope == chart.market for signal in answer.signals) for chart in answer.charts}
    charts = sorted(answer.charts, key=lambda chart: -counts[chart.market])[:_LARGEST]
    parts = [f"<h2>{escape(one.title)}</h2><p>{escape(summary(answer))}</p>"]
    for chart in charts:
        if chart.points:
            image = plots.prices(chart, answer.signals, answer.thresholds)
            parts.append(f"<h3>{escape(chart.market)}</h3>" + _image(image, f"Prices of {chart.market} with fires"))
    fired = sum(signal.direction is Direction.FIRED for signal in answer.signals)
    if fired:
        parts += [_days(found, fired), _following(found), _leads(found)]
    parts.append(_strategy(one, terms))
    return "".join(parts)


def _days(found: Study, fired: int) -> str:
    rate = fired / max(1, len(found.per_day))
    head = f"<h3>Fires a day</h3><p>{rate:.1f} on average, {max(count for _, count in found.per_day)} at most.</p>"
    return head + (_image(plots.per_day(found.per_day), "Fires a day") if len(found.per_day) > 1 else "")


def _following(found: Study) -> str:
    rows = [
        (
            f"{one.after // MINUTE} min",
            f"{one.count}",
            f"{one.median:+.3f} %",
            f"{one.rose:.0%}",
            f"{one.usual:.3f} %",
        )
        for one in found.following
    ]
    head = ("after", "fires", "median move", "rose", "usual size at any time")
    return "<h3>What followed</h3>" + _table(head, rows)


def _leads(found: Study) -> str:
    if not found.leads:
        return ""
    text = f"The furthest price of the next hour came {median(found.leads):.0f} minutes after the fire (median)."
    image = _image(plots.leads(found.leads), "Minutes from a fire to the furthest price")
    return f"<h3>Lead times</h3><p>{text}</p>{image}"


def _strategy(one: Case, terms: Terms) -> str:
    rows = []
    for market, outcome in outcomes(one, terms).items():
        gain, held = (f"{share:+.2%}" for share in (outcome.gain(terms.cash), outcome.held_gain(terms.cash)))
        rows.append((market, f"{len(outcome.deals)}", gain, held, f"{outcome.fees:,.2f}"))
    if not rows:
        return ""
    head = ("market", "orders", "by the rule", "held all the time", "fees")
    return "<h3>Bought and sold by it</h3>" + _table(head, rows)


def outcomes(one: Case, terms: Terms) -> dict[str, Outcome]:
    """The wallet of each market with prices."""
    found = {}
    for market, closes in one.closes.items():
        mine = [signal for signal in one.answer.signals if signal.scope == market]
        outcome = follow(mine, closes, terms)
        if outcome is not None:
            found[market] = outcome
    return found


def _best(one: Case, terms: Terms) -> str:
    """All its markets together, beside holding them."""
    found = list(outcomes(one, terms).values())
    if not found:
        return ""
    cash = terms.cash * len(found)
    gain, held = sum((each.worth for each in found), Decimal(0)), sum((each.held for each in found), Decimal(0))
    return f"{gain / cash - 1:+.2%} (held: {held / cash - 1:+.2%})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "figures") -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f'<table class="{kind}">' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _image(address: str, text: str) -> str:
    return f'<p><img src="{address}" alt="{escape(text, quote=True)}"></p>'
