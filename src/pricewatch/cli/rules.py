"""Rules from the command line."""

from __future__ import annotations

import asyncio
import json as json_module
import sys
import uuid
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from pricewatch.app.clock import SystemClock
from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, emit_text, say, settings_of
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import DAY
from pricewatch.ports.preview import Preview, Question
from pricewatch.wire.preview import summary

rules = App(name="rules", help="Rule documents of an account.")

_LOOKED_AT = 20
"""Rules whose past is looked at before they are added."""
_PATIENCE = 20.0
"""Seconds for each of them."""

AccountName = Annotated[str, Parameter(name="--account", help="Whose rules.")]


@rules.command(name="list")
async def list_(*, account: AccountName, config: ConfigFile = None, json: AsJson = False) -> int:
    """List an account's rules."""
    from pricewatch.app.wiring import open_store

    async with open_store(settings_of(config)) as store:
        owner = await store.owner(account)
        found = [rule async for rule in store.rules_of(owner)]
    documents = [(rule, json_module.loads(rule.document)) for rule in found]
    if json:
        emit([{"id": rule.id, "version": rule.version, "document": document} for rule, document in documents])
    else:
        emit_table(
            ("id", "v", "title", "condition"),
            ((rule.id, rule.version, one.get("title"), json_module.dumps(one.get("when"))) for rule, one in documents),
        )
    return ExitCode.OK


@rules.command
async def add(
    file: Annotated[
        Path, Parameter(help="A rule document, or a JSON list of them; - reads stdin.", allow_leading_hyphen=True)
    ],
    *,
    account: AccountName,
    config: ConfigFile = None,
    yes: Annotated[
        bool, Parameter(name=["--yes", "-y"], negative=(), help="Do not look at the past, and do not ask.")
    ] = False,
) -> int:
    """Add rules from a JSON file. All are checked before any is stored.

    First it says how often each of them would have fired in the last 30 days; in a terminal it then asks.
    """
    from pricewatch.app.rulecheck import check_rules
    from pricewatch.app.wiring import open_store

    documents = read_documents(file)
    settings = settings_of(config)
    async with open_store(settings) as store:
        owner = await store.owner(account)
        await check_rules(documents, str(file), store=store, settings=settings, owner=owner)
        if not yes:
            from pricewatch.app.backtesting import replay, stored_past

            async with stored_past(store) as past:
                await tell_past(replay(settings, past), documents)
            if not _agreed(len(documents)):
                say("nothing was added")
                return ExitCode.REFUSED
        for document in documents:
            stored = await store.rules.create(owner.id, document)
            emit_text(str(stored.id))
    say(f"{len(documents)} rule(s) added; a running service takes them up within seconds")
    return ExitCode.OK


async def tell_past(past: Preview, documents: list[bytes]) -> None:
    """One line a rule about the last 30 days, as far as there is an answer in time."""
    now = SystemClock().now()
    for document in documents[:_LOOKED_AT]:
        title = json_module.loads(document)["title"]
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await past.run(Question(document=document, start=now - 30 * DAY, end=now, points=0))
            say(f"{title}: last {summary(answer)}")
        except Invalid as error:
            say(f"{title}: {error.problem}")
        except TimeoutError:
            say(f"{title}: the last 30 days take longer to read; 'pricewatch backtest' does it")
    if len(documents) > _LOOKED_AT:
        say(f"{len(documents) - _LOOKED_AT} more were not looked at")


def _agreed(count: int) -> bool:
    """Where a person sits there, they are asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    Console(stderr=True).print(f"Add {count} rule(s)? [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@rules.command
async def delete(rule_id: uuid.UUID, *, account: AccountName, config: ConfigFile = None) -> int:
    """Delete a rule."""
    from pricewatch.app.wiring import open_store

    async with open_store(settings_of(config)) as store:
        owner = await store.owner(account)
        await store.rules.delete(owner.id, rule_id)
    say(f"rule {rule_id} is deleted")
    return ExitCode.OK


@rules.command
def schema() -> int:
    """Print the JSON Schema of a rule document."""
    from pricewatch.rules.document import schema as json_schema

    emit(json_schema())
    return ExitCode.OK


def read_documents(file: Path) -> list[bytes]:
    """The rule documents of a JSON file, one or a list of them; `-` is stdin. Raises `Invalid` or `NotFound`."""
    from pricewatch.rules.document import parse

    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        content = json_module.loads(text)
    except OSError as error:
        raise NotFound(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(str(file), f"is not JSON: {error}") from error
    documents = [json_module.dumps(one).encode() for one in (content if isinstance(content, list) else [content])]
    for number, document in enumerate(documents):
        try:
            parse(document)
        except Invalid as error:
            raise Invalid(f"{file}[{number}].{error.field}", error.problem) from error
    return documents
