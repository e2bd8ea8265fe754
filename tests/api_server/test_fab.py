"""The page in a real API server with the FAB auth manager: `make test-fab`, in an environment of its own."""

import pytest

from tests.api_server.rights import FROM_PAGE, OF_ROLE, found, write_messages

MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
# What a role needs in FAB besides its DAG's own permissions.
_READ = [(action, what) for action in ("can_read",) for what in ("Website", "DAG Runs", "Task Instances")]
_EDIT = [("can_edit", "DAG Runs"), ("can_edit", "Task Instances")]
OF_ONE_DAG = {
    "reader of etl": [*_READ, ("can_read", "DAG:etl")],
    "editor of etl": [*_READ, *_EDIT, ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")],
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
                name = role.lower().replace(" ", "-")
                security.add_user(name, name, name, f"{name}@example.com", security.find_role(role), password="x")
                token = get_auth_manager().generate_jwt(security.find_user(name))
            browser.cookies.set("_token", token)
        return browser

    return client


@pytest.mark.parametrize("role", OF_ROLE)
def test_each_role_sees_and_does_what_the_docs_say(client_of, write_message, connection, connection_tests, role):
    connection()
    assert found(client_of(role), write_messages(write_message)) == OF_ROLE[role]


def test_the_role_public_and_a_visitor_who_is_not_logged_in_get_nothing(client_of, write_message):
    message_id = write_message("in_doubt", key="its key")
    for client, refused in ((client_of("Public"), 403), (client_of(), 401)):
        for path in ("messages", "limits", "static/messages.js"):
            assert client.get(path).status_code == refused
        answer = client.post(f"messages/{message_id}/settle", json={"outcome": "sent"}, headers=FROM_PAGE)
        assert answer.status_code == refused


def test_a_visitor_who_is_not_logged_in_is_redirected_to_the_login(client_of):
    assert client_of().get("").headers["location"] == "/api/v2/auth/login?next=%2Fdialogtech%2F"
