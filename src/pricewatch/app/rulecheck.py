"""Rule documents from the command line, held to what REST asks of them besides their form."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import Store
from pricewatch.config import Settings
from pricewatch.domain.account import Account
from pricewatch.domain.errors import Invalid, Refused
from pricewatch.rules.document import Rule, parse
from pricewatch.rules.listed import Listing, check_listed, listings


async def check_rules(
    documents: Sequence[bytes], source: str, *, store: Store, settings: Settings, owner: Account
) -> None:
    """Known symbols and venues, a watchlist and webhooks that are there, an end to come, and room in the owner's quota.

    Raises `Invalid`, naming `source` and the document's number in it, or `Refused`.
    """
    here = listings(await store.catalog.markets()) | _configured(settings)
    for number, document in enumerate(documents):
        try:
            await _check(parse(document), here, store, owner)
        except Invalid as error:
            raise Invalid(f"{source}[{number}].{error.field}", error.problem) from error
    held, most = (await store.records.dossiers.holdings(owner.id)).rules, settings.gateway.max_rules
    if held + len(documents) > most:
        raise Refused(f"{owner.name} has {held} rules of at most {most}; delete some, or raise gateway.max_rules")


async def _check(rule: Rule, here: frozenset[Listing], store: Store, owner: Account) -> None:
    check_listed(rule, here, now=SystemClock().now())
    name = rule.watchlist
    if name is not None and await store.records.watchlists.find(owner.id, name) is None:
        raise Invalid("symbols.watchlist", f"{owner.name} has no watchlist {name!r}")
    hooks = {one.name for one in await store.webhooks.listing(owner.id)}
    for place, word in enumerate(rule.policy.channels):
        kind, _, hook = word.partition(":")
        if kind == "webhook" and hook and hook not in hooks:
            raise Invalid(f"policy.channels[{place}]", f"{owner.name} has no webhook {hook!r}")


def _configured(settings: Settings) -> frozenset[Listing]:
    venues = settings.ingest.venues.items()
    return frozenset((venue, symbol) for venue, one in venues if one.enabled for symbol in one.symbols)
