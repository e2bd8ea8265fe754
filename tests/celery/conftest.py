import subprocess
import sys

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.celery.cluster import running_cluster
from tests.wheel.conftest import AIRFLOW, ROOT, UV

# Eight numbers, so that the account's 4 messages per second are the limit that counts.
NUMBERS = tuple(str(number) for number in range(5554332111, 5554332119))


@pytest.fixture(scope="package")
def bin_(tmp_path_factory):
    """The programs of an environment with the wheel, its driver, and what Celery needs."""
    folder = tmp_path_factory.mktemp("celery-venv")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"]
    constraints = ROOT / "constraints" / f"airflow-{AIRFLOW}.txt"
    celery = ("apache-airflow-providers-celery", "apache-airflow-providers-postgres", "asyncpg")
    ours = f"airflow-provider-dialogtech[postgres] @ {wheel.as_uri()}"
    subprocess.run([*install, "-c", constraints, f"apache-airflow=={AIRFLOW}", ours, *celery], check=True)
    return folder / "venv" / "bin"


@pytest.fixture(scope="package")
def sandbox():
    with running_sandbox(numbers=NUMBERS) as running:
        yield running


@pytest.fixture(scope="package", params=["journal_url", "nothing set"])
def running(request, bin_, sandbox, tmp_path_factory):
    sandbox.forget()
    connection = {
        "conn_type": "dialogtech",
        "login": sandbox.access_key,
        "password": sandbox.secret_access_key,
        "host": sandbox.url,
        "extra": {"from_numbers": ",".join(sandbox.numbers), "timeout": 8},
    }
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(bin_, folder, connection, has_own_journal=request.param == "journal_url") as both:
        yield both


@pytest.fixture
def cluster(running):
    return running[0]


@pytest.fixture
def journal(running):
    return running[1]
