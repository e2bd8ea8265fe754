"""The journal's URL: which store it names, and whether its driver is here."""

from __future__ import annotations

from importlib.util import find_spec

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from airflow_provider_dialogtech.exceptions import InvalidConnection

# Both wait for their server in a thread; each entry is a driver's name in the URL, its module and its package.
_DRIVERS = {
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "psycopg": ("psycopg", "'psycopg[binary]'"),
}
_INSTALL = "pip install 'airflow-provider-dialogtech[postgres]'"


def kind_of(url: str | URL) -> str:
    """Return `sqlite` or `postgresql`.

    :raises InvalidConnection: when the URL is malformed, or names another database or a driver that is not there.
    """
    parsed = _parsed(url)
    if parsed is not None and parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        _check_driver(parsed, {"pysqlite"}, "sqlite:////…")
        return "sqlite"
    if parsed is not None and parsed.get_backend_name() == "postgresql":
        _check_driver(parsed, {"psycopg2", "psycopg"}, "postgresql+psycopg2://…")
        return "postgresql"
    raise InvalidConnection(
        "[dialogtech] journal_url must be the SQLAlchemy URL of a SQLite file (sqlite:////…) or of PostgreSQL "
        "(postgresql+psycopg2://…)",
        advice="Correct it.",
    )


def _parsed(url: str | URL) -> URL | None:
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return None


def _check_driver(url: URL, known: set[str], example: str) -> None:
    try:
        driver = url.get_driver_name()
        url.get_dialect()
    except (sa.exc.NoSuchModuleError, ImportError):
        driver = url.drivername.partition("+")[2]
        known = known - {driver} if driver == "psycopg" else known  # SQLAlchemy 1.4, of Airflow 2, cannot use it
    if driver not in known:
        raise InvalidConnection(
            f"[dialogtech] journal_url names the driver {driver[:40]!r}, which the journal does not work with",
            advice=f"Write {example}.",
        )
    module, package = _DRIVERS.get(driver, (None, ""))
    if module is None or find_spec(module) is not None:
        return
    install = _INSTALL if driver == "psycopg2" else f"pip install {package}"
    raise InvalidConnection(
        f"the driver {driver} that [dialogtech] journal_url names is not installed",
        advice=f"Install it where Airflow runs: `{install}`.",
    )
