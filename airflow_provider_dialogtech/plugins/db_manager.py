"""The db-manager: `airflow db migrate` creates and upgrades the journal's tables in the metadata database.

Airflow 3.2 and newer find it by the provider's metadata. Without it, the first process that opens the journal does the
same, if its role may.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from airflow_provider_dialogtech.exceptions import DialogTechError
from airflow_provider_dialogtech.journal import schema
from airflow_provider_dialogtech.settings.journal import Place, journal_store, place_of, situation

try:  # Airflow 3.0
    from airflow.utils import db_manager

    _Base: Any = db_manager.BaseDBManager
except ImportError:
    _Base = object

log = logging.getLogger(__name__)

_PATIENCE = 10.0


class JournalDBManager(_Base):  # type: ignore[misc]
    """Creates the tables where the metadata database has the journal, and nowhere else.

    `airflow db reset` keeps them: what was sent stays sent. A newer version only adds to them, so no command has to run
    before Airflow starts, and there is nothing to downgrade.
    """

    metadata = schema.metadata
    version_table_name = schema.journal_version.name
    migration_dir = str(Path(__file__).parent / "migrations")
    alembic_file = ""
    supports_table_dropping = False

    def check_migration(self) -> bool:
        return True

    def initdb(self, **_: Any) -> None:
        self.upgradedb()

    def upgradedb(self, *_: Any, **__: Any) -> None:
        # A failure here must not fail Airflow's own migration: the first message tries it again.
        try:
            if place_of(situation(is_server=True)) is Place.METADATA:
                journal_store(patience=_PATIENCE, is_server=True).open()
        except DialogTechError as error:
            log.warning("The tables of the DialogTech journal were not created: %s. %s", error.reason, error.advice)
        except Exception:
            log.exception("The tables of the DialogTech journal were not created. The first message tries it again.")

    def downgrade(self, *_: Any, **__: Any) -> None:
        log.info("An older version of airflow-provider-dialogtech reads the same tables: there is nothing to do.")
