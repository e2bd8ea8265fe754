"""The coverage of sandboxes that tests start. Airflows do not count: each would take longer to start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_AT_START = str(Path(__file__).with_name("at_start"))


@contextmanager
def counted() -> Iterator[None]:
    """Count what the processes cover that are started meanwhile, if that of the tests is counted."""
    with pytest.MonkeyPatch.context() as patched:
        if "tests.coverage.plugin" in sys.modules:
            patched.setenv("PYTHONPATH", _AT_START, prepend=os.pathsep)
        yield
