from __future__ import annotations

from importlib import resources

import pytest

from pricewatch.store.sql import load, parse


def test_statements_are_found_by_name() -> None:
    found = parse("-- a comment\n\n-- name: one\nSELECT 1;\n\n-- name: two  \nSELECT\n  2;\n")
    assert found == {"one": "SELECT 1;", "two": "SELECT\n  2;"}


def test_a_name_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="one, one"):
        parse("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;")


@pytest.mark.parametrize(
    "topic",
    [path.name.removesuffix(".sql") for path in resources.files("pricewatch.store").joinpath("queries").iterdir()],
)
def test_every_file_holds_statements(topic: str) -> None:
    assert all(statement.endswith(";") for statement in load(topic).values())
