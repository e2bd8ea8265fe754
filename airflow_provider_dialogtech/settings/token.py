"""The connection `dialogtech_journal`, which each task can read: its password opens the journal on the API server.

The scheduler and the API server create it. Deleting the connection rotates the token. Its extra says whether the API
server has a journal of its own; processes that know only the metadata database go by that.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.masking import Opaque

if TYPE_CHECKING:
    from collections.abc import Mapping

CONN_ID = "dialogtech_journal"
_BYTES = 32
_DESCRIPTION = "Opens the DialogTech delivery journal on the API server. Delete it to get a new one."
_HAS_OWN_JOURNAL = "api_server_has_own_journal"


def ensure_token(*, has_own_journal: bool | None = None) -> Literal["created", "exists"]:
    """Create the connection with a random password, unless it exists.

    :param has_own_journal: on the API server, whether `[dialogtech]` sets a journal there; other processes do not know.
    """
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import IntegrityError

    said = {} if has_own_journal is None else {_HAS_OWN_JOURNAL: has_own_journal}
    try:
        with create_session() as session:
            found = session.scalar(select(Connection).where(Connection.conn_id == CONN_ID))
            if found is not None:
                known = _extra_of(found)
                if known | said != known:
                    found.set_extra(json.dumps(known | said))
                return "exists"
            token = Opaque(secrets.token_urlsafe(_BYTES))
            session.add(
                Connection(
                    conn_id=CONN_ID,
                    conn_type="generic",
                    password=token,
                    description=_DESCRIPTION,
                    extra=json.dumps(said) if said else None,
                )
            )
    except IntegrityError:
        # Another component, starting at the same time, has created it.
        return ensure_token(has_own_journal=has_own_journal)
    return "created"


def server_has_own_journal() -> bool | None:
    """Return whether the API server has said that it has a journal of its own; None where it has said nothing.

    Only for processes that have the metadata database.

    :raises JournalUnavailable: when the connection cannot be read.
    """
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    try:
        # Not through the secrets backends: only the API server writes it. Not in the caller's session.
        with create_session(scoped=False) as session:
            found = session.scalar(select(Connection).where(Connection.conn_id == CONN_ID))
            said = None if found is None else _extra_of(found).get(_HAS_OWN_JOURNAL)
    except Exception as error:  # of any kind: Airflow's own, or a driver's
        problem = type(error).__name__
    else:
        return said if isinstance(said, bool) else None
    # Outside the except block: the error may show the connection.
    raise JournalUnavailable(
        f"Airflow could not read the connection {CONN_ID}, which says where the delivery journal is ({problem})",
        advice="Run `airflow db check`. Sending it again is safe then.",
    )


def _extra_of(connection: Any) -> dict[str, Any]:
    extra: Mapping[str, Any] | Any = connection.extra_dejson
    return dict(extra) if isinstance(extra, dict) else {}
