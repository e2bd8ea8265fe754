"""The token that opens the journal on the API server: the password of a connection, which each task can read.

The scheduler and the API server create it. Deleting the connection rotates it.
"""

from __future__ import annotations

import secrets
from typing import Literal

from airflow_provider_dialogtech.masking import Opaque

CONN_ID = "dialogtech_journal"
_BYTES = 32
_DESCRIPTION = "Opens the DialogTech delivery journal on the API server. Delete it to get a new one."


def ensure_token() -> Literal["created", "exists"]:
    """Create the connection with a random password, unless it exists."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            if session.scalar(select(Connection.id).where(Connection.conn_id == CONN_ID)) is not None:
                return "exists"
            token = Opaque(secrets.token_urlsafe(_BYTES))
            session.add(Connection(conn_id=CONN_ID, conn_type="generic", password=token, description=_DESCRIPTION))
    except IntegrityError:
        return "exists"  # another component, starting at the same time, has created it
    return "created"
