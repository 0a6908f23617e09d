"""What a role may do."""

from __future__ import annotations

from pricewatch.domain.account import Account, Role


def may_write(account: Account) -> bool:
    """Change own rules and deliveries. A viewer only looks."""
    return account.role in {Role.USER, Role.ADMIN}


def may_administer(account: Account) -> bool:
    """See everybody's accounts."""
    return account.role is Role.ADMIN
