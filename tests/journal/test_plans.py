"""By which index each statement finds its rows: none walks through a table, except where that is bounded."""

import itertools
import time
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from airflow_provider_dialogtech.journal.backend import ByStore
from airflow_provider_dialogtech.journal.queries import newest
from airflow_provider_dialogtech.journal.schema import metadata
from airflow_provider_dialogtech.journal.statements import STATEMENTS
from airflow_provider_dialogtech.journal.states import State
from tests.journal.filling import DIGEST, fill

# What PostgreSQL reads by an index and then leaves out.
LEFT_OUT = "rows left out"
# Statement, table: why it may read all of it.
BOUNDED = {
    ("before_reserving", LEFT_OUT): "those of the accounts",
    ("before_reserving_for_alert", LEFT_OUT): "those of the accounts",
    ("before_reserving", "dialogtech_accounts"): "one short row for each account",
    ("before_reserving_for_alert", "dialogtech_accounts"): "one short row for each account",
    ("alert_forget_grants", LEFT_OUT): "those of the last ten minutes",
    ("alert_forget_grants", "dialogtech_alert_grants"): "it leaves only those of the last ten minutes",
    ("version_in_postgres", "dialogtech_journal"): "one row",
}
ROWS, MORE_ROWS = 3_000, 24_000
MOST_LEFT_OUT = 300
VALUES = {
    "of_id": 40, "of_account": f"{DIGEST}1", "of_digest": f"{DIGEST}77", "of_number": f"{DIGEST}1", "of_namespace": "",
    "since": 4000 * 86400.0, "most": 201, "retention": 88.9 * 86400.0, "of_recipient": f"{DIGEST}1",
    "id": 10**9, "key": "new", "of_body_key": f"{DIGEST}4", "of_claim": "claim 5", "seen_claim": "claim 5", "by": 5.0,
}  # fmt: skip


def questions(is_file):
    """Return every statement for one store, by its name."""
    kind, other = ("sqlite", "postgres") if is_file else ("postgres", "sqlite")
    found = {
        f"{name} {number}" if number else name: part
        for name, sql in STATEMENTS.items()
        if not name.endswith(other)
        for number, part in enumerate(getattr(sql, kind) if isinstance(sql, ByStore) else [sql])
    }
    for state, dags, run, task in itertools.product([None, *State], *[[False, True]] * 3):
        names = [state or "any", *["of_dags"] * dags, *["of_run"] * run, *["of_task"] * task]
        found[f"newest {' '.join(names)}"] = newest(state, of_dags=dags, of_run=run, of_task=task, in_file=is_file)
    return found


def values_of(sql, dialect, **others):
    given = {**VALUES, "of_key": f"{DIGEST}5", **others}
    compiled = sql.compile(dialect=dialect)
    return {
        name: given[name] if name in given else value if value is not None else _any_of(compiled.binds[name].type)
        for name, value in compiled.params.items()
    }


def _any_of(kind):
    return "" if isinstance(kind, sa.String) else 1 if isinstance(kind, sa.Integer) else 1.0


@contextmanager
def undone(connection):
    """Roll back what is done meanwhile."""
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def plans(url, **names):
    """Yield each statement's name and its plan. PostgreSQL runs it, and says how many rows it left out."""
    engine = sa.create_engine(url, poolclass=NullPool)
    is_file = engine.dialect.name == "sqlite"
    plan = []

    @sa.event.listens_for(engine, "connect")
    def give_clock(raw, _record):
        if is_file:
            raw.create_function("dialogtech_now", 0, time.time)
            raw.create_function("dialogtech_answered_at", 0, time.time)

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def explain(_connection, cursor, sql, parameters, _context, _many):
        cursor.execute(f"EXPLAIN {'QUERY PLAN' if is_file else '(ANALYZE, TIMING OFF)'} {sql}", parameters)
        plan[:] = [row[-1] for row in cursor.fetchall()]
        return "SELECT 1", ()

    with engine.connect() as connection:
        for name, sql in questions(is_file).items():
            with undone(connection):
                connection.execute(sql, values_of(sql, engine.dialect, **names))
            yield name, list(plan)
    engine.dispose()


def tables_read_whole(url):
    """Return which statement reads which table whole, and its plan."""
    names = {"of_dags": ["rare", "dag 3"], "of_dags_as_json": '["rare", "dag 3"]', "of_run": "x", "of_task": "y"}
    found = {}
    for name, plan in plans(url, **names):
        walks = [line for line in plan if line.lstrip(" ->").startswith(("SCAN ", "Seq Scan on "))]
        left_out = sum(int(line.split()[-1]) for line in plan if "Rows Removed by" in line)
        found |= {(name, LEFT_OUT): plan} if left_out > MOST_LEFT_OUT else {}
        found |= {(name, table): plan for table in metadata.tables if any(table in line.split() for line in walks)}
    return found


def test_every_statement_finds_its_rows_by_an_index(store_url):
    fill(store_url, ROWS if store_url.startswith("sqlite") else MORE_ROWS)
    found = tables_read_whole(store_url)
    assert not [f"{name}: {plan}" for name, plan in found.items() if name not in BOUNDED]


def test_sqlite_reads_a_full_minute_from_an_index_alone(tmp_path):
    """The other columns of a row take several times as long, and so does sorting the rows by their number."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    fill(url, ROWS)
    by_number = "COVERING INDEX dialogtech_messages_number_at (account=? AND number=? AND at>?"
    for name, plan in plans(url):
        if name.startswith("before_reserving"):
            assert [line for line in plan if by_number in line]
            assert not [line for line in plan if "TEMP B-TREE" in line]


def instructions_for_each(url):
    """Return how many instructions SQLite runs for each statement, in units of ten."""
    engine = sa.create_engine(url, poolclass=NullPool)
    ran = [0]

    def count():
        ran[0] += 1

    @sa.event.listens_for(engine, "connect")
    def instrument(raw, _record):
        raw.create_function("dialogtech_now", 0, time.time)
        raw.create_function("dialogtech_answered_at", 0, time.time)
        raw.set_progress_handler(count, 10)

    found = {}
    names = {"of_dags": ["rare"], "of_dags_as_json": '["rare"]', "of_run": "none", "of_task": "none"}
    with engine.connect() as connection:
        for name, sql in questions(is_file=True).items():
            ran[0] = 0
            with undone(connection):
                result = connection.execute(sql, values_of(sql, engine.dialect, **names))
                if result.returns_rows:
                    result.all()
                found[name] = ran[0]
    engine.dispose()
    return found


def test_no_statement_runs_longer_in_a_journal_with_more_rows(tmp_path):
    """An index that is walked from its end, past all that a filter leaves out, is no better than the table."""
    few, many = (f"sqlite:///{tmp_path / name}.db" for name in ("few", "many"))
    fill(few, 2_000)
    fill(many, 8_000)
    before = instructions_for_each(few)
    grown = {name: 10 * (after - before[name]) / 6_000 for name, after in instructions_for_each(many).items()}
    # What is read of each row takes at least five.
    assert {name: by for name, by in grown.items() if by > 1} == {}
