import subprocess

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
    from airflow_provider_dialogtech import _compat

    assert all(hasattr(_compat, name) for name in _compat.__all__)
