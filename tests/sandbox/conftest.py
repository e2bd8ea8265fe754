import pytest

from tests.coverage.sandboxes import counted
from tests.sandbox.browser import CHROMIUM, running_chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine to look at the page with")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(autouse=True)
def counted_processes():
    """The sandboxes that these tests start are what they test."""
    with counted():
        yield
