"""One Airflow and one local DialogTech for all tests in this folder: starting them takes half a minute."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from demo.airflow_home import AirflowHome, running_airflow
from tests.conftest import ACCESS_KEY, FROM_NUMBERS, SECRET

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class System:
    """A running Airflow whose connection leads to a running local DialogTech."""

    airflow: AirflowHome
    sandbox: Any

    def texts_to(self, number: str) -> list[dict[str, Any]]:
        """Return the texts to a number that DialogTech accepted."""
        texts = [text for text in self.sandbox.messages() if text["outcome"] == "accepted"]
        return [text for text in texts if text["to"] == number]


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """Airflow runs the example DAGs, and those in `tests/system/dags` where a test brings its own."""
    folder = tmp_path_factory.mktemp("system")
    for dags in (_ROOT / "example_dags", Path(__file__).parent / "dags"):
        if dags.exists():
            shutil.copytree(dags, folder / "dags", dirs_exist_ok=True)
    with running_sandbox(access_key=ACCESS_KEY, secret_access_key=SECRET, numbers=FROM_NUMBERS) as sandbox:
        connection = {
            "conn_type": "dialogtech",
            "login": ACCESS_KEY,
            "password": SECRET,
            "host": sandbox.url,
            "extra": {"from_numbers": ",".join(FROM_NUMBERS), "alert_to": "5556667790"},
        }
        with running_airflow(
            folder / "home",
            folder / "dags",
            connections={"dialogtech_default": connection},
            triggerer=True,
        ) as airflow:
            yield System(airflow, sandbox)
