"""An appraisal as one page of HTML with plots in it: no script, no style sheet and no picture from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --note: #666; }
@media (prefers-color-scheme: dark) { :root { --note: #aaa; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
table { display: block; overflow-x: auto; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: #fff; border-radius: 4px; }
p { color: var(--note); max-width: 50rem; }
"""


class Section(NamedTuple):
    """A heading, what it is about, perhaps a plot, perhaps a table."""

    title: str
    note: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    plot: bytes | None = None
    """PNG."""


def page(title: str, lead: str, sections: Iterable[Section]) -> str:
    """The whole document."""
    body = "\n".join(map(_section, sections))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n<p>{escape(lead)}</p>\n{body}\n</body></html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", f"<p>{escape(section.note)}</p>"]
    if section.plot is not None:
        data = base64.b64encode(section.plot).decode()
        parts.append(f'<img alt="{escape(section.title)}" src="data:image/png;base64,{data}">')
    if section.rows:
        head = "".join(f"<th>{escape(name)}</th>" for name in section.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape('' if cell is None else str(cell))}</td>" for cell in row) + "</tr>\n"
            for row in section.rows
        )
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>")
    return "\n".join(parts)


def plot(draw: Callable[[Axes], None], *, width: float = 9.0, height: float = 4.0) -> bytes:
    """A PNG of what `draw` draws; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.3)
    draw(axes)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def bars(groups: Sequence[str], values: Mapping[str, Sequence[float]], label: str) -> bytes:
    """For each group of words on the axis, a bar for each name of `values`."""

    def draw(axes: Axes) -> None:
        wide = 0.8 / max(1, len(values))
        for number, (name, heights) in enumerate(values.items()):
            places = [place - 0.4 + wide * (number + 0.5) for place in range(len(groups))]
            axes.bar(places, heights, wide * 0.92, label=name)
        axes.set_xticks(range(len(groups)), groups)
        axes.set_ylabel(label)
        axes.legend(frameon=False, ncols=min(3, len(values)), fontsize="small")

    return plot(draw)
