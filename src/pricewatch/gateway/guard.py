"""What stands before every endpoint: who it is, what it may, how often, and whether it was done already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from pricewatch.domain.account import Scope
from pricewatch.gateway.auth import Door, Identity, unauthorised
from pricewatch.gateway.limits import RateLimits
from pricewatch.gateway.problems import Denied, of_error, reply_bytes
from pricewatch.gateway.rest.endpoint import Access, Endpoint, Public, only
from pricewatch.ports.records import Answer, Begun, Repeats

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

IDEMPOTENCY = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class Guard:
    """Makes of an endpoint what the router calls."""

    def __init__(self, door: Door, limits: RateLimits, repeats: Repeats) -> None:
        self._door = door
        self._limits = limits
        self._repeats = repeats

    def public(self, endpoint: Public) -> Serve:
        """Open to all."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if endpoint.docs.query is not None:
                only(request, *endpoint.docs.query)
            return await endpoint.handler(request)

        return handle

    def private(self, endpoint: Endpoint) -> Serve:
        """For those who are known and may."""

        async def handle(request: web.Request) -> web.StreamResponse:
            who = await self._door.admit(request)
            policy = "read" if request.method in {"GET", "HEAD"} else "write"
            standing = await self._limits.spend(policy, str(who.account.id))
            standing.refuse()
            try:
                check_access(endpoint.access, who)
                if endpoint.docs.query is not None:
                    only(request, *endpoint.docs.query)
                answer = await self._answer(endpoint, request, who)
            except Exception as error:
                known = of_error(error)
                if known is None and not await self._door.standing([who]):
                    known = of_error(unauthorised("this API key or session ended while the request was answered"))
                if known is None:
                    raise
                answer = known
            if not answer.prepared:
                answer.headers.update(standing.headers())
            return answer

        return handle

    async def _answer(self, endpoint: Endpoint, request: web.Request, who: Identity) -> web.StreamResponse:
        key = request.headers.get(IDEMPOTENCY)
        if key is None or endpoint.method != "POST":
            return await endpoint.handler(request, who)
        if not _KEY.fullmatch(key):
            raise Denied(400, "bad_idempotency_key", f"{IDEMPOTENCY} must be 1 to 200 visible ASCII characters")
        account = who.account.id
        begun = await self._repeats.begin(account, key, await _fingerprint(request))
        if isinstance(begun, Answer):
            return reply_bytes(begun.body, begun.status, {"Idempotent-Replayed": "true"})
        _refuse(begun)
        try:
            answer = await endpoint.handler(request, who)
        except BaseException:
            await self._repeats.abandon(account, key)
            raise
        await self._repeats.finish(account, key, _kept(endpoint, answer))
        return answer


def check_access(access: Access, who: Identity) -> None:
    """Raises `Denied` (403) saying what is missing."""
    wanted = {Access.READ: Scope.READ, Access.WRITE: Scope.WRITE, Access.ADMIN: Scope.ADMIN}
    if access is Access.OWN:
        if Scope.WRITE not in who.scopes:
            raise Denied(403, "read_only_key", "this key may only read; use one with the scope `write`")
    elif not who.may(wanted[access]):
        scope = wanted[access].value
        if wanted[access] not in who.scopes:
            raise Denied(403, "scope_missing", f"this key has not the scope `{scope}`")
        code, role = ("admin_only", "admin") if access is Access.ADMIN else ("read_only", "user")
        raise Denied(403, code, f"the role `{who.account.role}` may not do this; it needs the role `{role}`")


def _refuse(begun: Begun) -> None:
    if begun is Begun.RUNNING:
        detail = "a request with this Idempotency-Key is being done; ask again in a moment"
        raise Denied(409, "in_progress", detail, headers={"Retry-After": "1"})
    if begun is Begun.OTHER:
        raise Denied(
            422, "idempotency_mismatch", "this Idempotency-Key was used for another request; use a new one for each"
        )


async def _fingerprint(request: web.Request) -> bytes:
    """What makes it the same request."""
    head = f"{request.method} {request.path_qs} {request.content_type}\n".encode("utf-8", "surrogatepass")
    return hashlib.sha256(head + await request.read()).digest()


def _kept(endpoint: Endpoint, answer: web.StreamResponse) -> Answer:
    body = answer.body if isinstance(answer, web.Response) else b""
    if endpoint.docs.is_secret:
        problem = {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "code": "shown_once",
            "detail": "this was done already; its answer held a secret that is shown only once",
        }
        return Answer(409, msgspec.json.encode(problem))
    return Answer(answer.status, body if isinstance(body, bytes) else b"")
