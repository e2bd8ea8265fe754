import gc

import pytest

from airflow_provider_dialogtech.delivery import journal, records, timing
from airflow_provider_dialogtech.delivery.store import Store
from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.delivery.attacking import EIGHT_NUMBERS, FAST_SANDBOX
from tests.delivery.delivering import GRACE, emptied
from tests.proxies.tcp import running_proxy


@pytest.fixture
def sandbox(sandbox, monkeypatch):
    monkeypatch.setattr(records, "GRACE", GRACE)
    return sandbox


@pytest.fixture
def no_slot_is_missed(monkeypatch):
    """Let a text be started long after its slot, and no slot be far away: on a busy machine all steps are slow."""
    monkeypatch.setattr(timing, "LONGEST", 0.5)
    monkeypatch.setattr(journal, "LATEST_START", 60.0)
    monkeypatch.setattr(journal, "CLOCK_TOLERANCE", 60.0)


@pytest.fixture
def no_garbage_is_collected():
    """Let no other object be finalized below thousands of brackets, where even a finalizer has no stack left."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def store(store_url):
    return Store(store_url)


@pytest.fixture
def timed_store(sqlite_url, time):
    """A file that goes by a clock that nobody waits for."""
    return Store(sqlite_url, clock=time.clock)


@pytest.fixture(scope="session")
def shared_proxy(postgres):
    with running_proxy(postgres.get_uri()) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy, postgres_url):
    """A proxy to the test's database that does nothing yet."""
    shared_proxy.calm()
    yield shared_proxy.to(postgres_url)
    shared_proxy.calm()


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
