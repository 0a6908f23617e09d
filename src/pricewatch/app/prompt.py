"""Asks Linux to let the event loop run soon after it is woken, rather than for long."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

SLICE = 100_000
"""Nanoseconds the loop asks for at a time: the least there is. Who asks for less is let in sooner."""
_NUMBERS: Mapping[str, tuple[int, int]] = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""Of the system calls that set and tell the attributes; the C library has no names for them."""
_USUAL = 0
"""The policy of everything that is neither a batch, nor idle, nor real-time."""
_NOT_INHERITED = 1
"""Processes and threads that are started later begin as if nothing had been asked for."""


class _Attributes(ctypes.Structure):
    """`struct sched_attr` as it has been since its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def prompt(nanoseconds: int = SLICE, machine: str | None = None) -> int | None:
    """Ask for short turns for the calling thread; the turn in force, in nanoseconds, None where that is unknown.

    Needs no privilege, and takes no share of the processor from anybody. Systems that know no such wish (Linux before
    6.12, other processors, a container that forbids the call) go on as they were. `machine`: the processor's name, if
    not ours.
    """
    numbers = _NUMBERS.get(machine or os.uname().machine)
    if sys.platform != "linux" or numbers is None:
        return None
    set_, get = numbers
    call = ctypes.CDLL(None, use_errno=True).syscall
    ours = ctypes.sizeof(_Attributes)
    asked = _Attributes(
        size=ours, policy=_USUAL, flags=_NOT_INHERITED, nice=os.getpriority(os.PRIO_PROCESS, 0), runtime=nanoseconds
    )
    known = _Attributes()
    if call(get, 0, ctypes.byref(known), ours, 0) or known.policy != _USUAL:
        return None  # an operator's own choice of policy stands
    if call(set_, 0, ctypes.byref(asked), 0) or call(get, 0, ctypes.byref(known), ours, 0):
        return None
    return int(known.runtime) or None
