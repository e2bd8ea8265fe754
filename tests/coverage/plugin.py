"""`pytest -p tests.coverage.plugin` counts what the tests cover, in each of xdist's workers."""

import os

from tests.coverage.counting import count

_write = count(also_unseen="PYTEST_XDIST_WORKER" not in os.environ)


def pytest_sessionfinish() -> None:
    _write()
