"""Python's search for cyclic garbage, kept from stalling the event loop."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG = 0.01
"""Seconds a full collection may take before what survived it is looked at no more."""


class Garbage:
    """While the service lives, what lives long is frozen: no collection looks through it again.

    A full collection visits every container object: a tenth of a second with the rules and models of 200 markets. What
    is made while a service starts stays anyway. Later, whatever survives a full collection that took longer than `LONG`
    is frozen, too, so that the next one is short. Reference counts still free what is frozen; only a cycle that was
    frozen alive and dies afterwards is kept.
    """

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self.frozen = 0
        """How often a collection was so long that its survivors were frozen."""
        self._now = now
        self._began = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Collections are watched meanwhile."""
        gc.callbacks.append(self._collected)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collected)

    @contextmanager
    def none(self) -> Iterator[None]:
        """No collections meanwhile; what is there at the end is frozen, unless an error ends it."""
        gc.disable()
        try:
            yield
            gc.freeze()
        finally:
            gc.enable()

    def _collected(self, phase: str, facts: dict[str, int]) -> None:
        if facts["generation"] < 2:
            return
        if phase == "start":
            self._began = self._now()
        elif self._now() - self._began > LONG:
            self.frozen += 1
            gc.freeze()
