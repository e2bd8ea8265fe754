"""Look into a journal, and change it, as a person with a database client would."""

from contextlib import contextmanager

import sqlalchemy as sa

from airflow_provider_dialogtech.journal.schema import messages


@contextmanager
def database(store_url):
    engine = sa.create_engine(store_url, future=True, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        yield connection


def rows(store_url, table=messages):
    with database(store_url) as connection:
        return connection.execute(sa.select(table).order_by(*table.primary_key)).all()


def edit(store_url, table=messages, **values):
    with database(store_url) as connection:
        connection.execute(table.update().values(**values))


def change(store_url, statement):
    with database(store_url) as connection:
        connection.execute(statement)
