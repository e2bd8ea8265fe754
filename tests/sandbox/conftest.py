"""A sandbox of its own process, which the tests of a file share, emptied for each."""

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.sandbox.browser import CHROMIUM, running_chromium


@pytest.fixture(scope="module")
def shared_sandbox():
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox):
    """A local DialogTech with nothing in it."""
    shared_sandbox.forget()
    shared_sandbox.clear_faults()
    return shared_sandbox


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine to look at the page with")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page
