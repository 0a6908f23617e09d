"""The three appraisals as pages: which tables, which plots, what they mean."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pricewatch.appraisal import bands, injection, nab
from pricewatch.appraisal.report import Section, page, plot
from pricewatch.appraisal.report import bars as bar_plot
from pricewatch.appraisal.rivals import BANK, RIVALS, STATED
from pricewatch.domain.time import MINUTE

Table = tuple[Sequence[str], list[Sequence[object]]]
"""Columns and rows."""


def nab_table(found: nab.Appraisal) -> Table:
    """A row for each group and profile, all series first."""
    columns = ("series", "profile", "score", "threshold", "windows met", "false alarms")
    parts = {"all": found.verdicts, **found.groups}
    return columns, [
        (group, one.profile, f"{one.score:.2f}", f"{one.threshold:.6f}", f"{one.met}/{one.windows}", one.false_alarms)
        for group, some in parts.items()
        for one in some
    ]


def nab_page(found: nab.Appraisal) -> str:
    """Scores by group and profile."""
    sections = [
        Section("Scores", "100: every window met at once and nothing else. 0: no alarm at all.", *nab_table(found))
    ]
    if found.groups:
        names = list(found.groups)
        by_profile = {
            one.profile: [found.groups[name][place].score for name in names] for place, one in enumerate(found.verdicts)
        }
        note = "Each group with the threshold that suits it best."
        sections.append(Section("By group", note, plot=bar_plot(names, by_profile, "score")))
    return page("Row detector", f"{found.series} series, {found.rows} rows, one parameter set.", sections)


def bands_table(found: bands.Appraisal) -> Table:
    """A row for each series, horizon and level."""
    columns = (
        "series", "bar", "ahead", "level", "bands", "coverage", "allowed", "honest", "worst 500", "best 500",
        "width", "score", "halves", "walk covers",
    )  # fmt: skip
    return columns, [
        (
            one.series,
            _span(one.step),
            one.horizon,
            f"{one.level:.0%}",
            one.bands,
            f"{one.coverage:.2%}",
            f"±{one.allowed:.2%}",
            "yes" if one.is_honest else "NO",
            "" if one.least is None else f"{one.least:.1%}",
            "" if one.most is None else f"{one.most:.1%}",
            f"{one.width:.3%}",
            f"{one.score:.3f}",
            " ".join(f"{half:.3f}" for half in one.halves),
            f"{one.plain:.2%}",
        )
        for one in found.outcomes
    ]


def together_table(found: bands.Appraisal) -> Table:
    """A row for each folder of series and level, one bar ahead."""
    columns = ("folder", "level", "series", "bands", "score")
    return columns, [
        (one.folder or "-", f"{one.level:.0%}", one.series, one.bands, f"{one.score:.3f}") for one in found.together
    ]


def bands_page(found: bands.Appraisal) -> str:
    """Coverage of the last 500 along each series, then everything as a table."""
    curves = [curve for curve in found.curves if curve.places]

    def draw(axes: Axes) -> None:
        for curve in curves:
            last = max(curve.places)
            axes.plot([place / last for place in curve.places], curve.coverage, label=curve.series, linewidth=0.9)
        axes.axhspan(0.92, 0.98, alpha=0.08)
        axes.axhline(0.95, linewidth=0.8, color="black")
        axes.set_xlabel("share of the series")
        axes.set_ylabel("coverage of the last 500 bands")
        axes.legend(frameon=False, fontsize="x-small", ncols=2)

    note = "One bar ahead: the series' scores, each weighed by its bands."
    sections = [Section("Folders", note, *together_table(found))]
    if curves:
        note = "One bar ahead, 95 %. The shaded strip is 92 to 98 %."
        sections.append(Section("Coverage along the way", note, plot=plot(draw, height=5.0)))
    sections.append(
        Section(
            "Every horizon and level",
            "Score: interval score beside that of a random walk's band with an exponentially weighted deviation; below "
            "1 is better. Allowed: by how much coverage may miss its level with so many bands.",
            *bands_table(found),
        )
    )
    return page("Bands", f"{found.series} series, {found.bars} bars, one parameter set.", sections)


def recall_table(found: injection.Appraisal) -> Table:
    """A row for each rate and detector: overall, then by group and kind."""
    kinds = list(found.recalls[0].kinds) if found.recalls else []
    rows: list[Sequence[object]] = []
    for rate in injection.RATES:
        for name in (BANK, STATED, *RIVALS):
            for one in found.recalls:
                if (one.detector, one.rate) == (name, rate):
                    parts = [f"{one.kinds[kind]:.2f}" if kind in one.kinds else "" for kind in kinds]
                    rows.append((f"{rate} a day", name, one.group, f"{one.recall:.3f}", *parts))
            rows.append((f"{rate} a day", name, "both", f"{found.overall(name, rate):.3f}", *[""] * len(kinds)))
    return ("false alarms", "detector", "bars", "recall", *kinds), rows


def honesty_table(found: injection.Appraisal) -> Table:
    """Stated and observed alarms on held-out halves."""
    rows: list[Sequence[object]] = [
        (one.series, f"{one.rate} a day", one.bars, f"{one.expected:.1f}", one.observed) for one in found.honesty
    ]
    rows += [("all", f"{rate} a day", "", "", f"{found.factor(rate):.2f} times") for rate in injection.STATED_RATES]
    return ("series", "stated", "bars", "expected", "observed"), rows


def injection_page(found: injection.Appraisal) -> str:
    """Recall beside the alternatives, then what was stated beside what was seen."""
    names = (BANK, STATED, *RIVALS)
    values = {f"{rate} a day": [found.overall(name, rate) for name in names] for rate in injection.RATES}
    return page(
        "Injected events",
        f"{found.events} events of five kinds in {found.series} clean histories. A day is 1,440 bars.",
        [
            Section(
                "Found",
                "Share of the events found at a threshold that gives so many alarms on the clean history; 'as stated' "
                "uses the bank's own stated rate instead.",
                *recall_table(found),
                plot=bar_plot(names, values, "recall"),
            ),
            Section(
                "Stated and observed",
                "Alarms in the second half of each clean history, at the rate stated before.",
                *honesty_table(found),
            ),
        ],
    )


def _span(step: int) -> str:
    minutes = step // MINUTE
    if minutes % 1_440 == 0:
        return f"{minutes // 1_440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"
