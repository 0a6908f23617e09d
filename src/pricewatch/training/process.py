"""What happens in a fit process: it prepares itself, then fits."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
from multiprocessing import connection, parent_process
from pathlib import Path

from pricewatch.training.job import Failed, Fitted, Job


def prepare(folder: str, nice: int, memory_limit: int) -> None:
    """Own process group, own temporary files, low priority, bounded memory, and no life without its parent."""
    os.setsid()
    logging.disable(logging.CRITICAL)  # failures come back as values; Stan and Prophet talk at every fit
    tempfile.tempdir = folder
    os.putenv("TMPDIR", folder)
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.putenv(threads, "1")
    os.nice(nice)
    if memory_limit:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, for the moments before the watch below
    threading.Thread(target=_leave_with_parent, name="parent-watch", daemon=True).start()
    (Path(folder) / f"{os.getpid()}.pid").touch()


def run(job: Job) -> Fitted | Failed:
    """Called in the fit process: only there Prophet and pandas are imported."""
    try:
        from pricewatch.training.fit import fit

        return fit(job)
    except MemoryError as error:
        return Failed(f"MemoryError: {error}"[:500], "memory")
    except Exception as error:  # noqa: BLE001 - whatever a library does to one market stays its own
        return Failed(f"{type(error).__name__}: {error}"[:500])


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)  # the Stan process too
