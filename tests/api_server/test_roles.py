"""The page's permissions under Airflow's simple auth manager; `test_fab.py` has the same under FAB."""

import pytest

from tests.api_server.rights import OF_ROLE, found, write_messages


@pytest.mark.parametrize("role", OF_ROLE)
def test_each_role_sees_and_does_what_the_docs_say(client_of, write_message, connection, connection_tests, role):
    connection()
    assert found(client_of(role), write_messages(write_message)) == OF_ROLE[role]
