"""Passwords, roles and shutting out."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from pricewatch.cli.output import ConfigFile, ExitCode, say, settings_of
from pricewatch.domain.account import Role
from pricewatch.domain.errors import Invalid


async def password(
    name: str,
    *,
    remove: Annotated[bool, Parameter(negative=(), help="From now on it gets in by keys only.")] = False,
    config: ConfigFile = None,
) -> int:
    """Set an account's password: asked for twice, or the first line of stdin. All its browsers are logged out."""
    from pricewatch.accounts.passwords import Passwords, check
    from pricewatch.app.wiring import open_store

    settings = settings_of(config)
    new = None if remove else _asked()
    if new is not None:
        check(new, name=name)
    async with open_store(settings) as store:
        account = await store.owner(name)
        hashed = None
        if new is not None:
            hasher = Passwords(memory=settings.gateway.password_memory, rounds=settings.gateway.password_rounds)
            hashed = await hasher.hash(new)
            hasher.close()
        await store.accounts.set_password(account.id, hashed)
    say(f"{name} has {'no password any more' if remove else 'a new password'}; its browsers are logged out")
    return ExitCode.OK


async def change(
    name: str,
    *,
    email: Annotated[str | None, Parameter(help="Where mails go; empty for none.")] = None,
    role: Annotated[Role | None, Parameter(help="viewer, user or admin.")] = None,
    disabled: Annotated[
        bool | None,
        Parameter(name="--disabled", negative="--enabled", help="Let nobody in as this account, or again."),
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Change an account's address or role, or shut it out. Its rules go on."""
    from pricewatch.app.wiring import open_store
    from pricewatch.ports.accounts import Change
    from pricewatch.wire.people import check_person

    if (email, role, disabled) == (None, None, None):
        raise Invalid("", "say what to change: --email, --role, --disabled or --enabled")
    check_person(email=email)
    async with open_store(settings_of(config)) as store:
        account = await store.owner(name)
        changed = await store.accounts.change(account.id, Change(email=email, role=role, disabled=disabled))
    state = "shut out" if changed.disabled else "let in"
    say(f"{name}: {changed.role}, {changed.email or 'no mail'}, {state}")
    return ExitCode.OK


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != first:
        raise Invalid("password", "the two are not the same; try again")
    return first
