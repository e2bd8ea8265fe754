"""The page as Airflow mounts it, with users of different rights. Airflow 3.1 and newer."""

import time
from importlib.util import find_spec

import pytest

from airflow_provider_dialogtech._compat import HAS_PAGES

collect_ignore = [] if HAS_PAGES else ["test_page.py", "test_roles.py", "test_threads.py", "test_browser.py"]
if not HAS_PAGES or find_spec("airflow.providers") is None or find_spec("airflow.providers.fab") is None:
    collect_ignore.append("test_fab.py")  # it has an environment of its own: make test-fab

READABLE, SECRET_DAG = "etl", "salaries"


def may(role, method, dag_id):
    """Answer as FAB does for a role with rights on one DAG: a question without a DAG is about any DAG."""
    return (role == "editor of etl" or method == "GET") and dag_id in {None, READABLE}


@pytest.fixture(scope="session")
def auth_manager(metadata_db):
    """Airflow's simple auth manager, with roles for one DAG that it does not know by itself."""
    from airflow.api_fastapi import app as airflow_app
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    class ManagerWithRolesForOneDag(SimpleAuthManager):
        def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
            if not user.role.endswith(" of etl"):
                return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
            return may(user.role, method, details.id if details is not None else None)

        def _is_authorized(self, *, user, **question):
            return not user.role.endswith(" of etl") and super()._is_authorized(user=user, **question)

        def is_authorized_view(self, *, access_view, user):
            if user.role.endswith(" of etl"):
                return access_view.value == "WEBSITE"
            return user.role != "nobody" and super().is_authorized_view(access_view=access_view, user=user)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow_app, "get_auth_manager_cls", lambda: ManagerWithRolesForOneDag)
        airflow_app.purge_cached_app()
        manager = airflow_app.init_auth_manager()
        patch.setattr(airflow_app, "auth_manager", manager, raising=False)
        yield manager


@pytest.fixture
def airflow_app(auth_manager, monkeypatch):
    """An app with the page as Airflow mounts it."""
    from fastapi import FastAPI

    from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin

    airflow = FastAPI()
    airflow.state.auth_manager = auth_manager
    door, mounted = DialogTechPlugin.fastapi_apps
    assert door["url_prefix"].startswith(mounted["url_prefix"])  # Airflow takes the first whose prefix fits
    monkeypatch.setattr(mounted["app"], "_app", None)  # it knows the connections of an earlier test
    airflow.mount(mounted["url_prefix"], mounted["app"])
    return airflow


@pytest.fixture
def client_of(airflow_app, auth_manager):
    """Return a client that is logged in with a role; without a role, one that is not logged in."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def client(role=None):
        browser = TestClient(airflow_app, base_url="http://airflow.example/dialogtech/", follow_redirects=False)
        if role is not None:
            token = auth_manager.generate_jwt(SimpleAuthManagerUser(username="ada", role=role))
            browser.cookies.set("_token", token)
        return browser

    return client


@pytest.fixture
def connection_tests(monkeypatch):
    """Allow testing connections, as an admin does."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")


@pytest.fixture
def journal():
    """The journal that the page shows."""
    from airflow_provider_dialogtech.settings.journal import journal_store

    return journal_store()


@pytest.fixture
def write_message(journal):
    """Write messages of any state and task into the journal, and return the id of the last one."""
    import sqlalchemy as sa

    from airflow_provider_dialogtech.journal.backend import Statement
    from airflow_provider_dialogtech.journal.schema import messages

    journal.open()

    def write(state="sent", *, times=1, **changes):
        values = {
            "account": "account", "number": "number", "at": time.time() - 10, "state": state, "key": None,
            "owner": "", "digest": "", "recipient_tail": "7777", "detail": "{}", "deadline": time.time(),
            "created": time.time(), "updated": time.time(), "dag_id": READABLE, "run_id": "run", "task_id": "load",
            **changes,
        }  # fmt: skip
        journal.do(Statement(messages.insert().inline().values([values] * times), {}))
        (newest,) = journal.ask(Statement(sa.select(sa.func.max(messages.c.id).label("id")), {}))
        return newest.id

    return write
