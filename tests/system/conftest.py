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
# Other accounts, whose limits and journal no other test touches.
_DELIVERY = ("access-of-delivery", "5554332121")
_LONG_LINE = ("access-of-the-long-line", "5554332131")
# A task that is gone with its supervisor is noticed by its silence: after five minutes, if nobody says otherwise.
_SOON_MISSED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}


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
    with running_sandbox(
        access_key=ACCESS_KEY,
        secret_access_key=SECRET,
        numbers=FROM_NUMBERS,
        arguments=[f"--account={key}:{SECRET}:{numbers}" for key, numbers in (_DELIVERY, _LONG_LINE)],
    ) as sandbox:
        numbers = ",".join(FROM_NUMBERS)
        connections = {
            "dialogtech_default": _connection(sandbox, ACCESS_KEY, numbers, alert_to="5556667790"),
            "dialogtech_delivery": _connection(sandbox, *_DELIVERY, timeout=8),
            "dialogtech_long_line": _connection(sandbox, *_LONG_LINE, number_per_minute=1),
        }
        with running_airflow(
            folder / "home",
            folder / "dags",
            connections=connections,
            triggerer=True,
            environment=_SOON_MISSED,
        ) as airflow:
            yield System(airflow, sandbox)


def _connection(sandbox, access_key: str, numbers: str, **extra: object) -> dict[str, object]:
    return {
        "conn_type": "dialogtech",
        "login": access_key,
        "password": SECRET,
        "host": sandbox.url,
        "extra": {"from_numbers": numbers, **extra},
    }
