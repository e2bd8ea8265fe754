"""The shared journal does not answer: the alert is sent, and the abandoned attempt does no harm later."""

import multiprocessing
import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.alerts import journals as fallback
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.schema import accounts, alert_grants, alerts, messages
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from tests.alerts.conftest import bodies, failure
from tests.journal.looking import change, rows
from tests.proxies.conftest import own_server
from tests.proxies.pooler import running_pooler
from tests.proxies.sqlite import locked
from tests.proxies.tcp import running_proxy

__all__ = ["own_server"]

# The longest that a callback is documented to take. The journal stays silent until the process has ended.
OUT_WITHIN = 45.0
ENDS_WITHIN = 60.0
YEAR = 365 * 86400.0

_fork = multiprocessing.get_context("fork")


@pytest.fixture
def shared_journal(monkeypatch):
    def use(url):
        monkeypatch.setenv("AIRFLOW__DIALOGTECH__JOURNAL_URL", url)
        return url

    return use


@contextmanager
def frozen(server):
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def paused(pooler):
    pooler.pause()
    try:
        yield
    finally:
        pooler.resume()


@contextmanager
def stalled(proxy):
    proxy.stall()
    try:
        yield
    finally:
        proxy.resume()


@pytest.fixture(params=["a frozen PostgreSQL", "a paused pooler", "a stalled network", "a locked file"])
def silence(request, shared_journal, tmp_path):
    """A journal in use, and a block in which it does not answer."""
    if request.param == "a locked file":
        shared_journal(f"sqlite:///{tmp_path / 'shared.db'}")
        yield lambda: locked(tmp_path / "shared.db")
        return
    server = request.getfixturevalue("own_server")
    url = server.new_database()
    if request.param == "a frozen PostgreSQL":
        shared_journal(url)
        yield lambda: frozen(server)
    elif request.param == "a paused pooler":
        with running_pooler(url) as pooler:
            shared_journal(pooler.url)
            yield lambda: paused(pooler)
    else:
        with running_proxy(url) as proxy:
            shared_journal(proxy.url)
            yield lambda: stalled(proxy)


@pytest.mark.parametrize("is_connected", [True, False])
def test_the_message_is_out_all_the_same_and_the_process_ends(sandbox, alerting, silence, is_connected, caplog):
    DialogTechSmsNotifier("first", dedup_key="first")(failure())  # there is a journal

    def work(pipe):
        if is_connected:
            DialogTechSmsNotifier("second", dedup_key="second")(failure())
        pipe.send("ready")
        pipe.recv()
        pipe.send(time.time())
        DialogTechSmsNotifier("hello")(failure())

    here, there = _fork.Pipe()
    process = _fork.Process(target=work, args=(there,))
    process.start()
    assert here.poll(60)
    here.recv()
    with silence():
        here.send("go")
        called = here.recv()
        process.join(ENDS_WITHIN)
        assert process.exitcode == 0
    arrived = [sms["at"] for sms in sandbox.accepted() if sms["message"] == "hello"]
    assert len(arrived) == 1
    assert arrived[0] - called < OUT_WITHIN
    # Later alerts use the shared journal again.
    caplog.clear()
    DialogTechSmsNotifier("hello")(failure())
    DialogTechSmsNotifier("another", dedup_key="another")(failure())
    assert len(bodies(sandbox)) == (5 if is_connected else 4)
    assert "another journal" not in caplog.text


@pytest.mark.parametrize("asked", [(AlertGate, "decide"), (MessageJournal, "reserve"), (MessageJournal, "start")])
@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.usefixtures("alerting")
def test_an_abandoned_attempt_sends_nothing_and_suppresses_nothing(sandbox, monkeypatch, asked, is_done):
    kind, step = asked
    original, answer, left_behind = getattr(kind, step), threading.Event(), []

    def silent(*args, **options):
        left_behind.append(threading.current_thread())
        if not is_done:
            answer.wait(30)
        found = original(*args, **options)
        answer.wait(30)
        return found

    def open_another():
        monkeypatch.setattr(kind, step, original)
        return fallback.journal_in_airflow_home()

    monkeypatch.setattr(kind, step, silent)
    journals = (
        fallback.Journal("the shared journal", fallback.shared_journal, 2.0),
        fallback.Journal("another journal", open_another, 20.0),
    )
    monkeypatch.setattr(fallback, "JOURNALS", journals)
    DialogTechSmsNotifier("hello")(failure())
    assert bodies(sandbox) == ["hello"]
    answer.set()
    left_behind[0].join(30)
    assert not left_behind[0].is_alive()
    assert bodies(sandbox) == ["hello"]
    monkeypatch.setattr(fallback, "JOURNALS", [journals[0]._replace(seconds=60.0)])
    DialogTechSmsNotifier("hello")(failure())
    sent = bodies(sandbox)
    assert len(sent) == 2
    assert sent[1].startswith("hello")


@pytest.fixture
def a_patient_alert(monkeypatch):
    """However busy the machine is, no alert leaves this journal for another one."""
    monkeypatch.setattr(fallback, "JOURNALS", [fallback.JOURNALS[0]._replace(seconds=60.0)])
    monkeypatch.setattr(fallback, "PATIENCE", 60.0)
    monkeypatch.setattr(fallback, "RETRY_FOR", 60.0)


@pytest.mark.parametrize("cooldown", [900, None])
@pytest.mark.usefixtures("alerting", "a_patient_alert")
def test_an_alert_whose_claim_lost_its_answer_is_sent_once_and_uses_its_budget_once(
    sandbox, shared_journal, own_server, cooldown, caplog
):
    url = own_server.new_database()
    with running_proxy(url) as proxy:
        shared_journal(proxy.url)
        DialogTechSmsNotifier("first", dedup_key="first")(failure())
        proxy.cut_after_commit(only="dialogtech_alerts", probability=0.5, seed=7)
        for number in range(8):
            DialogTechSmsNotifier(f"alert {number}", dedup_key=str(number), cooldown=cooldown)(failure())
        assert proxy.counts().cuts >= 2
    assert bodies(sandbox) == ["first", *(f"alert {number}" for number in range(8))]
    assert len(rows(url, alert_grants)) == 9
    assert "another journal" not in caplog.text


def test_a_clock_briefly_a_year_ahead_delays_no_alert(sandbox, alerting, shared_journal, store_url):
    shared_journal(store_url)
    for number in range(3):
        DialogTechSmsNotifier("hello", dedup_key=str(number))(failure())
    for table in (messages, alerts, alert_grants):
        times = [column for column in table.c if isinstance(column.type, sa.Float)]
        change(store_url, table.update().values({column: column + YEAR for column in times}))
    change(store_url, accounts.update().values(paused_until=time.time() + YEAR, widened_until=time.time() + YEAR))
    called = time.time()
    for number in range(3):
        DialogTechSmsNotifier("again", dedup_key=str(number))(failure())
    arrived = [sms["at"] for sms in sandbox.accepted()]
    assert len(arrived) == 6
    assert arrived[-1] - called < 60
