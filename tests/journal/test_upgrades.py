"""Journals that earlier versions have written. Those beside this file were written by `journals/write.py`."""

import multiprocessing
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from airflow_provider_dialogtech.delivery.sender import SmsSender
from airflow_provider_dialogtech.exceptions import InDoubt, JournalUnavailable
from airflow_provider_dialogtech.journal import schema
from airflow_provider_dialogtech.journal.dedup import AlertGate
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.records import SlotRequest, number_name
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import digest
from tests.delivery.delivering import RECIPIENT, a_client, a_message
from tests.journal.looking import database, rows

JOURNALS = Path(__file__).parent / "journals"
ACCOUNT = digest("account", "access")
NUMBERS = ("5554332111", "5554332112")
# Everything in the journals that is a time.
TIMES = {
    "dialogtech_messages": ("at", "deadline", "created", "updated"),
    "dialogtech_accounts": ("widened_until", "paused_until"),
    "dialogtech_alerts": ("claimed_at", "cooldown_ends", "reported_since", "suppressed_since", "failing_since"),
    "dialogtech_alert_grants": ("at",),
}
HOUR = timedelta(hours=1)


def load(version, store_url):
    """Put the journal that a version has written where the URL says."""
    parsed = make_url(store_url)
    if parsed.get_backend_name() == "sqlite":
        shutil.copy(JOURNALS / f"{version}.db", parsed.database)
    else:
        with database(store_url) as connection:
            connection.exec_driver_sql((JOURNALS / f"{version}.sql").read_text())
    age_to(store_url, 3.0)


def age_to(store_url, seconds):
    """Shift all times, so that the journal was last written so many seconds ago."""
    with database(store_url) as connection:
        last = connection.exec_driver_sql("SELECT max(updated) FROM dialogtech_messages").scalar()
        by = time.time() - seconds - last
        for name, columns in TIMES.items():
            table = schema.metadata.tables[name]
            connection.execute(table.update().values({column: table.c[column] + by for column in columns}))


@pytest.fixture(params=["1.0", "1.1"])
def old_journal(request, store_url):
    """The URL of a journal that a release wrote 3 seconds ago, as that release left it."""
    load(request.param, store_url)
    return store_url


@pytest.fixture
def older_journal(store_url):
    """The URL of a journal from before columns were added."""
    load("1.0", store_url)
    return store_url


def a_sender(sandbox, store_url):
    return SmsSender(a_client(sandbox), MessageJournal(Store(store_url), ACCOUNT, RateLimits()))


def send(sandbox, store_url, key, **options):
    message = a_message(sandbox, numbers=sandbox.numbers[:2])
    return a_sender(sandbox, store_url).send(message, key=key, **options)


def schema_of(store_url):
    """Return everything of a journal that its tables are made of."""
    with database(store_url) as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                "columns": [
                    (column["name"], str(column["type"]), column["nullable"], column["default"])
                    for column in inspector.get_columns(table)
                ],
                "key": inspector.get_pk_constraint(table)["constrained_columns"],
                "unique": sorted(str(unique["column_names"]) for unique in inspector.get_unique_constraints(table)),
                "indexes": sorted(
                    (index["name"], index["column_names"], index["unique"]) for index in inspector.get_indexes(table)
                ),
            }
            for table in inspector.get_table_names()
        }


def opened(store_url):
    journal = MessageJournal(Store(store_url), ACCOUNT, RateLimits())
    journal.find("whatever")
    return journal


def test_what_an_earlier_version_has_sent_counts_as_sent(old_journal, sandbox):
    result = send(sandbox, old_journal, "sent")
    assert result.status == "already_sent"
    assert (result.to, result.from_, result.segments, result.encoding) == ("…7777", "…2111", 1, "GSM-7")
    assert result.result_description == "[1] Message Sent"
    assert result.sent_at.startswith("2026-")
    assert "<result>success</result>" in result.xml
    assert sandbox.messages() == []


def test_what_was_in_doubt_stays_in_doubt_until_a_person_decides(old_journal, sandbox):
    with pytest.raises(InDoubt, match="may have been sent") as raised:
        send(sandbox, old_journal, "in_doubt")
    assert raised.value.key == "in_doubt"
    assert sandbox.messages() == []
    assert send(sandbox, old_journal, "in_doubt", in_doubt="resend").status == "sent"


def test_a_message_that_an_earlier_version_is_sending_is_waited_for_and_then_in_doubt(store_url, sandbox):
    load("1.0", store_url)
    assert opened(store_url).find("sending").undecided_for == pytest.approx(31, abs=4)
    age_to(store_url, 40)
    with pytest.raises(InDoubt):
        send(sandbox, store_url, "sending")
    assert sandbox.messages() == []


@pytest.mark.parametrize("state", ["refused", "throttled", "reserved"])
def test_what_an_earlier_version_has_not_sent_is_sent_once(old_journal, sandbox, state):
    assert send(sandbox, old_journal, state).status == "sent"
    assert send(sandbox, old_journal, state).status == "already_sent"
    assert len(sandbox.accepted()) == 1


def test_the_messages_of_an_earlier_version_count_in_the_windows(old_journal, sandbox):
    opened(old_journal)
    used = [
        row for row in rows(old_journal) if row.number == number_name(ACCOUNT, NUMBERS[0]) and row.state != "reserved"
    ]
    first = min(row.at for row in used)
    journal = MessageJournal(Store(old_journal), ACCOUNT, RateLimits(number_per_minute=len(used), alert_reserve=0))
    held = journal.reserve(SlotRequest("another", NUMBERS[:1], RECIPIENT, "Hello"))
    assert first + 60 < held.at < first + 61


def test_the_cooldown_of_an_alert_holds(old_journal):
    gate = AlertGate(Store(old_journal), ACCOUNT)
    assert gate.decide("told", RECIPIENT, HOUR).claim is None
    assert gate.decide("told", RECIPIENT, None).claim.suppressed == 2


def test_an_alert_that_was_given_back_is_sent_and_counts_the_one_before(old_journal):
    claim = AlertGate(Store(old_journal), ACCOUNT).decide("given back", RECIPIENT, HOUR).claim
    assert claim.suppressed == 1
    assert claim.since is not None


def test_the_budget_of_a_recipient_counts_the_alerts_of_an_earlier_version(old_journal):
    gate = AlertGate(Store(old_journal), ACCOUNT, budget=2)
    assert gate.decide("a new one", RECIPIENT, HOUR).claim.is_last
    assert gate.decide("another", RECIPIENT, HOUR).claim is None


def test_an_upgraded_journal_is_made_as_a_fresh_one_is(older_journal, tmp_path, request):
    is_file = older_journal.startswith("sqlite")
    fresh = f"sqlite:///{tmp_path / 'fresh.db'}" if is_file else another_database(request, older_journal)
    assert schema_of(older_journal) != schema_of(fresh)
    opened(fresh)
    opened(older_journal)
    assert schema_of(older_journal) == schema_of(fresh)


def another_database(request, store_url):
    name = make_url(store_url).database
    request.getfixturevalue("postgres").psql(f"CREATE DATABASE {name}_fresh")
    return store_url.replace(f"/{name}?", f"/{name}_fresh?")


def test_an_upgrade_changes_no_row(older_journal):
    before = contents(older_journal)
    opened(older_journal)
    after = contents(older_journal)
    added = {table: len(found[0]) - len(before[table][0]) for table, found in after.items()}
    assert {table: [row[: len(row) - added[table]] for row in found] for table, found in after.items()} == before
    assert {table for table, columns in added.items() if columns} == {"dialogtech_messages", "dialogtech_accounts"}


def contents(store_url):
    with database(store_url) as connection:
        return {
            name: sorted(tuple(row) for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(name))))
            for name in TIMES
        }


def test_a_journal_that_was_upgraded_is_not_told_as_a_new_one(older_journal, caplog):
    opened(older_journal)
    assert "new delivery journal" not in caplog.text


@pytest.mark.parametrize(("version", "messages"), [("1.0", 7), (None, 0)], ids=["upgrade", "create"])
def test_eight_processes_at_once_create_or_upgrade_a_journal_once(store_url, monkeypatch, version, messages):
    """Whoever does it goes on only when all the others wait for it, or one has come as far."""
    if version is not None:
        load(version, store_url)
    fork = multiprocessing.get_context("fork")
    ready, results, begun = fork.Barrier(8), fork.SimpleQueue(), fork.Value("i")
    create_or_upgrade = schema.create_or_upgrade

    def beside_the_others(connection):
        with begun.get_lock():
            begun.value += 1
        until = time.monotonic() + 60
        while begun.value == 1 and waiting_for_a_lock(store_url) < 7 and time.monotonic() < until:
            time.sleep(0.01)
        return create_or_upgrade(connection)

    monkeypatch.setattr(schema, "create_or_upgrade", beside_the_others)
    workers = [fork.Process(target=open_with_others, args=(store_url, ready, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    assert [results.get() for _ in workers] == ["opened"] * 8
    for worker in workers:
        worker.join()
    assert begun.value == 1
    assert len(rows(store_url)) == messages
    if not store_url.startswith("sqlite"):
        assert [row.version for row in versions(store_url)] == [schema.VERSION]


def waiting_for_a_lock(store_url):
    """Return how many processes wait for a lock on the whole journal. In a file, all wait by what SQLite does."""
    if store_url.startswith("sqlite"):
        return 7
    with database(store_url) as connection:
        return connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).scalar()


def open_with_others(store_url, ready, results):
    try:
        store = Store(store_url)
        ready.wait(60)
        store.open()
        results.put("opened")
    except Exception as error:  # it is shown where the results are compared
        results.put(repr(error))


def versions(store_url):
    with database(store_url) as connection:
        return connection.execute(sa.select(schema.journal_version)).all()


@pytest.fixture
def role(postgres, postgres_url):
    """Make a role that may read and write the journal's tables, and no more."""
    name = f"writer_of_{make_url(postgres_url).database}"
    with database(postgres_url) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'pa55'")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")

    def grant():
        with database(postgres_url) as connection:
            connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
            connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")
        return str(make_url(postgres_url).set(username=name, password="pa55").render_as_string(hide_password=False))

    yield grant
    with database(postgres_url) as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_that_may_create_nothing_uses_an_upgraded_journal(role, postgres_url, sandbox):
    load("1.0", postgres_url)
    opened(postgres_url)
    limited = role()
    assert send(sandbox, limited, "sent").status == "already_sent"
    assert send(sandbox, limited, "new").status == "sent"


def test_a_role_that_may_create_nothing_is_told_that_it_cannot_upgrade_a_journal(role, postgres_url):
    load("1.0", postgres_url)
    limited = role()
    with pytest.raises(JournalUnavailable, match=r"not sent.*upgraded.*denied.*as their owner") as raised:
        MessageJournal(Store(limited, patience=60), ACCOUNT, RateLimits()).find("sent")
    assert "pa55" not in str(raised.value)
    assert opened(postgres_url).find("sent").state == "sent"


def test_a_role_that_may_only_read_is_told_which_rights_it_needs(role, postgres_url):
    opened(postgres_url)
    limited = role()
    with database(postgres_url) as connection:
        connection.exec_driver_sql(f"REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM {make_url(limited).username}")
    with pytest.raises(JournalUnavailable, match=r"not sent.*denied a right.*USAGE on its sequence"):
        opened(limited).reserve(SlotRequest("new", NUMBERS, RECIPIENT, "Hello"))


def test_the_rights_in_the_docs_are_enough_and_no_more(postgres_url, sandbox):
    docs = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
    granting = re.search(r"runs this -->\n```sql\n(.*?)```", docs, re.DOTALL).group(1)
    suffix = make_url(postgres_url).database
    for role_name in ("dialogtech_owner", "dialogtech_writer"):
        granting = granting.replace(role_name, f"{role_name}_{suffix}")  # roles belong to the server, not the database
    with database(postgres_url) as connection:
        connection.exec_driver_sql(granting)
    owner, writer = (
        make_url(postgres_url)
        .set(username=f"{name}_{suffix}", password="choose one")
        .render_as_string(hide_password=False)
        for name in ("dialogtech_owner", "dialogtech_writer")
    )
    with pytest.raises(JournalUnavailable, match="as their owner"):
        opened(writer)
    Store(owner).open()
    assert send(sandbox, writer, "key").status == "sent"
    assert send(sandbox, writer, "key").status == "already_sent"
    assert AlertGate(Store(writer), ACCOUNT).decide("alert", RECIPIENT, HOUR).claim is not None
    with pytest.raises(sa.exc.ProgrammingError), database(writer) as connection:
        connection.exec_driver_sql("DROP TABLE dialogtech_messages")


def test_a_journal_of_a_newer_major_version_is_refused_by_name(store_url):
    opened(store_url)
    with database(store_url) as connection:
        newer = (schema.MAJOR + 1) * 100
        if store_url.startswith("sqlite"):
            connection.exec_driver_sql(f"PRAGMA user_version={newer}")
        else:
            connection.execute(schema.journal_version.update().values(version=newer))
    with pytest.raises(JournalUnavailable) as raised:
        open_in_a_process(store_url)
    told = str(raised.value)
    assert told.startswith("The message was not sent")
    assert f"journal version {schema.MAJOR + 1}, this one reads {schema.MAJOR}" in told
    assert "Upgrade airflow-provider-dialogtech" in told


def test_a_journal_of_a_newer_minor_version_is_used_as_it_is(store_url):
    opened(store_url)
    with database(store_url) as connection:
        newer = schema.VERSION + 1
        connection.exec_driver_sql(
            "ALTER TABLE dialogtech_messages ADD COLUMN of_the_future INTEGER DEFAULT 1 NOT NULL"
        )
        if store_url.startswith("sqlite"):
            connection.exec_driver_sql(f"PRAGMA user_version={newer}")
        else:
            connection.execute(schema.journal_version.update().values(version=newer))
    open_in_a_process(store_url)


def open_in_a_process(store_url):
    """Open the journal in a process that has no connection to it yet."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(opened_there, (store_url,))


def opened_there(store_url):
    opened(store_url)
