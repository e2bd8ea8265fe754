"""Airflow reads this file of every db-manager. The journal's tables have no Alembic migrations: see `schema.py`."""
