import subprocess
import threading
import time

from airflow_provider_dialogtech import _compat

MODULES = (
    "hooks.dialogtech",
    "operators.sms",
    "plugins.dialogtech",
    "cli",
    "get_provider_info",
)

# Shows what warns at a place in our code, or because of it.
RECORD = """
import importlib, sys, warnings
import airflow, airflow.configuration, airflow.plugins_manager, airflow.listeners
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for module in sys.argv[1:]:
        importlib.import_module("airflow_provider_dialogtech." + module)
for warning in caught:
    if "airflow_provider_dialogtech" in warning.filename:
        print(warning.category.__name__, warning.message)
"""

HEAVY = """
import sys, json
try:
    import airflow.sdk as base
    base.BaseOperator, base.BaseHook, base.get_current_context
except (ImportError, AttributeError):
    import airflow.models.baseoperator, airflow.hooks.base, airflow.operators.python
before = set(sys.modules)
import airflow_provider_dialogtech.operators.sms
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_raises_no_deprecation_warning_of_ours(python):
    assert run(*python, "-c", RECORD, *MODULES) == ""


def test_an_operators_import_brings_nothing_heavy_along(python):
    brought = set(run(*python, "-c", HEAVY).split())
    assert "airflow_provider_dialogtech" in brought
    assert not brought & {"requests", "sqlalchemy", "defusedxml", "phonenumbers", "tenacity", "urllib3", "smsutil"}


def test_every_moved_name_is_there():
    assert all(hasattr(_compat, name) for name in _compat.__all__)


def test_threads_do_not_ask_the_supervisor_of_a_task_at_once(monkeypatch):
    """Up to Airflow 3.1, each would receive the other's answer: a wrong connection, or none."""
    asking, most = [], []

    def get_connection(conn_id):
        asking.append(conn_id)
        most.append(len(asking))
        time.sleep(0.01)
        asking.remove(conn_id)

    monkeypatch.setattr(_compat, "reads_stored_connections", lambda: True)
    monkeypatch.setattr(_compat, "BaseHook", type("Hook", (), {"get_connection": staticmethod(get_connection)}))
    threads = [threading.Thread(target=_compat.connection_of, args=[str(n)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (4, 1)
