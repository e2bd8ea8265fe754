import pytest

from airflow_provider_dialogtech.journal import records
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.delivery.attacking import EIGHT_NUMBERS, FAST_SANDBOX
from tests.delivery.delivering import GRACE, emptied


@pytest.fixture
def sandbox(sandbox, monkeypatch):
    monkeypatch.setattr(records, "GRACE", GRACE)
    return sandbox


@pytest.fixture(scope="session")
def shared_eight_numbers():
    with running_sandbox(numbers=EIGHT_NUMBERS) as sandbox:
        yield sandbox


@pytest.fixture
def eight_numbers(shared_eight_numbers, monkeypatch):
    """A local DialogTech with eight numbers."""
    return emptied(shared_eight_numbers, monkeypatch)


@pytest.fixture(scope="session")
def shared_fast_sandbox():
    with running_sandbox(numbers=EIGHT_NUMBERS, arguments=FAST_SANDBOX) as sandbox:
        yield sandbox


@pytest.fixture
def fast_sandbox(shared_fast_sandbox, monkeypatch):
    """A local DialogTech that takes ten times as many texts."""
    return emptied(shared_fast_sandbox, monkeypatch)
