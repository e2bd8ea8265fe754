"""Fill a journal as messages of many days fill it, by SQL: a million rows take half a minute."""

import time

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from airflow_provider_dialogtech.journal.store import Store

DAYS = 89
_COUNTED = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n FROM s)",
    "postgresql": "(SELECT n FROM generate_series(1, {}) AS s(n)) AS s",
}
# The seventh in a hundred was refused, the eighth released; eighty in all are in doubt.
_MESSAGES = {
    "id": "n",
    "account": "{digest} || (n % 3)",
    "number": "{digest} || (n % 24)",
    "at": "{now} - {days} * 86400.0 * ({rows} - n) / {rows}",
    "state": "CASE WHEN n % {rarely} = 5 THEN 'in_doubt' WHEN n % 100 = 7 THEN 'refused' WHEN n % 100 = 8 "
    "THEN 'released' ELSE 'sent' END",
    "key": "CASE WHEN n % 100 <> 8 THEN {digest} || n END",
    "owner": "'owner ' || n",
    "digest": "{digest} || (n % 9973)",
    "recipient_tail": "'7777'",
    "detail": "'{{{detail}}}'",
    "deadline": "{now}",
    "created": "{now} - {days} * 86400.0 * ({rows} - n) / {rows} - 1",
    "updated": "{now} - {days} * 86400.0 * ({rows} - n) / {rows} + 1",
    "recipient": "{digest} || (n % 5003)",
    "priority": "CASE WHEN n % 100 = 0 THEN 1 ELSE 0 END",
    "dag_id": "CASE WHEN n % {rarely} = 3 THEN 'rare' ELSE 'dag ' || (n % 20) END",
    "run_id": "'scheduled__2026-11-25T' || (n / 997)",
    "task_id": "'task ' || (n % 7)",
    "body_key": "CASE WHEN n % 2 = 0 THEN {digest} || n END",
}
_OTHERS = {
    "dialogtech_accounts": {"account": "{digest} || n", "extra_margin": "0", "widened_until": "0", "paused_until": "0",
                            "usual_latency": "0"},
    "dialogtech_alerts": {"key": "{digest} || n", "claim": "'claim ' || n", "claimed_at": "{now}",
                          "cooldown_ends": "{now} - 4000 * n", "reported": "0",
                          "suppressed": "CASE WHEN n % 50 = 0 THEN 1 ELSE 0 END", "message_key": "{digest} || n"},
    "dialogtech_alert_grants": {"claim": "'claim ' || n", "recipient": "{digest} || (n % 50)",
                                "at": "{now} - n / 10.0"},
}  # fmt: skip
DIGEST = "d" * 54
_DETAIL = '"status": "sent", "to": "…7777", "from": "…2111", "segments": 1, "xml": "' + "x" * 220 + '"'


def fill(url: str, rows: int, *, others: int = 1000) -> None:
    """Fill an empty journal; PostgreSQL learns what is in it, as autovacuum teaches it.

    :param url: where it is.
    :param rows: how many messages.
    :param others: how many rows in the other tables.
    """
    Store(url).open()
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        kind = engine.dialect.name
        indexes = []
        if kind == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
            connection.exec_driver_sql("PRAGMA cache_size = -500000")
            made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
            for name, sql in connection.exec_driver_sql(made, ("dialogtech_messages",)).all():
                connection.exec_driver_sql(f"DROP INDEX {name}")
                indexes.append(sql)
        values = {
            "now": repr(time.time()), "digest": f"'{DIGEST}'", "days": DAYS, "rows": rows, "detail": _DETAIL,
            "rarely": max(rows // 80, 30),
        }  # fmt: skip
        for table, columns in {"dialogtech_messages": _MESSAGES, **_OTHERS}.items():
            count = rows if table == "dialogtech_messages" else others
            selected = ", ".join(column.format(**values) for column in columns.values())
            insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {selected} FROM {_COUNTED[kind].format(count)}"  # noqa: S608
            connection.execute(sa.text(insert.replace(":", r"\:")))
        for sql in indexes:
            connection.exec_driver_sql(sql)
        if kind == "postgresql":
            connection.exec_driver_sql(f"SELECT setval('dialogtech_messages_id_seq', {rows})")
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
