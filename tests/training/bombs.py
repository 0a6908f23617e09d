"""What a fit may do to its process; importable there."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.process import run


def fine(job: Job) -> Fitted | Failed:
    """Nothing, in no time."""
    return Failed(f"{job.kind} by {os.getpid()}", "fine")


def hang(job: Job) -> Fitted | Failed:
    """With a child of its own that hangs too, as the Stan process would."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    child.wait()
    return run(job)


def hang_deaf(job: Job) -> Fitted | Failed:
    """Deaf to being asked to leave."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3_600)
    return run(job)


def die(job: Job) -> Fitted | Failed:
    """As the kernel's out-of-memory killer would have it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return run(job)


def crash(job: Job) -> Fitted | Failed:
    """A segmentation fault in a library."""
    ctypes.string_at(0)
    return run(job)


def eat_memory(job: Job) -> Fitted | Failed:
    """All there is, and more."""
    eaten = []
    try:
        while True:
            eaten.append(bytearray(64 * 1024**2))
    except MemoryError as error:
        eaten.clear()
        return Failed(f"MemoryError: {error}", "memory")


def leave_files(job: Job) -> Fitted | Failed:
    """Where temporary files go."""
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        return Failed(file.name)
