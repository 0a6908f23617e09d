"""Accounts and keys."""

from __future__ import annotations

import uuid
from typing import Annotated

from cyclopts import App, Parameter

from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, emit_text, say, settings_of
from pricewatch.domain.account import EVERY_SCOPE, Account, Role, Scope
from pricewatch.domain.time import parse_span, rfc3339

user = App(name="user", help="Accounts and their API keys.")


@user.command
async def add(
    name: str,
    *,
    email: Annotated[str, Parameter(help="Where mails go; empty for none.")] = "",
    role: Annotated[Role, Parameter(help="viewer, user or admin.")] = Role.USER,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Add an account and print its first API key. The key is shown only now."""
    from pricewatch.accounts.tokens import mint
    from pricewatch.app.clock import SystemClock
    from pricewatch.app.wiring import open_store
    from pricewatch.wire.people import check_person

    check_person(name, email)
    async with open_store(settings_of(config)) as store:
        account = await store.accounts.create(name, email, role)
        made = mint(account.id, now=SystemClock().now())
        await store.accounts.add_key(made.key)
    _show_key(account, made.text, json=json)
    return ExitCode.OK


@user.command
async def key(
    name: str,
    *,
    expires: Annotated[str | None, Parameter(help="Lifetime such as 90d; none for ever.")] = None,
    title: Annotated[str, Parameter(help="What it is for.")] = "",
    scope: Annotated[tuple[Scope, ...], Parameter(help="read, write, admin; repeatable. All by default.")] = (),
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Make another API key for an account. The key is shown only now."""
    from pricewatch.accounts.tokens import mint
    from pricewatch.app.clock import SystemClock
    from pricewatch.app.wiring import open_store

    now = SystemClock().now()
    until = now + parse_span(expires, field="--expires") if expires else None
    async with open_store(settings_of(config)) as store:
        account = await store.owner(name)
        made = mint(account.id, now=now, expires=until, title=title, scopes=frozenset(scope) or EVERY_SCOPE)
        await store.accounts.add_key(made.key)
    _show_key(account, made.text, json=json)
    return ExitCode.OK


@user.command(name="list")
async def list_(*, config: ConfigFile = None, json: AsJson = False) -> int:
    """List accounts and their keys (never the keys' secrets)."""
    from pricewatch.app.wiring import open_store

    async with open_store(settings_of(config)) as store:
        found = [(account, await store.accounts.keys(account.id)) for account in await store.accounts.everyone()]
    if json:
        emit(
            [
                {
                    "id": account.id,
                    "name": account.name,
                    "email": account.email,
                    "role": account.role,
                    "disabled": rfc3339(account.disabled) if account.disabled else None,
                    "keys": [
                        {
                            "id": one.id,
                            "prefix": one.prefix,
                            "title": one.title,
                            "scopes": sorted(one.scopes),
                            "used": rfc3339(one.used) if one.used else None,
                            "created": rfc3339(one.created),
                            "expires": rfc3339(one.expires) if one.expires else None,
                            "revoked": rfc3339(one.revoked) if one.revoked else None,
                        }
                        for one in keys
                    ],
                }
                for account, keys in found
            ]
        )
        return ExitCode.OK
    emit_table(
        ("name", "role", "email", "keys"),
        (
            (
                account.name,
                f"{account.role} (disabled)" if account.disabled else account.role,
                account.email,
                ", ".join(f"{one.prefix} ({one.id}{', revoked' if one.revoked else ''})" for one in keys),
            )
            for account, keys in found
        ),
    )
    return ExitCode.OK


@user.command
async def revoke(name: str, key_id: uuid.UUID, *, config: ConfigFile = None) -> int:
    """Revoke one key of an account."""
    from pricewatch.app.clock import SystemClock
    from pricewatch.app.wiring import open_store

    async with open_store(settings_of(config)) as store:
        account = await store.owner(name)
        await store.accounts.revoke_key(account.id, key_id, SystemClock().now())
    say(f"key {key_id} of {name} is revoked")
    return ExitCode.OK


def _show_key(account: Account, secret: str, *, json: bool) -> None:
    if json:
        emit({"account": account.id, "name": account.name, "key": secret})
    else:
        say(f"account {account.name} ({account.role}); keep this key, it is not shown again:")
        emit_text(secret)
