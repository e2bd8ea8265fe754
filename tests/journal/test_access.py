"""A journal in a database of others: another schema, arguments of the driver, a password that is asked each time."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.journal import postgres
from airflow_provider_dialogtech.journal.backend import Access, Statement
from airflow_provider_dialogtech.journal.journal import MessageJournal
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.journal.statements import NOW
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.operations.messages import Messages
from tests.delivery.attacking import with_driver
from tests.journal.looking import change, database
from tests.journal.test_journal import ACCOUNT, a_request, send
from tests.proxies.pooler import running_pooler

SCHEMA = "air\"flow s's"
"""A schema whose name must be quoted everywhere."""
OURS = "SELECT schemaname, count(*) FROM pg_tables WHERE tablename LIKE 'dialogtech%' GROUP BY 1"

pytestmark = pytest.mark.usefixtures("no_slot_is_missed")


@pytest.fixture
def schema(postgres_url):
    quoted = SCHEMA.replace('"', '""')
    change(postgres_url, text(f'CREATE SCHEMA "{quoted}"'))
    yield SCHEMA
    change(postgres_url, text(f'DROP SCHEMA "{quoted}" CASCADE'))


def schemas(url):
    with database(url) as connection:
        return dict(map(tuple, connection.execute(text(OURS))))


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
@pytest.mark.parametrize("behind", ["nothing", "a pooler"])
def test_a_journal_in_another_schema_stays_there(postgres_url, schema, driver, behind):
    url, access = with_driver(postgres_url, driver), Access(schema=schema)
    journal = MessageJournal(Store(url, access=access), ACCOUNT, RateLimits())
    if behind == "nothing":
        steps(journal, url, access)
    else:
        with running_pooler(url) as pooler:
            steps(MessageJournal(Store(pooler.url, access=access), ACCOUNT, RateLimits()), pooler.url, access)
    assert schemas(postgres_url) == {schema: 5}


def steps(journal, url, access):
    """Do with a journal what senders, people and the scheduler do."""
    send(journal)
    assert journal.reserve(a_request()).state == "sent"
    Store(url, access=access).open()
    messages = Messages(Store(url, access=access))
    assert [message.state for message in messages.list(since=3600)] == ["sent"]
    messages.prune(timedelta(days=1))


def test_a_journal_in_another_schema_is_upgraded_there(postgres_url, schema, monkeypatch):
    access = Access(schema=schema)
    Store(postgres_url, access=access).open()
    quoted = schema.replace('"', '""')
    change(postgres_url, text(f'ALTER TABLE "{quoted}".dialogtech_messages DROP COLUMN loop_index'))
    change(postgres_url, text(f'UPDATE "{quoted}".dialogtech_journal SET version = 100'))  # noqa: S608
    postgres.PostgresBackend(lambda: postgres_url, Store(postgres_url).clock, timeout=30, access=access).close()
    column = "SELECT table_schema FROM information_schema.columns WHERE column_name = 'loop_index'"
    with database(postgres_url) as connection:
        assert connection.execute(text(column)).scalars().all() == [schema]


def test_two_schemas_of_one_database_are_two_journals(postgres_url, schema):
    send(MessageJournal(Store(postgres_url, access=Access(schema=schema)), ACCOUNT, RateLimits()))
    assert MessageJournal(Store(postgres_url), ACCOUNT, RateLimits()).find("key") is None


def test_the_drivers_arguments_are_passed_on(postgres_url):
    access = Access(connect_args={"application_name": "as Airflow's own", "connect_timeout": 3})
    Store(postgres_url, access=access).open()
    with database(postgres_url) as connection:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'as Airflow''s own'"
        assert connection.execute(text(count)).scalar()


@pytest.mark.parametrize("each_time", [True, False])
def test_a_password_of_minutes_is_asked_for_each_new_connection(postgres_url, each_time):
    asked = []

    def url():
        asked.append("url")
        return make_url(postgres_url).set(password=f"token {len(asked)}")

    store = Store(url, access=Access(is_asked_each_time=each_time, setting=f"asked {each_time}"))
    store.open()
    before = len(asked)
    store._process().close()  # as a connection that is too old is
    store.ask(Statement(NOW, {}))
    assert (len(asked) > before) is each_time


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("mysql://user:pa55@host/db", InvalidConnection, r"\[database\] sql_alchemy_conn must be the SQLAlchemy URL"),
        (
            "postgresql+asyncpg://user:pa55@host/db",
            InvalidConnection,
            r"\[database\] sql_alchemy_conn names the driver",
        ),
        ("postgresql+psycopg2://user:pa55@127.0.0.1:1/db", JournalUnavailable, r"Check \[database\] sql_alchemy_conn"),
    ],
)
def test_errors_name_the_setting_that_named_the_database(url, error, words):
    with pytest.raises(error, match=words) as raised:
        Store(url, patience=0.5, access=Access(setting="[database] sql_alchemy_conn")).open()
    assert "journal_url" not in str(raised.value)
    assert "pa55" not in str(raised.value)
