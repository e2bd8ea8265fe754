"""What stands in an Airflow connection, in an object that does not show it."""

from __future__ import annotations

from typing import Any

from airflow_provider_dialogtech.opaque import Opaque


class ConnectionContent:
    """A connection's content, in an object that does not show it."""

    __slots__ = ("conn_id", "extra", "host", "login", "password", "port_or_schema", "unreadable")

    def __init__(self, connection: Any) -> None:
        self.unreadable = ""
        self.conn_id = self.login = self.password = self.host = self.extra = ""
        self.port_or_schema = False
        try:
            self.conn_id = str(connection.conn_id)
            self.login = str(connection.login or "")
            self.password = Opaque(connection.password or "")
            self.host = str(connection.host or "").strip()
            self.extra = connection.extra or "{}"
            self.port_or_schema = bool(connection.port or connection.schema)
        except Exception as error:  # Airflow decrypts some of these only now, with a key that may have changed
            self.unreadable = type(error).__name__
