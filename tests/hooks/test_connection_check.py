import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from tests.conftest import FROM_NUMBERS


def check() -> tuple[bool, str]:
    return DialogTechHook().test_connection()


def test_enabled_numbers_are_named_by_their_last_digits(sandbox_connection):
    worked, words = check()
    assert worked
    assert words == ("DialogTech accepted the access keys. From numbers: …2111 is SMS-enabled; …2112 is SMS-enabled.")


def test_a_number_that_is_not_enabled_fails_the_test(connect_sandbox):
    connect_sandbox(extra={"from_numbers": [FROM_NUMBERS[0], "5554339999"]})
    worked, words = check()
    assert not worked
    assert "…2111 is SMS-enabled" in words
    assert "…9999 is not SMS-enabled" in words


def test_keys_without_numbers_work(connect_sandbox):
    connect_sandbox()
    worked, words = check()
    assert worked
    assert "every message must name its sender" in words


def test_a_wrong_key_is_reported(connect_sandbox):
    connect_sandbox(password="another secret")
    assert check() == (
        False,
        "DialogTech did not accept the access keys. Check the access key and the secret access key.",
    )


@pytest.mark.parametrize(("field", "label"), [("login", "access key"), ("password", "secret access key")])
def test_a_missing_key_is_named(connection, field, label):
    connection(**{field: None})
    worked, words = check()
    assert not worked
    assert f"the {label} ({field}) is missing" in words


def test_a_wrong_field_is_named_without_the_id_that_airflow_makes_up_for_the_test(connection):
    connection("made_up_by_airflow", extra={"timeout": "soon"})
    worked, words = DialogTechHook("made_up_by_airflow").test_connection()
    assert not worked
    assert words.startswith("This connection: extra.timeout must be")


@pytest.mark.parametrize("port", [0, None])
def test_an_empty_port_is_none_also_as_the_browser_sends_it(connect_sandbox, port):
    connect_sandbox(port=port, extra={"from_numbers": FROM_NUMBERS[0]})
    assert check()[0]


def test_a_closed_port_is_reported_as_unreachable(connection, unused_port):
    connection(host=f"http://127.0.0.1:{unused_port}/ibp_api.php")
    assert check() == (False, "DialogTech could not be reached. Check the API URL, the network and the proxy.")


def test_a_connection_that_does_not_exist_fails_in_words():
    worked, words = DialogTechHook("nowhere").test_connection()
    assert not worked
    assert "Airflow has no connection" in words


@pytest.mark.parametrize("host", ["http://example.com/ibp_api.php", "ftp://example.com", "https://", "no url"])
def test_an_unsafe_or_broken_url_fails_without_being_shown(connection, host):
    connection(host=host)
    worked, words = check()
    assert not worked
    assert host not in words


class Stranger(BaseHTTPRequestHandler):
    """Some other web server, as a mistyped host may reach it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome to another site, dear " + self.path.encode() + b"</html>")

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def test_another_sites_answer_fails_without_being_shown(connection):
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever).start()
        connection(host=f"http://127.0.0.1:{server.server_port}/ibp_api.php")
        worked, words = check()
        server.shutdown()
    assert not worked
    assert "did not answer as documented" in words
    assert "Welcome" not in words


def test_the_result_never_shows_the_connections_fields(sandbox, connect_sandbox, unused_port):
    secrets = (sandbox.access_key, sandbox.secret_access_key, "127.0.0.1", "example.com", "5554332111")
    for fields in (
        {},
        {"password": sandbox.secret_access_key + "x"},
        {"host": f"http://127.0.0.1:{unused_port}/ibp_api.php"},
        {"host": "http://example.com/"},
        {"extra": {"timeout": sandbox.secret_access_key, "from_numbers": "5554332111"}},
        {"extra": {"from_numbers": "5554332111"}},
    ):
        connect_sandbox(**fields)
        _, words = check()
        assert not [part for part in secrets if part in words], words


def test_airflows_own_connection_test_uses_the_hook(sandbox, monkeypatch):
    from airflow.models import Connection

    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    extra = json.dumps({"from_numbers": FROM_NUMBERS[0], "timeout": 5, "http_method": "POST"})
    keys = {"login": sandbox.access_key, "password": sandbox.secret_access_key}
    written = Connection("sms", "dialogtech", host=sandbox.url, extra=extra, **keys)
    # Airflow hands the form's connection to the hook as a URI in the environment.
    monkeypatch.setenv("AIRFLOW_CONN_SMS", written.get_uri())
    worked, words = Connection.get_connection_from_secrets("sms").test_connection()
    assert worked
    assert "…2111 is SMS-enabled" in words
