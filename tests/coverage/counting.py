"""Counts which lines and branches of the package a process runs.

coverage.py would take a sixth of the tests' time: unless it counts by `sys.monitoring`, which knows branches only from
Python 3.14 on, Python stops at every line of all code for it. Slipcover has the package's lines call it, and no others.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import slipcover

_ROOT = Path(__file__).parents[2]
_PACKAGE = _ROOT / "airflow_provider_dialogtech"
_FOLDER = _ROOT / ".coverage"


def count(*, also_unseen: bool = False) -> Callable[[], None]:
    """Count from now on, in the modules that are imported from now on.

    :param also_unseen: name the files that this process has not imported, too.
    :return: writes down what was counted, for `make coverage`.
    """
    # As a threshold, -1 leaves the lines as they are. Slipcover would take its calls out of them again while they run,
    # which keeps the locals of all frames alive, and holds a lock that a forked process may never get.
    counting = slipcover.Slipcover(branch=True, d_miss_threshold=-1, source=[str(_PACKAGE)] if also_unseen else None)
    slipcover.ImportManager(counting, slipcover.FileMatcher([_PACKAGE])).__enter__()

    def write() -> None:
        _FOLDER.mkdir(exist_ok=True)
        (_FOLDER / f"{os.getpid()}.json").write_text(json.dumps(counting.get_coverage()))

    return write
