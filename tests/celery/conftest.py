import json

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.celery.cluster import NUMBERS, programs, running_cluster


@pytest.fixture(scope="package")
def bin_(tmp_path_factory):
    return programs(tmp_path_factory.mktemp("celery"))


@pytest.fixture(scope="package")
def sandbox():
    with running_sandbox(numbers=NUMBERS) as running:
        yield running


@pytest.fixture(scope="package", params=["journal_url", "nothing set"])
def running(request, bin_, sandbox, tmp_path_factory):
    sandbox.forget()
    folder = tmp_path_factory.mktemp("cluster")
    connection = {"AIRFLOW_CONN_DIALOGTECH_DEFAULT": json.dumps(sandbox.connection(timeout=8))}
    with running_cluster(bin_, folder, connection, has_own_journal=request.param == "journal_url") as both:
        yield both


@pytest.fixture
def cluster(running):
    return running[0]


@pytest.fixture
def journal(running):
    return running[1]
