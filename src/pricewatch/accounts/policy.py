"""What a role may do, and what a key of it may do."""

from __future__ import annotations

from pricewatch.domain.account import Account, Role, Scope

_ABILITIES = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.USER: frozenset({Scope.READ, Scope.WRITE}),
    Role.ADMIN: frozenset(Scope),
}


def abilities(account: Account, scopes: frozenset[Scope]) -> frozenset[Scope]:
    """What a credential with these scopes may do: never more than its account's role, now."""
    return _ABILITIES[account.role] & scopes
