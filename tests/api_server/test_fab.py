"""The page in a real API server with the FAB auth manager: `make test-fab`, in an environment of its own."""

import re

import pytest

from tests.api_server.rights import BOTH, ETL, FROM_PAGE, OF_ROLE, Rights, found, write_messages

MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
# What a role needs in FAB besides its DAG's own permissions.
_READ = [(action, what) for action in ("can_read",) for what in ("Website", "DAG Runs", "Task Instances")]
_EDIT = [("can_edit", "DAG Runs"), ("can_edit", "Task Instances")]
OF_ONE_DAG = {
    "reader of etl": [*_READ, ("can_read", "DAG:etl")],
    "editor of etl": [*_READ, *_EDIT, ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")],
    "reader of each dag": [*_READ, ("can_read", "DAG:etl"), ("can_read", "DAG:salaries")],
    "reader of all, editor of etl": [*_READ, *_EDIT, ("can_read", "DAGs"), ("can_edit", "DAG:etl")],
}
OF_SEVERAL_DAGS = {
    "reader of each dag": Rights(BOTH),
    "reader of all, editor of etl": Rights(BOTH, frozenset({ETL})),
}


@pytest.fixture(scope="module")
def airflow(metadata_db):
    """Airflow's own app, as its API server runs it."""
    from airflow.api_fastapi import app
    from airflow.providers.fab.auth_manager.models.db import FABDBManager
    from airflow.utils.session import create_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", MANAGER)
        with create_session() as session:
            FABDBManager(session).initdb()
        app.purge_cached_app()
        airflow = app.create_app()
        with app.get_auth_manager().flask_app.app_context():
            security = app.get_auth_manager().security_manager
            for name, permissions in OF_ONE_DAG.items():
                role = security.add_role(name)
                for action, what in permissions:
                    security.add_permission_to_role(role, security.create_permission(action, what))
        yield airflow


@pytest.fixture
def client_of(airflow):
    """Return a client that is logged in as a user with a role; without a role, one that is not logged in."""
    from airflow.api_fastapi.app import get_auth_manager
    from fastapi.testclient import TestClient

    def client(role=None):
        browser = TestClient(airflow, base_url="http://airflow.example/dialogtech/", follow_redirects=False)
        if role is not None:
            with get_auth_manager().flask_app.app_context():
                security = get_auth_manager().security_manager
                name = re.sub(r"\W+", "-", role.lower())
                security.add_user(name, name, name, f"{name}@example.com", security.find_role(role), password="x")
                token = get_auth_manager().generate_jwt(security.find_user(name))
            browser.cookies.set("_token", token)
        return browser

    return client


@pytest.fixture
def messages(write_message, connection, connection_tests):
    """One message in doubt of each kind, and a connection that may be tested."""
    connection()
    return write_messages(write_message)


@pytest.mark.parametrize(("role", "rights"), [*OF_ROLE.items(), *OF_SEVERAL_DAGS.items()])
def test_each_role_sees_and_does_what_the_docs_say(client_of, messages, role, rights):
    assert found(client_of(role), messages) == rights


def test_the_role_public_and_a_visitor_who_is_not_logged_in_get_nothing(client_of, write_message):
    message_id = write_message("in_doubt", key="its key")
    for client, refused in ((client_of("Public"), 403), (client_of(), 401)):
        for path in ("messages", "limits", "static/messages.js"):
            assert client.get(path).status_code == refused
        answer = client.post(f"messages/{message_id}/settle", json={"outcome": "sent"}, headers=FROM_PAGE)
        assert answer.status_code == refused


def test_a_visitor_who_is_not_logged_in_is_redirected_to_the_login(client_of):
    assert client_of().get("").headers["location"] == "/api/v2/auth/login?next=%2Fdialogtech%2F"


@pytest.fixture(scope="module")
def public_airflow(airflow):
    """Airflow's app where visitors who are not logged in have a role; which one is read at each request."""
    from airflow.api_fastapi import app

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__FAB__AUTH_ROLE_PUBLIC", "Viewer")
        app.purge_cached_app()
        yield app.create_app()


@pytest.fixture
def visitor_with(public_airflow, monkeypatch):
    """Return a client that is not logged in, where `auth_role_public` gives it a role."""
    from fastapi.testclient import TestClient

    def visitor(role):
        monkeypatch.setenv("AIRFLOW__FAB__AUTH_ROLE_PUBLIC", role)
        return TestClient(public_airflow, base_url="http://airflow.example/dialogtech/", follow_redirects=False)

    return visitor


@pytest.mark.parametrize("role", ["Viewer", "User", "reader of etl"])
def test_a_visitor_has_the_role_that_auth_role_public_gives(visitor_with, messages, role):
    assert found(visitor_with(role), messages) == OF_ROLE[role]


def test_a_visitor_with_the_role_public_gets_nothing(visitor_with, messages):
    assert visitor_with("Public").get("messages").status_code == 403
