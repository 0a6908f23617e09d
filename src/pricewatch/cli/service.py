"""Running the service: run, demo, check, config, migrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_text, say, settings_of
from pricewatch.config import Settings, as_toml, masked
from pricewatch.domain.time import parse_span

config = App(name="config", help="What is set, and what may be set.")


def run(
    *,
    config: ConfigFile = None,
    roles: Annotated[str | None, Parameter(help="Comma-separated parts to run instead of app.roles.")] = None,
) -> int:
    """Run the service until SIGINT or SIGTERM; then drain and exit 0."""
    from pricewatch.app.runtime import serve

    settings = settings_of(config)
    if roles is not None:
        chosen = tuple(part.strip() for part in roles.split(",") if part.strip())
        settings = settings.model_copy(update={"app": type(settings.app)(**{**dict(settings.app), "roles": chosen})})
    return serve(settings, lambda: settings_of(config))


def demo(
    *,
    for_: Annotated[str | None, Parameter(name="--for", help="Stop after this long, for example 60s.")] = None,
    seed: Annotated[int, Parameter(help="The market's seed.")] = 1,
    port: Annotated[int, Parameter(help="Port of the live page and API; 0 takes a free one.")] = 8080,
    data: Annotated[Path | None, Parameter(help="Keep the data here instead of in a temporary folder.")] = None,
) -> int:
    """Simulated venues, the whole service, a mailbox and a live view: no network, no account, nothing to set up.

    With `--for` it drains at the end and prints one line of JSON:
    trades_received, stored, duplicates, rejected, signals, mails, p50_ms, p99_ms.
    """
    from pricewatch.demo.composition import run_demo

    span = parse_span(for_, field="--for") if for_ is not None else None
    summary = run_demo(seed=seed, span=span, port=port, data=data)
    if span is not None:
        emit(summary)
    return ExitCode.OK


def check(*, config: ConfigFile = None, json: AsJson = False) -> int:
    """Say what is wrong with the configuration and the world it names: database, bus, mail server, venues, folder."""
    from pricewatch.app.checks import check_everything

    findings = check_everything(settings_of(config))
    if json:
        emit([{"subject": one.subject, "ok": one.ok, "says": one.says} for one in findings])
    else:
        for one in findings:
            emit_text(f"{'ok  ' if one.ok else 'FAIL'}  {one.subject}: {one.says}")
    return ExitCode.OK if all(one.ok for one in findings) else ExitCode.UNAVAILABLE


def migrate(*, config: ConfigFile = None) -> int:
    """Bring the database's schema up to this version (the service does it itself at start)."""
    from pricewatch.app.runtime import migrate_once

    say(f"the schema is up to date ({migrate_once(settings_of(config))})")
    return ExitCode.OK


@config.command
def show(*, config: ConfigFile = None, json: AsJson = False) -> int:
    """Print the settings in force, secrets masked."""
    settings = settings_of(config)
    if json:
        emit(masked(settings))
    else:
        emit_text(as_toml(settings))
    return ExitCode.OK


@config.command
def example() -> int:
    """Print a file with every key, its default and its meaning."""
    emit_text(as_toml(Settings.model_construct(), explained=True))
    return ExitCode.OK
