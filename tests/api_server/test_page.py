import time

import pytest

from airflow_provider_dialogtech.operations.messages import Messages
from tests.api_server.conftest import SECRET_DAG

FROM_PAGE = {"X-DialogTech-Page": "messages", "Sec-Fetch-Site": "same-origin"}


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
def test_a_user_without_permission_for_plugins_gets_nothing(client_of, path):
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
    assert (shown["map_index"], shown["loop_index"]) == (3, 2)
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
    (shown,) = client_of("reader of etl").get("limits").json()["accounts"]
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


def test_every_answer_forbids_foreign_frames_and_scripts(client_of):
    for path in ("", "messages", "static/messages.js"):
        policy = client_of("admin").get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy


def test_only_its_own_files_are_served(client_of):
    for name in ("app.py", "..%2fapp.py", "%2e%2e/app.py"):
        assert client_of("admin").get(f"static/{name}").status_code in {404, 422}


def test_a_user_who_may_settle_a_message_may_look_it_up(client_of, connect_sandbox, sandbox, write_message):
    from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
    from airflow_provider_dialogtech.masking import digest

    connect_sandbox(extra={"from_numbers": "5554332111"})
    account = DialogTechHook().settings.account
    message_id = write_message("in_doubt", key="its key", account=account, number=digest(account, "5554332111"))
    found = client_of("editor of etl").post(f"messages/{message_id}/look-up", headers=FROM_PAGE).json()
    assert (found["listed"], found["times"]) == (0, [])
    assert found["meaning"].startswith("DialogTech does not list it. That proves nothing")
    for client, headers in ((client_of("reader of etl"), FROM_PAGE), (client_of("admin"), {})):
        assert client.post(f"messages/{message_id}/look-up", headers=headers).status_code == 403


def test_a_message_of_an_account_without_a_connection_is_not_looked_up(client_of, write_message):
    message_id = write_message("in_doubt", key="its key")
    answer = client_of("admin").post(f"messages/{message_id}/look-up", headers=FROM_PAGE)
    assert answer.status_code == 503
    assert "no connection of [dialogtech] conn_ids belongs to the account" in answer.json()["detail"]
