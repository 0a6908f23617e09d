"""Levels and percentages as people write them, checked once and turned into floats."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from pricewatch.domain.errors import Invalid

LARGEST = Decimal(10) ** 15
SMALLEST = Decimal(10) ** -15

Number = str | int | float


def shown(value: object) -> str:
    """A value as an error message shows it: never longer than a line."""
    text = repr(str(value)) if isinstance(value, Decimal) else ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def decimal(value: Number | Decimal, field: str) -> Decimal:
    """A finite decimal that a float keeps exactly, so that what is written is what is compared; raises `Invalid`."""
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except (InvalidOperation, ValueError) as exc:
        raise Invalid(field, f"{shown(value)} is not a number; write for example '70000' or '0.5'") from exc
    if not number.is_finite():
        raise Invalid(field, f"{shown(value)} is not finite; write a plain decimal number")
    if number and not SMALLEST <= abs(number) < LARGEST:
        raise Invalid(field, f"{shown(value)} is out of range; its size must be between 1e-15 and 1e15")
    if Decimal(repr(float(number))) != number:
        raise Invalid(field, f"{shown(value)} is finer than prices are compared; round it to 15 significant digits")
    return number


def positive(value: Number | Decimal, field: str) -> Decimal:
    """A finite decimal above zero; raises `Invalid`."""
    number = decimal(value, field)
    if number <= 0:
        raise Invalid(field, f"{shown(value)} is not above zero; prices and scores are positive")
    return number


def percent(value: Number, field: str) -> Decimal:
    """`"1.5%"`, `"1.5"` or `1.5`: one and a half per cent, returned as 1.5; raises `Invalid`."""
    if isinstance(value, str):
        value = value.strip().removesuffix("%")
    return decimal(value, field)
