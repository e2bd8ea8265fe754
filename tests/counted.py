"""The coverage of processes that tests start: of a sandbox, but of no Airflow, which would take half as long again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SETTINGS = Path(__file__).with_suffix(".ini")
_FILE = Path(__file__).parent.parent / ".coverage"


@contextmanager
def counted() -> Iterator[None]:
    """Count the coverage of the processes that are started meanwhile, where that of the tests is counted."""
    coverage = sys.modules.get("coverage")
    is_counted = coverage is not None and coverage.Coverage.current() is not None
    variables = {"COVERAGE_PROCESS_START": str(_SETTINGS), "COVERAGE_FILE": str(_FILE)} if is_counted else {}
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
