"""`/openapi.json`: OpenAPI 3.1, made of the very table the router is made of and the very types that are sent."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from pricewatch import __version__
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, Public
from pricewatch.gateway.rest.parameters import PARAMETERS, REQUIRED
from pricewatch.wire.rest import Problem

API = "/api/v1"
_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_BODY = (413, 415, 422)
_ALWAYS = (400, 401, 403, 429, 503, 504)
_ACCESS = {
    Access.READ: "Any role; scope `read`.",
    Access.OWN: "Any role; scope `write`.",
    Access.WRITE: "Role `user` or `admin`; scope `write`.",
    Access.ADMIN: "Role `admin`; scope `admin`.",
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Sent again within a day, the same request gets the same answer and is done once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}


def path_of(endpoint: Endpoint | Public) -> str:
    """Where it is served."""
    return API + endpoint.path if endpoint.is_api else endpoint.path


def describe(endpoints: Iterable[Endpoint | Public]) -> dict[str, Any]:
    """The whole document."""
    table = list(endpoints)
    types = [Problem] + [kind for one in table for kind in (one.docs.answer, one.docs.body) if kind is not None]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    known = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in table:
        operation = paths.setdefault(path_of(one), {})[one.method.lower()] = _operation(one, known)
        if one.method == "POST" and (links := _links(one, table)):
            operation["responses"][str(one.docs.status)]["links"] = links
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pricewatch",
            "version": __version__,
            "description": "Prices, rules, signals and what belongs to them. Prices are exact decimal text, times are "
            "RFC 3339. Errors are `application/problem+json`. Other people's ids are 404.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `pw_...`."},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "pricewatch_session"},
            },
        },
    }


def _operation(one: Endpoint | Public, known: dict[Any, Any]) -> dict[str, Any]:
    docs, path = one.docs, path_of(one)
    text = inspect.cleandoc(one.handler.__doc__ or "")
    summary, _, rest = text.partition("\n")
    access = _ACCESS[one.access] if isinstance(one, Endpoint) else "Open to all."
    operation: dict[str, Any] = {
        "operationId": _name(one),
        "tags": [one.path.strip("/").partition("/")[0] if one.is_api else "service"],
        "summary": summary,
        "description": "\n\n".join(filter(None, (rest.strip(), access))),
        "parameters": _parameters(one, path),
        "responses": _responses(one, path, known),
    }
    if docs.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": known[docs.body]}}}
    if isinstance(one, Endpoint):
        operation["security"] = [{"key": []}, {"header": []}, {"cookie": []}]
    return operation


def _name(one: Endpoint | Public) -> str:
    return re.sub(r"\W+", "_", f"{one.method.lower()}{path_of(one).removeprefix(API)}").rstrip("_")


def _links(one: Endpoint | Public, table: Sequence[Endpoint | Public]) -> dict[str, Any]:
    """What may be done with the thing just made: every operation under its id."""
    if "id" not in getattr(one.docs.answer, "__struct_fields__", ()):
        return {}
    below = f"{one.path}/{{id}}"
    return {
        _name(other): {"operationId": _name(other), "parameters": {"path.id": "$response.body#/id"}}
        for other in table
        if other.path == below or other.path.startswith(f"{below}/")
    }


def _parameters(one: Endpoint | Public, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _in_path(name)}
        for name in _PATH_PARAMETER.findall(path)
    ]
    for name in one.docs.query or ():
        text, schema = PARAMETERS[name]
        needed = name in REQUIRED and name not in one.docs.optional
        found.append({"name": name, "in": "query", "required": needed, "description": text, "schema": schema})
    if isinstance(one, Endpoint) and one.method == "POST":
        found.append(_IDEMPOTENCY)
    return found


def _in_path(name: str) -> dict[str, Any]:
    return {"type": "string", "format": "uuid"} if name == "id" else {"type": "string"}


def _responses(one: Endpoint | Public, path: str, known: dict[Any, Any]) -> dict[str, Any]:
    docs = one.docs
    answers = {str(docs.status): _success(docs, known)}
    for status in (status for status in docs.also if status < 400):
        answers[str(status)] = _success(docs._replace(status=status), known)
    for status in _problems(one, path):
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": known[Problem]}},
        }
    return answers


def _success(docs: Docs, known: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(docs.status).phrase}
    if docs.status != 204:
        schema = known[docs.answer] if docs.answer is not None else {}
        answer["content"] = {docs.media: {"schema": schema}}
    return answer


def _problems(one: Endpoint | Public, path: str) -> Sequence[int]:
    docs, found = one.docs, {400, 503, 504}
    if isinstance(one, Endpoint):
        found |= set(_ALWAYS)
        if one.method == "POST":
            found |= {409, 422}
    if docs.body is not None:
        found |= set(_BODY)
    if docs.query is None or one.docs.query or isinstance(one, Endpoint):
        found.add(422)
    if "{" in path:
        found.add(404)
    return sorted(found | {status for status in docs.also if status >= 400 and status != docs.status})
