"""Delays a fork while another thread of the process imports a module.

In the child the module stays locked by a thread that the child does not have: an import of it there waits forever.
Threads of this package import what they need at their first message, and Airflow's scheduler forks tasks meanwhile.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from typing import Any

log = logging.getLogger(__name__)

LONGEST = 30.0
"""For how many seconds at most a fork waits for imports."""

# Not public. Without it, forks do not wait.
_locks: dict[str, Any] = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})


def _wait_for_imports() -> None:
    until = time.monotonic() + LONGEST
    while _others_import() and time.monotonic() < until:
        time.sleep(0.001)
    if _others_import():
        log.warning(
            "This process forks although another of its threads has been importing a module for %.0f s. The child "
            "hangs if it also imports that module.",
            LONGEST,
        )


def _others_import() -> bool:
    ours = threading.get_ident()
    locks = [lock() for lock in tuple(_locks.values())]
    return any(getattr(lock, "owner", None) not in {None, ours} for lock in locks)


# The last registered function is called first: an import may need logging's lock, which logging takes before a fork.
os.register_at_fork(before=_wait_for_imports)
