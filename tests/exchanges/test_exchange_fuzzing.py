from __future__ import annotations

import pytest
from tests.exchanges import fuzzing
from tests.exchanges.cases import Case, cases

from pricewatch.exchanges.base import Exchange


@pytest.mark.parametrize("case", cases().values(), ids=list(cases()))
def test_what_is_known_of_a_venue_gets_past_nobody(case: Case) -> None:
    exchange = fuzzing.adapter(case)
    known = list(fuzzing.frames(case))
    assert len(known) > 3
    for frame in known:
        fuzzing.one(exchange, frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass"))


def test_what_an_adapter_must_not_do_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = fuzzing.adapter(cases()["binance"])
    monkeypatch.setattr(Exchange, "receive", lambda self, frame, received, out: out.append(frame))
    monkeypatch.setattr(type(exchange), "receive", Exchange.receive)
    with pytest.raises(TypeError, match="binance: "):
        fuzzing.one(exchange, b"{}")
    monkeypatch.setattr(type(exchange), "receive", lambda *_: [].pop())
    with pytest.raises(IndexError):
        fuzzing.one(exchange, b"{}")
