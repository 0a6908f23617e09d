"""Every operation of the description with made-up input, good and bad: no failure of ours, no undocumented answer.

`make fuzz-api` tries more examples than the gate does.
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)
from tests.gateway.postgres_world import house

from pricewatch.domain.account import Role

EXAMPLES = int(os.environ.get("PRICEWATCH_FUZZ_EXAMPLES", "5"))  # noqa: TID251 - the one switch of this test
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    use_after_free,
]


class Service:
    """A gateway in a thread of its own, for a client that blocks."""

    def __init__(self, url: str) -> None:
        self.base = ""
        self.key = ""
        self._url = url
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()

    def renew(self) -> None:
        """What is tried may have taken our own key away."""
        made = self._home.account(uuid.uuid4().hex, Role.ADMIN)
        _, self.key = asyncio.run_coroutine_threadsafe(made, self._loop).result(60)

    async def _run(self) -> None:
        async with house(self._url) as home:
            account, self.key = await home.account("root", Role.ADMIN)
            await home.furnish(account, self.key)
            self.base, self._home = home.base, home
            self._ready.set()
            await self._stop.wait()


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    with Service(database_url) as service:
        yield service


def loaded(service: Service) -> Any:
    schema = schemathesis.openapi.from_dict(requests.get(f"{service.base}/openapi.json", timeout=30).json())
    schema.config.update(base_url=service.base)
    return schema


def quick(examples: int = EXAMPLES, steps: int = 50) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        stateful_step_count=steps,
    )


def made_up(operation: Any) -> Any:
    """Good input as often as bad, where the operation takes any."""
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    takes = operation.body or operation.query or operation.path_parameters or operation.headers
    return good | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE) if takes else good


def operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        yield result.ok()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_operation_fails_or_answers_what_is_not_written(service: Service) -> None:
    schema = loaded(service)
    answers: Counter[int] = Counter()
    for operation in operations(schema):

        @quick()
        @given(case=made_up(operation))
        def attempt(case: Any) -> None:
            response = case.call(headers={"Authorization": f"Bearer {service.key}"}, timeout=60)
            case.validate_response(response, checks=CHECKS)
            answers[response.status_code] += 1

        attempt()
    print(f"answers by status: {dict(sorted(answers.items()))}")
    assert {200, 404, 422} <= set(answers)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_nothing_fails_in_a_row(service: Service) -> None:
    """What one request made is read, changed and deleted by the next ones, as the description links them."""
    schema = loaded(service)
    answers: Counter[int] = Counter()
    complaints: list[str] = []

    class Chain(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, _: Any) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {service.key}"}, "timeout": 60}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            answers[response.status_code] += 1
            if response.status_code == 401:
                service.renew()
            try:
                case.validate_response(response, checks=CHECKS)
            except BaseExceptionGroup as group:  # told at the end: tried again, the world is another one
                complaints.extend(f"{case.method} {case.path}: {error}" for error in group.exceptions)

    # Row by row: a row begun again finds another world, and Hypothesis would call that inconsistent.
    for number in range(EXAMPLES):
        seed(number)(Chain).run(settings=quick(examples=1, steps=10))
    assert complaints == []
    print(f"answers by status: {dict(sorted(answers.items()))}")
    assert sum(answers.values()) >= EXAMPLES
