import json
import time

import pytest

from airflow_provider_dialogtech.operations.messages import Messages
from tests.api_server.conftest import SECRET_DAG
from tests.api_server.rights import FROM_PAGE


def settle(client, message_id, outcome="sent", headers=FROM_PAGE):
    return client.post(f"messages/{message_id}/settle", json={"outcome": outcome}, headers=headers)


@pytest.mark.parametrize("path", ["messages", "limits", "static/messages.js", "static/messages.css"])
def test_a_user_who_is_not_logged_in_gets_nothing(client_of, path):
    assert client_of().get(path).status_code == 401


def test_a_user_who_is_not_logged_in_is_redirected_to_airflow_s_login(client_of):
    answer = client_of().get("")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/api/v2/auth/login?next=%2Fdialogtech%2F"


@pytest.mark.parametrize("path", ["", "messages", "limits", "static/messages.js"])
def test_a_user_without_permission_for_airflow_s_pages_gets_nothing(client_of, path):
    assert client_of("nobody").get(path).status_code == 403


@pytest.mark.parametrize("path", ["", "static/messages.js"])
def test_no_range_is_read(client_of, path):
    assert client_of("admin").get(path, headers={"Range": "bytes=0-1"}).status_code == 200


def test_an_invalid_token_is_refused(client_of):
    client = client_of()
    client.cookies.set("_token", "made up")
    assert client.get("messages").status_code in {401, 403}


def test_a_message_is_shown_with_its_state_its_task_and_a_shortened_number(client_of, write_message):
    in_task = {"run_id": "manual__2026-01-02T03:04:05+00:00", "task_id": "group.load", "map_index": 3, "loop_index": 2}
    message_id = write_message("sent", **in_task)
    (shown,) = client_of("admin").get("messages").json()["messages"]
    assert (shown["id"], shown["state"], shown["to"], shown["may_settle"]) == (message_id, "sent", "…7777", False)
    assert shown["task_name"] == "group.load[3] (iteration 2)"
    assert shown["task_url"] == ("/dags/etl/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00/tasks/group.load/mapped/3")


def test_each_user_sees_the_messages_of_the_dags_that_they_may_read(client_of, write_message):
    readable, secret, by_hand = (
        write_message(),
        write_message(dag_id=SECRET_DAG),
        write_message(dag_id="", run_id="", task_id=""),
    )

    def seen(role):
        return {message["id"] for message in client_of(role).get("messages").json()["messages"]}

    assert seen("admin") == {readable, secret, by_hand}
    assert seen("reader of etl") == seen("editor of etl") == {readable}


def test_messages_are_filtered_by_state_period_dag_run_and_task(client_of, write_message):
    write_message("released")
    write_message("refused", at=time.time() - 7200)
    write_message(run_id="other")
    wanted = write_message("in_doubt", dag_id=SECRET_DAG, run_id="run 2", task_id="pay")
    client = client_of("admin")

    def found(query):
        return [message["id"] for message in client.get(f"messages?{query}").json()["messages"]]

    assert len(found("hours=3")) == 3
    assert len(found("hours=1")) == 2
    for query in ("state=in_doubt", f"dag_id={SECRET_DAG}", "run_id=run 2", "task_id=pay"):
        assert found(query) == [wanted]
    assert client.get("messages?hours=0").status_code == client.get("messages?state=x").status_code == 422


def test_another_airflow_s_messages_are_neither_shown_nor_settled_nor_looked_up(
    client_of, write_message, connection_tests, monkeypatch
):
    theirs = write_message("in_doubt", key="its key", namespace="staging")
    ours = write_message("in_doubt", key="another", namespace="production")
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__NAMESPACE", "production")
    client = client_of("admin")
    assert [message["id"] for message in client.get("messages").json()["messages"]] == [ours]
    assert settle(client, theirs).status_code == 404
    assert client.post(f"messages/{theirs}/look-up", headers=FROM_PAGE).status_code == 404
    assert settle(client, ours).status_code == 200


@pytest.mark.parametrize("outcome", ["sent", "unsent"])
def test_a_user_who_may_clear_the_task_settles_its_message(client_of, write_message, journal, outcome):
    message_id = write_message("in_doubt", key="its key")
    client = client_of("editor of etl")
    assert client.get("messages").json()["messages"][0]["may_settle"]
    assert settle(client, message_id, outcome).json() == {"id": message_id, "state": outcome}
    settled = Messages(journal).get(message_id)
    assert (settled.state, settled.outcome.get("settled_by")) == (outcome, "ada")
    assert settle(client, message_id, outcome).status_code == 409


def test_a_user_who_may_only_read_settles_nothing(client_of, write_message, journal):
    message_id = write_message("in_doubt", key="its key")
    client = client_of("reader of etl")
    assert not client.get("messages").json()["messages"][0]["may_settle"]
    assert settle(client, message_id).status_code == 403
    assert Messages(journal).get(message_id).state == "in_doubt"


def test_an_invisible_message_looks_like_a_missing_one(client_of, write_message):
    message_id = write_message("in_doubt", key="its key", dag_id=SECRET_DAG)
    client = client_of("editor of etl")
    invisible, missing = settle(client, message_id), settle(client, message_id + 1)
    assert (invisible.status_code, invisible.json()) == (missing.status_code, missing.json())
    assert invisible.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-DialogTech-Page": "messages", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}],
)
def test_a_page_of_another_site_settles_nothing_with_the_user_s_cookie(client_of, write_message, journal, headers):
    message_id = write_message("in_doubt", key="its key")
    assert settle(client_of("admin"), message_id, headers=headers).status_code == 403
    assert Messages(journal).get(message_id).state == "in_doubt"


def test_the_limits_in_use_have_the_connections_names(client_of, connection, write_message, journal):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
    from airflow_provider_dialogtech.masking import digest

    connection(extra={"from_numbers": "5554332111, 5554332112", "number_per_minute": 50})
    account = DialogTechHook().settings.account
    for age in (0.2, 30, 90):
        write_message("sent", account=account, number=digest(account, "5554332111"), at=time.time() - age)
    write_message("reserved", account=account, number=digest(account, "5554332112"), at=time.time() + 20)
    (shown,) = client_of("op").get("limits").json()["accounts"]
    assert (shown["name"], shown["limit"], shown["waiting"]) == ("dialogtech_default", 4, 1)
    assert shown["numbers"] == [
        {"name": "…2111", "used": 2, "limit": 50},
        {"name": "…2112", "used": 0, "limit": 50},
    ]


def test_an_account_without_a_readable_connection_is_named_by_its_position(client_of, write_message):
    write_message("sent", at=time.time() - 0.2)
    (shown,) = client_of("admin").get("limits").json()["accounts"]
    assert shown["name"] == "account 1"
    assert shown["numbers"] == [{"name": "another number", "used": 1, "limit": 40}]


def test_an_unusable_journal_is_reported(client_of, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", "mysql://nowhere")
    answer = client_of("admin").get("messages")
    assert answer.status_code == 503
    assert "[dialogtech] journal_url must be" in answer.json()["detail"]
    assert answer.json()["detail"].endswith(" Correct it.")


def test_every_answer_forbids_foreign_frames_and_scripts(client_of):
    for path in ("", "messages", "static/messages.js"):
        policy = client_of("admin").get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy


def test_only_its_own_files_are_served(client_of):
    for name in ("app.py", "..%2fapp.py", "%2e%2e/app.py"):
        assert client_of("admin").get(f"static/{name}").status_code in {404, 422}


def test_a_user_who_may_settle_a_message_and_test_its_connection_may_look_it_up(
    client_of, connect_sandbox, sandbox, write_message, connection_tests
):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
    from airflow_provider_dialogtech.masking import digest

    connect_sandbox(extra={"from_numbers": "5554332111"})
    account = DialogTechHook().settings.account
    message_id = write_message("in_doubt", key="its key", account=account, number=digest(account, "5554332111"))
    found = client_of("op").post(f"messages/{message_id}/look-up", headers=FROM_PAGE).json()
    assert (found["listed"], found["times"]) == (0, [])
    assert found["meaning"].startswith("DialogTech does not list it. That proves nothing")
    for role, headers in (("reader of etl", FROM_PAGE), ("editor of etl", FROM_PAGE), ("user", FROM_PAGE), ("op", {})):
        assert client_of(role).post(f"messages/{message_id}/look-up", headers=headers).status_code == 403


def test_a_message_of_an_account_without_a_connection_is_not_looked_up(client_of, write_message, connection_tests):
    message_id = write_message("in_doubt", key="its key")
    answer = client_of("admin").post(f"messages/{message_id}/look-up", headers=FROM_PAGE)
    assert answer.status_code == 503
    assert "no connection of [dialogtech] conn_ids belongs to the account" in answer.json()["detail"]


def test_a_look_up_needs_core_test_connection(client_of, connect_sandbox, sandbox, write_message, monkeypatch):
    connect_sandbox()
    message_id = write_message("in_doubt", key="its key")
    for value in (None, "Disabled", "Hidden"):
        if value:
            monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", value)
        client = client_of("admin")
        assert not client.get("messages").json()["may_look_up"]
        answer = client.post(f"messages/{message_id}/look-up", headers=FROM_PAGE)
        assert (answer.status_code, "[core] test_connection" in answer.json()["detail"]) == (403, True)
    assert sandbox.messages() == []


def test_a_look_up_that_fails_says_nothing_of_the_message(
    client_of, connection, unused_port, write_message, connection_tests
):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

    connection(host=f"http://127.0.0.1:{unused_port}", extra={"from_numbers": "5554332111"})
    message_id = write_message("in_doubt", key="its key", account=DialogTechHook().settings.account)
    answer = client_of("admin").post(f"messages/{message_id}/look-up", headers=FROM_PAGE)
    assert answer.status_code == 503
    assert "This says nothing about the message." in answer.json()["detail"]
    assert "safe" not in answer.json()["detail"]
    assert "not sent" not in answer.json()["detail"]


def test_a_list_of_more_than_the_page_s_bound_is_refused_in_words(
    client_of, connect_sandbox, write_message, connection_tests, monkeypatch
):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook

    connect_sandbox(extra={"from_numbers": "5554332111"})
    monkeypatch.setattr("airflow_provider_dialogtech.api_server.page.LARGEST_LISTING", 10)
    message_id = write_message("in_doubt", key="its key", account=DialogTechHook().settings.account)
    answer = client_of("admin").post(f"messages/{message_id}/look-up", headers=FROM_PAGE)
    assert (answer.status_code, "the reply is too large" in answer.json()["detail"]) == (503, True)


def test_other_dags_messages_push_nothing_off_a_reader_s_page(client_of, write_message, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.api_server.page.MOST_SHOWN", 3)
    wanted = write_message("in_doubt", key="its key", at=time.time() - 60)
    for _ in range(10):
        write_message("sent", dag_id=SECRET_DAG)
        write_message("sent", dag_id="", run_id="", task_id="")
    answer = client_of("reader of etl").get("messages").json()
    assert [message["id"] for message in answer["messages"]] == [wanted]
    assert not answer["more"]
    assert client_of("admin").get("messages").json()["more"]


@pytest.mark.parametrize("query", [f"dag_id={SECRET_DAG}", f"dag_id={SECRET_DAG}&state=sent", "run_id=run&task_id=pay"])
def test_a_filter_does_not_tell_whether_hidden_messages_exist(client_of, write_message, query):
    client = client_of("reader of etl")
    before = client.get(f"messages?{query}").json()
    write_message(dag_id=SECRET_DAG, task_id="pay", times=210)
    assert client.get(f"messages?{query}").json() == before


def test_the_newest_messages_of_a_run_are_found_among_many(client_of, write_message):
    wanted = write_message(run_id="run 2", at=time.time() - 60)
    write_message(times=210)
    answer = client_of("admin").get("messages?run_id=run 2").json()
    assert [message["id"] for message in answer["messages"]] == [wanted]


@pytest.mark.parametrize("role", ["user", "viewer", "editor of etl"])
def test_who_may_not_read_connections_sees_no_limits(client_of, connection, write_message, role):
    connection(extra={"from_numbers": "5554332111"})
    write_message("sent", at=time.time() - 0.2)
    limits = client_of(role).get("limits").json()
    assert limits == {"accounts": [], "alerts_sent": None, "alerts_suppressed": None}


ODD_BODIES = [
    b'{"outcome": NaN}',
    b'{"outcome": Infinity}',
    b'{"outcome": "\\ud800"}',
    b'{"outcome": "\xff"}',
    b'{"outcome": ["sent"]}',
    b'{"outcome": "' + b"x" * 8_000_000 + b'"}',
    b"[" * 900,
    b'"sent"',
    b"",
    b"\x00",
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: repr(body[:20]))
def test_an_odd_body_is_refused_without_being_repeated(client_of, write_message, journal, body):
    message_id = write_message("in_doubt", key="its key")
    headers = {**FROM_PAGE, "Content-Type": "application/json"}
    answer = client_of("admin").post(f"messages/{message_id}/settle", content=body, headers=headers)
    assert answer.status_code in {413, 422}
    assert len(answer.content) < 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert Messages(journal).get(message_id).state == "in_doubt"


@pytest.mark.parametrize("action", ["settle", "look-up"])
def test_an_odd_id_is_no_message(client_of, write_message, action):
    write_message("in_doubt", key="its key")
    admin = client_of("admin")
    for id_ in ["0", "-1", str(2**31), str(2**63), "9" * 400, "9" * 5000, "one", "1.5", "1e3", "%00"]:
        answer = admin.post(f"messages/{id_}/{action}", json={"outcome": "sent"}, headers=FROM_PAGE)
        assert answer.status_code in {404, 422}, id_
        assert "journal is not" not in answer.text, id_
        assert len(answer.content) < 200, id_


@pytest.mark.parametrize("name", ["dag_id", "run_id", "task_id", "state", "hours"])
def test_an_odd_filter_is_no_error_of_the_page(client_of, write_message, name):
    write_message()
    admin = client_of("admin")
    for value in ["%00", "%ED%A0%80", "%FF", "%00x", "x" * 5000, "nan", "-inf", "1e400"]:
        answer = admin.get(f"messages?{name}={value}")
        assert answer.status_code == 422 or answer.json()["messages"] == [], value
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], value
        assert len(answer.content) < 200, value


def test_an_error_of_the_page_itself_has_its_headers(client_of, monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.api_server.page.journal_store", None)
    answer = client_of("admin").get("messages")
    assert (answer.status_code, answer.json()) == (500, {"detail": "The page failed. The API server's log says why."})
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def entries():
    """Return the entries of Airflow's audit log about settled messages, the newest first."""
    import sqlalchemy as sa
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.scalars(sa.select(Log).where(Log.event == "dialogtech_message_settled").order_by(Log.id.desc()))
        return [(log.owner, log.dag_id, log.run_id, log.task_id, log.map_index, json.loads(log.extra)) for log in found]


def test_settling_is_in_airflow_s_audit_log(client_of, write_message):
    message_id = write_message("in_doubt", key="its key", map_index=3)
    client = client_of("editor of etl")
    settle(client, message_id, "unsent")
    extra = {"message_id": message_id, "outcome": "unsent", "through": "the page Messages"}
    assert entries()[0] == ("ada", "etl", "run", "load", 3, extra)
    before = len(entries())
    assert settle(client, message_id, "unsent").status_code == 409
    assert settle(client_of("reader of etl"), write_message("in_doubt", key="another")).status_code == 403
    assert len(entries()) == before


def test_without_the_audit_log_nothing_is_settled(client_of, write_message, journal, monkeypatch):
    from sqlalchemy.orm import Session

    def fail(*_, **__):
        raise OSError("disk full")

    message_id = write_message("in_doubt", key="its key")
    client = client_of("admin")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "flush", fail)
        answer = settle(client, message_id)
    assert answer.status_code == 503
    assert "not settled: Airflow's audit log could not be written (OSError)" in answer.json()["detail"]
    assert Messages(journal).get(message_id).state == "in_doubt"


def test_a_page_of_its_own_is_shown_in_airflow_s_frame_to_those_who_have_one(client_of):
    opened = {"Sec-Fetch-Dest": "document"}
    answer = client_of("viewer").get("?dag_id=a%26b&task_id=load", headers=opened)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/plugin/dialogtech_messages?dag_id=a%26b&task_id=load"
    # FAB gives the roles Viewer and User no page of a plugin.
    assert client_of("reader of etl").get("", headers=opened).status_code == 200
    assert client_of("viewer").get("", headers={"Sec-Fetch-Dest": "iframe"}).status_code == 200
