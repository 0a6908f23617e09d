from __future__ import annotations

import pytest

from pricewatch.exchanges.base import BadTrade
from pricewatch.exchanges.numbers import LONGEST_NUMBER, OVERLONG, SHORT_FRAME, refuse_overlong

PADDING = "x" * SHORT_FRAME
NUMBERS = ["1" * (LONGEST_NUMBER + 1), "0." + "0" * LONGEST_NUMBER, "9" * 100_000, "1e" + "0" * 70]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_nobody_prints_is_refused_in_text_and_bytes(number: str) -> None:
    for frame in (f'{PADDING}{{"p": {number}}}', f'{{"p": "{number}"}}{PADDING}'.encode()):
        with pytest.raises(BadTrade) as refused:
            refuse_overlong(frame)
        assert (refused.value.reason, refused.value.count) == (OVERLONG, 1)


@pytest.mark.parametrize(
    "text", ["1" * LONGEST_NUMBER, '["1.5","2.25"]' * 900, "0.1,0.2," * 2_000, "0x" + "f1" * 32, "\ud800" + PADDING]
)
def test_what_venues_print_passes(text: str) -> None:
    refuse_overlong(f"{PADDING} {text}")


def test_a_short_frame_is_not_looked_at() -> None:
    refuse_overlong("1" * SHORT_FRAME)
    with pytest.raises(BadTrade):
        refuse_overlong("1" * (SHORT_FRAME + 1))
