"""A market's candles looked at before they are fitted: what is usable, or what is wrong with them."""

from __future__ import annotations

import msgspec
import numpy as np

from pricewatch.domain.time import named, rfc3339
from pricewatch.models.baselines.kinds import Columns, Kind, in_rows
from pricewatch.models.baselines.shape import Numbers

_FAR = 12.0
"""A close further from its neighbours' median than so many usual distances is a spike ..."""
_NEAR = 0.05
"""... and than this difference of logarithms, so that a quiet market's steps are none."""
_NEIGHBOURS = 5
_SPIKES = 0.01
"""More spikes than this share of the rows, and none of them is believed."""
_GAPPY = 0.5
"""Rows for less than this share of the time are fitted, and the holes told ..."""
_SPARSE = 0.1
"""... and for less than this share they are not fitted: hardly two of them are as far apart as a forecast reaches."""
_MOST_PRICE = 1e15


class Examined(msgspec.Struct, frozen=True):
    """Rows fit to be fitted, or none and why."""

    rows: Columns | None
    step: int
    status: str
    """`ok`, `gappy`, or, without rows: `empty`, `short`, `constant`, `spiking`, `sparse`."""
    note: str
    """In words, with numbers."""


def examine(columns: Columns, kind: Kind, *, span: int, least: int, most: int, until: int) -> Examined:
    """The newest `most` rows of the kind's best span that has at least `least` of them.

    `columns` are of `span` µs in any order. What is not finite, stands twice, lies at or after `until`, or is a lone
    spike is left out; the rest is never mended.
    """
    sound = in_order(columns, until)
    if not len(sound.at):
        return Examined(None, span, "empty", f"none of {len(columns.at)} candles is usable")
    kept, dropped = without_spikes(sound)
    if dropped > _SPIKES * len(sound.at):
        text = f"{dropped} of {len(sound.at)} closes are far off their neighbours"
        return Examined(None, span, "spiking", text)
    rows, step = _rows(kept, kind, span, least)
    rows = rows.only(slice(-most, None))
    count, since = len(rows.at), rfc3339(int(rows.at[0]))
    if count < least:
        return Examined(
            None, step, "short", f"{count} rows of {named(step)} since {since}, at least {least} are needed"
        )
    raw = kind.raw(rows)
    if raw.min() == raw.max():
        return Examined(None, step, "constant", f"all {count} rows of {named(step)} since {since} are the same")
    share = count * step / (int(rows.at[-1]) + step - int(rows.at[0]))
    spikes = f", {dropped} spikes left out" if dropped else ""
    note = f"{count} rows of {named(step)} since {since}, {share:.0%} of the time{spikes}"
    if share < _SPARSE:
        return Examined(None, step, "sparse", note)
    return Examined(rows, step, "gappy" if share < _GAPPY else "ok", note)


def in_order(columns: Columns, until: int) -> Columns:
    """By time, one for each (the last one wins), with finite positive prices in order and a finite volume."""
    with np.errstate(invalid="ignore"):
        sound = (
            (columns.at < until)
            & (columns.low > 0.0)
            & (columns.low <= columns.close)
            & (columns.close <= columns.high)
            & (columns.high < _MOST_PRICE)
            & (columns.volume >= 0.0)
            & np.isfinite(columns.volume)
        )
    kept = columns.only(sound)
    backwards = kept.at[::-1]
    _, first = np.unique(backwards, return_index=True)  # in order of time; the first seen backwards is the last one
    return kept.only(len(backwards) - 1 - first.astype(np.int64))


def without_spikes(columns: Columns) -> tuple[Columns, int]:
    """Without closes far off the median of their neighbours, and how many those were."""
    off = _distances(np.log(columns.close))
    keep = off <= max(_FAR * float(np.median(off)), _NEAR)
    return columns.only(keep), int(len(keep) - keep.sum())


def _distances(logs: Numbers) -> Numbers:
    wide = np.pad(logs, _NEIGHBOURS, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * _NEIGHBOURS + 1)
    found: Numbers = np.abs(logs - np.median(windows, axis=1))
    return found


def _rows(kept: Columns, kind: Kind, span: int, least: int) -> tuple[Columns, int]:
    """By the first of the kind's spans that has enough rows, else by the last one."""
    rows, step = kept, span
    for step in (one for one in kind.steps if one >= span):
        rows = kept if step == span else in_rows(kept, step)
        if len(rows.at) >= least:
            break
    return rows, step
