import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.conftest import FROM_NUMBERS


@pytest.fixture(scope="session")
def shared_sandbox():
    with running_sandbox(numbers=FROM_NUMBERS) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox):
    """A local DialogTech with the tests' numbers and nothing in it, which the tests of this folder share."""
    shared_sandbox.clear_faults()
    shared_sandbox.forget()
    return shared_sandbox
