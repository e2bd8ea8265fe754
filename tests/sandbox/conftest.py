import pytest

from tests.coverage.sandboxes import counted
from tests.sandbox.browser import CHROMIUM, running_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(autouse=True)
def counted_processes():
    """Measure the coverage of the sandboxes that these tests start."""
    with counted():
        yield
