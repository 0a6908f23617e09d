"""Windows as people write them, checked once."""

from __future__ import annotations

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import DAY, parse_span
from pricewatch.rules.numbers import shown


def window(text: str, field: str, *, longest: int = DAY, name: str = "24h") -> int:
    """Microseconds of a span above zero and at most `longest`, which is called `name`; raises `Invalid`."""
    value = parse_span(text, field=field)
    if not 0 < value <= longest:
        raise Invalid(field, f"{shown(text)} must be above zero and at most {name!r}")
    return value
