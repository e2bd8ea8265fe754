"""The page as Airflow mounts it, with users of different rights. Airflow 3.1 and newer."""

import time

import pytest

from airflow_provider_dialogtech._compat import HAS_PAGES

collect_ignore = [] if HAS_PAGES else ["test_page.py"]

READABLE, SECRET_DAG = "etl", "salaries"


def rights(role):
    """Return the permissions of a role, as a function of method and DAG."""
    return {
        "admin": lambda method, dag_id: True,
        "reader of etl": lambda method, dag_id: dag_id == READABLE and method == "GET",
        "editor of etl": lambda method, dag_id: dag_id == READABLE,
    }[role]


@pytest.fixture(scope="session")
def auth_manager(metadata_db):
    """Airflow's simple auth manager, with permissions by role."""
    from airflow.api_fastapi import app as airflow_app
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    class ManagerByRole(SimpleAuthManager):
        def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
            return rights(user.role)(method, details.id if details is not None else None)

        def is_authorized_view(self, *, access_view, user):
            return user.role != "nobody"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow_app, "get_auth_manager_cls", lambda: ManagerByRole)
        airflow_app.purge_cached_app()
        manager = airflow_app.init_auth_manager()
        patch.setattr(airflow_app, "auth_manager", manager, raising=False)
        yield manager


@pytest.fixture
def client_of(auth_manager):
    """Return a client that is logged in with a role; without a role, one that is not logged in."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from airflow_provider_dialogtech.plugins.dialogtech import DialogTechPlugin

    airflow = FastAPI()
    airflow.state.auth_manager = auth_manager
    (mounted,) = DialogTechPlugin.fastapi_apps
    airflow.mount(mounted["url_prefix"], mounted["app"])

    def client(role=None):
        browser = TestClient(airflow, base_url="http://airflow.example/dialogtech/", follow_redirects=False)
        if role is not None:
            token = auth_manager.generate_jwt(SimpleAuthManagerUser(username="ada", role=role))
            browser.cookies.set("_token", token)
        return browser

    return client


@pytest.fixture
def journal():
    """The journal that the page shows."""
    from airflow_provider_dialogtech.settings.journal import journal_store

    return journal_store()


@pytest.fixture
def write_message(journal):
    """Write a message of any state and task into the journal."""
    import sqlalchemy as sa

    from airflow_provider_dialogtech.journal.backend import Statement
    from airflow_provider_dialogtech.journal.schema import messages

    journal.open()

    def write(state="sent", **changes):
        values = {
            "account": "account", "number": "number", "at": time.time() - 10, "state": state, "key": None,
            "owner": "", "digest": "", "recipient_tail": "7777", "detail": "{}", "deadline": time.time(),
            "created": time.time(), "updated": time.time(), "dag_id": READABLE, "run_id": "run", "task_id": "load",
            **changes,
        }  # fmt: skip
        journal.do(Statement(messages.insert().inline(), values))
        (newest,) = journal.ask(Statement(sa.select(sa.func.max(messages.c.id).label("id")), {}))
        return newest.id

    return write
