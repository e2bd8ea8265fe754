"""The outcome of a message is recorded whatever happens to the journal while its request waits for the reply."""

import logging
import os
import resource
import shutil
import tempfile
import threading
import time
from functools import lru_cache, partial
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from airflow_provider_dialogtech.exceptions import InDoubt
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.schema import messages
from tests.delivery.delivering import a_client, a_journal, a_message, a_sender, run
from tests.journal.looking import change, rows

A_WHILE = 2.0


def while_out(client, happen):
    """Let something happen after the request has been answered and before its outcome is recorded."""
    connect = client.connect

    class Call:
        def __init__(self, call):
            self._call = call

        def __enter__(self):
            self._entered = self._call.__enter__()
            return self

        def __exit__(self, *error):
            return self._call.__exit__(*error)

        def send(self, **message):
            try:
                return self._entered.send(**message)
            finally:
                happen()

    client.connect = lambda: Call(connect())
    return client


def loses_the_start(store_url):
    change(store_url, messages.update().where(messages.c.key.isnot(None)).values(state="reserved"))


def loses_the_row(store_url):
    change(store_url, messages.delete())


def loses_the_start_and_lets_a_retry_find_nothing(store_url):
    change(store_url, messages.update().where(messages.c.key.isnot(None)).values(state="released"))


def current(store_url):
    """The rows of the newest attempts: on a busy machine an earlier one may have lost its slot."""
    return [row for row in rows(store_url) if row.key is not None]


LOST = {
    "the start": loses_the_start,
    "the row": loses_the_row,
    "the start, and another message displaced it": loses_the_start_and_lets_a_retry_find_nothing,
}


@pytest.mark.parametrize("lost", LOST)
def test_what_the_journal_has_lost_of_a_sent_message_is_recorded_all_the_same(sandbox, store_url, lost, caplog):
    """As after a crash with synchronous_commit = off, or a fail-over to a standby that is behind."""
    client = while_out(a_client(sandbox), partial(LOST[lost], store_url))
    assert a_sender(sandbox, store_url, client=client).send(a_message(sandbox), key="k").status == "sent"
    (warning,) = [each for each in caplog.records if "had lost" in each.getMessage()]
    assert warning.levelno == logging.WARNING
    assert f"had lost {lost.partition(',')[0]} of the message to …7777, which was sent" in warning.getMessage()
    assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k").status == "already_sent"
    assert len(sandbox.messages()) == 1
    assert [row.state for row in current(store_url)] == ["sent"]


@pytest.fixture
def before_start(monkeypatch):
    """Let something happen between the reservation of a slot and its start."""
    start = MessageJournal.start

    def let(happen):
        def start_after(journal, held, **options):
            happen()
            return start(journal, held, **options)

        monkeypatch.setattr(MessageJournal, "start", start_after)

    return let


@pytest.mark.parametrize(("is_out", "lost"), [(True, loses_the_start), (True, loses_the_row), (False, loses_the_row)])
def test_what_was_recorded_shortly_before_is_recorded_again_where_the_journal_has_lost_it(  # noqa: PLR0917
    sandbox, store_url, caplog, before_start, is_out, lost
):
    """A standby was a second behind. Seen: the retry sent the 39 messages again that were recorded in that second."""
    client = a_client(sandbox)
    sender = a_sender(sandbox, store_url, client=client)
    sandbox.fault("reset_after_accept", times=1)
    with pytest.raises(InDoubt):
        sender.send(a_message(sandbox, "in doubt"), key="in doubt")
    keys = [str(n) for n in range(3)]
    for key in keys[:-1]:
        assert sender.send(a_message(sandbox, key), key=key).status == "sent"
    once = lru_cache(partial(lost, store_url))
    while_out(client, once) if is_out else before_start(once)
    assert sender.send(a_message(sandbox, keys[-1]), key=keys[-1]).status == "sent"
    warned = [each for each in caplog.records if "had lost" in each.getMessage()]
    assert len(warned) == len(keys) + is_out
    retry = a_sender(sandbox, store_url)
    assert [retry.send(a_message(sandbox, key), key=key).status for key in keys] == ["already_sent"] * len(keys)
    with pytest.raises(InDoubt):
        retry.send(a_message(sandbox, "in doubt"), key="in doubt")
    assert len(sandbox.messages()) == len(keys) + 1


@pytest.mark.parametrize("lost", LOST)
def test_a_refusal_that_the_journal_has_lost_is_recorded_and_frees_the_key(sandbox, store_url, lost):
    sandbox.fault("refused", times=1)
    client = while_out(a_client(sandbox), partial(LOST[lost], store_url))
    with pytest.raises(Exception, match="was not sent"):
        a_sender(sandbox, store_url, client=client).send(a_message(sandbox), key="k")
    assert [row.state for row in current(store_url)] == ["refused"]
    assert a_sender(sandbox, store_url).send(a_message(sandbox), key="k").status == "sent"


@pytest.mark.parametrize("lost", [loses_the_start, loses_the_row])
def test_a_retry_that_waits_for_its_slot_finds_what_was_brought_back(sandbox, store_url, lost):
    """It has found nothing, or a reservation that seemed to be abandoned, and has not left yet."""
    journal = a_journal(sandbox, store_url)
    held = journal.reserve(a_request(sandbox))
    lost(store_url)
    retry = journal.reserve(a_request(sandbox))
    assert retry.owner != held.owner
    journal.bring_back(a_request(sandbox), held, "sent", {"result": "success"})
    assert not journal.start(retry, request_timeout=30)
    found = journal.reserve(a_request(sandbox), after=retry)
    assert (found.state, found.outcome) == ("sent", {"result": "success"})


def test_a_retry_that_has_left_meanwhile_keeps_the_key_and_both_are_recorded(sandbox, store_url):
    """A limit that docs/guarantees.md names: what the journal lost was sent twice by then."""
    journal = a_journal(sandbox, store_url)
    held = journal.reserve(a_request(sandbox))
    loses_the_start(store_url)
    retry = journal.reserve(a_request(sandbox))
    change(store_url, messages.update().where(messages.c.owner == retry.owner).values(state="sending"))
    journal.bring_back(a_request(sandbox), held, "sent", {})
    assert journal.settle(retry, "sent", {})
    assert [(row.state, row.key is not None) for row in rows(store_url)] == [("sent", False), ("sent", True)]


def test_a_key_that_a_retry_has_taken_and_given_up_comes_back_to_what_was_sent(sandbox, store_url):
    journal = a_journal(sandbox, store_url)
    held = journal.reserve(a_request(sandbox))
    change(store_url, messages.update().values(state="released", key=None))
    journal.bring_back(a_request(sandbox), held, "sent", {})
    assert journal.reserve(a_request(sandbox)).state == "sent"


@pytest.mark.parametrize(("lose", "lost"), [(loses_the_row, "the row"), (loses_the_start, "the start")])
def test_what_was_lost_is_recorded_once_though_the_answer_is_lost(sandbox, store_url, lose, lost):
    """Each step may be tried twice."""
    journal = a_journal(sandbox, store_url)
    held = journal.reserve(a_request(sandbox))
    lose(store_url)
    assert journal.bring_back(a_request(sandbox), held, "sent", {}) == lost
    journal.bring_back(a_request(sandbox), held, "sent", {})
    assert [(row.state, row.key is not None) for row in rows(store_url)] == [("sent", True)]


def a_request(sandbox):
    from airflow_provider_dialogtech.journal.records import SlotRequest

    return SlotRequest("k", sandbox.numbers, "5556667777", "Hello")


def test_what_a_person_said_meanwhile_is_no_loss_of_the_journal(sandbox, store_url, caplog):
    """A reply never came; somebody looked the message up and resolved it before this process gave up on it."""
    sandbox.fault("reset_after_accept", times=1)

    def resolve():
        resolved = messages.update().where(messages.c.key.isnot(None))
        change(store_url, resolved.values(state="sent", detail='{"settled_by": "somebody"}'))

    client = while_out(a_client(sandbox), resolve)
    with pytest.raises(Exception, match="may have been sent"):
        a_sender(sandbox, store_url, client=client).send(a_message(sandbox), key="k")
    assert "had lost" not in caplog.text
    assert [(row.state, row.detail) for row in current(store_url)] == [("sent", '{"settled_by": "somebody"}')]


# What goes wrong with the file, for a while. A process of its own may do that to itself alone.


def fill_the_disk(_folder):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def rename_the_folder(folder):
    away = folder.with_name(f"{folder.name} is away")
    folder.rename(away)
    return lambda: away.rename(folder)


def forbid_writing(folder):
    journal = folder / "journal.db"
    journal.chmod(0o400)
    folder.chmod(0o500)

    def allow():
        folder.chmod(0o700)
        journal.chmod(0o600)

    return allow


@pytest.fixture
def folder():
    """A folder that belongs to somebody who may not write where it is forbidden: root may."""
    place = Path(tempfile.mkdtemp(prefix="dialogtech-faults-"))
    place.chmod(0o755)
    inside = place / "journal"
    inside.mkdir()
    if os.geteuid() == 0:
        os.chown(place, 65534, 65534)
        os.chown(inside, 65534, 65534)
    yield inside
    shutil.rmtree(place)


def send_while(sandbox, folder, go_wrong):
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    mended = threading.Event()

    def happen():
        mend = go_wrong(folder)

        def come_back():
            mend()
            mended.set()

        threading.Timer(A_WHILE, come_back).start()

    client = while_out(a_client(sandbox), happen)
    begun = time.monotonic()
    result = a_sender(sandbox, f"sqlite:///{folder / 'journal.db'}", client=client).send(a_message(sandbox), key="k")
    assert result.status == "sent"
    assert mended.is_set()
    assert time.monotonic() - begun >= A_WHILE


@pytest.mark.parametrize("go_wrong", [fill_the_disk, rename_the_folder, forbid_writing])
def test_the_outcome_is_recorded_once_the_file_can_be_written_again(sandbox, folder, go_wrong):
    assert run(send_while, sandbox, folder, go_wrong) == 0
    assert [row.state for row in current(f"sqlite:///{folder / 'journal.db'}")] == ["sent"]


@pytest.fixture
def rotating(postgres, postgres_url):
    """A role with a password, what changes that, and the URL with the newest one."""
    name = f"rotating_{make_url(postgres_url).database}"
    access = Path(postgres.pgdata) / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"local all {name} scram-sha-256\nhost all {name} all scram-sha-256\n{before}")
    postgres.psql(f"CREATE ROLE {name} LOGIN PASSWORD 'first'")
    postgres.psql(f"ALTER DATABASE {make_url(postgres_url).database} OWNER TO {name}")
    postgres.psql("SELECT pg_reload_conf()")
    passwords = ["first"]
    end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{name}'"  # noqa: S608

    def rotate():
        postgres.psql(f"ALTER ROLE {name} PASSWORD 'second'")
        passwords.append("second")
        postgres.psql(end)

    def url():
        return make_url(postgres_url).set(username=name, password=passwords[-1])

    yield url, rotate
    postgres.psql(end)
    postgres.psql(f"ALTER DATABASE {make_url(postgres_url).database} OWNER TO CURRENT_USER")
    access.write_text(before)
    postgres.psql("SELECT pg_reload_conf()")


def test_the_outcome_is_recorded_with_the_password_that_was_rotated_meanwhile(sandbox, rotating, postgres_url):
    url, rotate = rotating
    client = while_out(a_client(sandbox), rotate)
    assert a_sender(sandbox, url, client=client).send(a_message(sandbox), key="k").status == "sent"
    assert [row.state for row in current(postgres_url)] == ["sent"]
    assert a_sender(sandbox, url).send(a_message(sandbox), key="k").status == "already_sent"


def test_a_rotated_password_holds_up_no_later_message(sandbox, rotating, postgres_url):
    url, rotate = rotating
    sender = a_sender(sandbox, url)
    assert sender.send(a_message(sandbox), key="before").status == "sent"
    rotate()
    assert sender.send(a_message(sandbox), key="after").status == "sent"
