import subprocess

import pytest

from tests.running import run_command
from tests.test_docs import commands as documented_commands


def test_pools_creates_fits_and_lists_them(metadata_db, rows_of, monkeypatch, connection):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CONN_IDS", "dialogtech_of_the_cli")
    listed = []
    for per_second in (10, 10, 6):
        connection("dialogtech_of_the_cli", extra={"account_per_second": per_second})
        listed += [rows_of("pools")]
    pool = {"pool": "dialogtech_of_the_cli"}
    assert listed == [
        [pool | {"slots": "10", "state": "created"}],
        [pool | {"slots": "10", "state": "exists"}],
        [pool | {"slots": "6", "state": "resized"}],
    ]


def test_pools_names_a_wrong_setting(monkeypatch, run):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__POOL_SLOTS", "0")
    ran = run("pools")
    assert ran.code == 1
    assert "[dialogtech] pool_slots must be a whole number from 1 to 10,000" in ran.err


def test_the_module_runs_on_every_airflow_as_documented(metadata_db, python):
    (command,) = documented_commands("python -m airflow_provider_dialogtech pools")
    done = subprocess.run([*python, *command.split()[1:]], capture_output=True, text=True, check=True)
    assert "dialogtech_default" in done.stdout


def test_airflows_own_command_line_has_it_where_providers_may_add_commands(metadata_db):
    from airflow import __version__

    if tuple(map(int, __version__.split(".")[:2])) < (3, 2):
        pytest.skip("providers add no commands before Airflow 3.2; use `python -m airflow_provider_dialogtech`")
    assert "dialogtech_default" in run_command("dialogtech", "pools")
