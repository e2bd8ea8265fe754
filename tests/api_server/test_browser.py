"""The page in a real Chromium, alone and in a frame like that of Airflow's UI."""

import threading
import time

import pytest

from airflow_provider_dialogtech.operations.messages import Messages
from tests.programs import require
from tests.sandbox.browser import running_chromium

# As in Airflow 3.3: the frame may not navigate the window around it.
FRAME = '<iframe src="/dialogtech/" sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"></iframe>'


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    require("chromium")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def address(airflow_app, auth_manager):
    """The address of a server with the page, and a route that logs an admin in."""
    import uvicorn
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.responses import HTMLResponse

    token = auth_manager.generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))

    def airflow_s_ui():
        answer = HTMLResponse(f"<!doctype html><body>{FRAME}")
        answer.set_cookie("_token", token)
        return answer

    airflow_app.get("/plugin/dialogtech_messages")(airflow_s_ui)
    server = uvicorn.Server(uvicorn.Config(airflow_app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (listening,) = server.servers[0].sockets
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    server.force_exit = True
    thread.join()


def in_frame(script):
    """Return a script that runs in the frame; until there is one, its value is null."""
    return f"((document) => document && ({script}))(document.querySelector('iframe')?.contentDocument)"


@pytest.fixture
def frame(chromium, address):
    """Open the page in Airflow's frame, with a query in the outer address."""

    def opening(query=""):
        chromium.open(f"{address}/plugin/dialogtech_messages{query}")
        chromium.wait_for(in_frame("document.querySelector('#live')?.innerText.startsWith('Live')"))
        return chromium

    return opening


NAMES = {"dag_id": "a_dag_with_a_very_long_name_of_many_words", "task_id": "a_group.another_group.the_task_of_them_all"}
# The words of each name that a line ends within.
BROKEN = """
[...document.querySelectorAll('td.task a, td.task .run')].flatMap((name) => [...name.childNodes]).filter((part) => {
  const range = document.createRange();
  range.selectNodeContents(part);
  return part.nodeType === Node.TEXT_NODE && range.getClientRects().length > 1;
}).map((part) => part.data)
"""


def test_no_word_breaks_inside(frame, write_message, chromium):
    write_message("in_doubt", key="its key", **NAMES, run_id="manual__2026-11-30T16:00:00+00:00")
    page = frame()
    for width in (1180, 800, 390):
        page.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=width < 600
        )
        page.evaluate("document.querySelector('iframe').style.width = '95vw'")
        assert page.evaluate(in_frame(BROKEN)) == []
        lines = "[...document.querySelectorAll('td button, .state')].map((one) => one.getClientRects().length)"
        assert set(page.evaluate(in_frame(lines))) == {1}


def test_a_task_opens_within_airflow_s_ui(frame, write_message):
    write_message(run_id="a run")
    page = frame()
    page.evaluate("addEventListener('popstate', () => { window.routed = location.pathname; })")
    page.evaluate(in_frame("document.querySelector('td.task a').click()"))
    page.wait_for("window.routed === '/dags/etl/runs/a%20run/tasks/load'")


def test_a_task_s_link_shows_its_messages_in_airflow_s_frame(chromium, address, write_message, frame):
    write_message(task_id="another")
    write_message(task_id="pay")
    frame()  # logs in
    chromium.open(f"{address}/dialogtech/?task_id=pay&hours=168")
    chromium.wait_for(in_frame("document.querySelectorAll('tbody tr').length === 1"))
    assert chromium.evaluate("location.pathname") == "/plugin/dialogtech_messages"
    assert "etl.pay" in chromium.evaluate(in_frame("document.querySelector('td.task').innerText"))
    assert chromium.evaluate(in_frame("document.forms.filters.hours.value")) == "168"


DIALOG = (
    "[...document.querySelectorAll('dialog button')].filter((one) => one.checkVisibility()).map((one) => one.value)"
)


def test_looking_up_comes_first_where_it_is_allowed(frame, write_message, monkeypatch):
    write_message("in_doubt", key="its key")
    for value, expected in (("Disabled", ["sent", "unsent", ""]), ("Enabled", ["look-up", "sent", "unsent", ""])):
        monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", value)
        page = frame()
        page.evaluate(in_frame("document.querySelector('td button').click()"))
        assert page.evaluate(in_frame(DIALOG)) == expected


def test_a_refusal_is_shown_where_the_user_looks(frame, write_message, journal):
    message_id = write_message("in_doubt", key="its key")
    page = frame()
    page.evaluate(in_frame("document.querySelector('td button').click()"))
    assert Messages(journal).resolve(message_id, "sent", by="another person")
    page.evaluate(in_frame("document.querySelector('dialog button[value=unsent]').click()"))
    page.wait_for(in_frame("document.getElementById('problem').innerText.includes('no longer in doubt')"))
