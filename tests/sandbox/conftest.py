import pytest

from tests.coverage.sandboxes import counted
from tests.programs import require
from tests.sandbox.browser import running_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    require("chromium")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(autouse=True)
def counted_processes():
    """Measure the coverage of the sandboxes that these tests start."""
    with counted():
        yield
