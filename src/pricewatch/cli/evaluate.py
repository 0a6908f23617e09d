"""How good the models are, on files at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from pricewatch.cli.output import AsJson, ExitCode, emit, emit_table, say

evaluate = App(name="evaluate", help="Measure the models on public benchmarks.")


@evaluate.command
def nab(
    folder: Path,
    *,
    out: Annotated[Path, Parameter(help="Folder for the scores: GROUP/FILE.csv with timestamp,value,anomaly_score.")],
    workers: Annotated[int, Parameter(help="Processes; 0 for one a core.")] = 0,
    json: AsJson = False,
) -> int:
    """Run the detector over every FOLDER/data/GROUP/FILE.csv and print the benchmark's three scores."""
    from pricewatch.appraisal.nab import appraise

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("series", total=None)

        def progress(name: str, done: int, count: int) -> None:
            bar.update(task, completed=done, total=count, description=name)

        found = appraise(folder, out, workers=workers or os.cpu_count() or 1, progress=progress)
    if json:
        emit(
            {
                "series": found.series,
                "rows": found.rows,
                "profiles": {one.profile: one._asdict() for one in found.verdicts},
                "groups": {group: {one.profile: one._asdict() for one in some} for group, some in found.groups.items()},
            }
        )
        return ExitCode.OK
    if not found.verdicts:
        say(f"{found.series} series written to {out}; there are no labelled windows to score them by")
        return ExitCode.OK
    parts = {"all": found.verdicts, **found.groups}
    emit_table(
        ["series", "profile", "score", "threshold", "windows met", "false alarms"],
        [
            (
                group,
                one.profile,
                f"{one.score:.2f}",
                f"{one.threshold:.6f}",
                f"{one.met}/{one.windows}",
                one.false_alarms,
            )
            for group, some in parts.items()
            for one in some
        ],
    )
    return ExitCode.OK
