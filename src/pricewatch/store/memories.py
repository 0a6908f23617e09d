"""What a rule's state remembers beside its numbers, as one column: its members', and the tally of a pause."""

from __future__ import annotations

import msgspec

from pricewatch.domain.rule import StateRow, Tally

_MARK = b"\xc1"
"""Begins no MessagePack document, so what only members remember stands there as it is."""


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    parts: bytes
    tally: tuple[int, int, int, int, int, int, float, float, float, float]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Memory).decode


def pack(row: StateRow) -> bytes:
    """The column `rule_state.parts`."""
    tally = row.state.tally
    if tally is None:
        return row.parts
    return _MARK + _encode(_Memory(row.parts, msgspec.structs.astuple(tally)))


def unpack(column: bytes) -> tuple[bytes, Tally | None]:
    """Members' part and tally."""
    if not column.startswith(_MARK):
        return column, None
    memory = _decode(column[1:])
    return memory.parts, Tally(*memory.tally)
