"""The command line: one file per group of commands."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError

from pricewatch import __version__
from pricewatch.cli.backtest import backtest
from pricewatch.cli.dossiers import erase, export
from pricewatch.cli.evaluate import evaluate
from pricewatch.cli.markets import markets
from pricewatch.cli.models import models
from pricewatch.cli.output import ExitCode, complain
from pricewatch.cli.passwords import change, password
from pricewatch.cli.past import backfill, import_
from pricewatch.cli.people import user
from pricewatch.cli.rules import rules
from pricewatch.cli.service import check, config, demo, migrate, run
from pricewatch.cli.venues import record, replay, simulate
from pricewatch.cli.watch import watch
from pricewatch.domain.errors import (
    BadData,
    ConfigError,
    Fenced,
    Invalid,
    NotFound,
    PricewatchError,
    Refused,
    Unavailable,
)
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

_CODES: dict[type[PricewatchError], ExitCode] = {
    ConfigError: ExitCode.CONFIG,
    Invalid: ExitCode.INPUT,
    BadData: ExitCode.INPUT,
    NotFound: ExitCode.INPUT,
    Unavailable: ExitCode.UNAVAILABLE,
    Refused: ExitCode.REFUSED,
    Fenced: ExitCode.REFUSED,
}

app = App(
    name="pricewatch",
    help="Real-time price alerts: exchange feeds in, signals out over WebSocket and email.",
    version=__version__,
    version_flags=["--version"],
)
for command in (run, demo, check, migrate, watch, markets, simulate, replay, record, backfill, backtest):
    app.command(command)
app.command(import_, name="import")
for about in (password, change, export, erase):
    user.command(about)
for group in (config, evaluate, models, rules, user):
    app.command(group)


def main() -> None:
    """Run one command. Data goes to stdout, everything else to stderr; the exit code says what to do."""
    configure(LogSettings(level="warning"))  # the service sets up its own
    sys.exit(execute(sys.argv[1:]))


def execute(words: list[str]) -> int:
    """Run one command line and return its exit code."""
    configure(LogSettings())  # until a command knows better: never on stdout
    try:
        answer = _call(words)
    except CycloptsError as error:
        complain(str(error), hint="pricewatch --help lists the commands")
        return ExitCode.USAGE
    except PricewatchError as error:
        complain(str(error))
        return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return ExitCode.OK
    except OSError as error:
        complain(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return answer if isinstance(answer, int) else ExitCode.OK


def _call(words: list[str]) -> object:
    """Run it; of several failures at once the first cause is told."""
    try:
        return app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
