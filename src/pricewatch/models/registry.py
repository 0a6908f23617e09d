"""Every online model there is, in plain sight: a new one is its file and one line here."""

from __future__ import annotations

from pricewatch.models.base import OnlineModel
from pricewatch.models.online.ewz import EwZ
from pricewatch.models.online.tail import Tail

ONLINE: dict[str, type[OnlineModel]] = {EwZ.name: EwZ, Tail.name: Tail}
