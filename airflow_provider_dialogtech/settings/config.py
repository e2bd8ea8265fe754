"""The `[dialogtech]` section of Airflow's configuration, and the addresses of Airflow's pages.

Each setting is checked when it is read. An invalid one, or a misspelt name, raises `InvalidConnection`.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_dialogtech.exceptions import InvalidConnection, JournalUnavailable
from airflow_provider_dialogtech.masking import Opaque
from airflow_provider_dialogtech.spelling import misspelt, normalized

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SECTION = "dialogtech"

RETENTION_DAYS = (1, 3650)
POOL_SLOTS = (1, 10_000)
MOST_CONN_IDS = 100
LONGEST_NAME = 250
# Airflow's own rule, but for the two slashes of a URI, which may hold a password.
_CONN_ID = re.compile(rf"(?!.*//)[\w#!().:/\\-]{{1,{LONGEST_NAME}}}")
ALERT_ON = ("dag_failed", "import_error")
_LONGEST_VALUE = 10_000

# Airflow reads these from the provider's metadata.
OPTIONS: dict[str, dict[str, Any]] = {
    "journal_url": {
        "description": "The SQLAlchemy URL of the delivery journal: a PostgreSQL database, or a SQLite file with its "
        "whole path. Empty: with executors of one machine a SQLite file in AIRFLOW_HOME, else Airflow's metadata "
        "database. `journal_url_cmd` and `journal_url_secret` work as for Airflow's own secrets.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "postgresql+psycopg2://dialogtech:password@journal.example.com/dialogtech",
        "default": "",
        "sensitive": True,
    },
    "journal_conn_id": {
        "description": "A connection of type postgres that has the delivery journal, instead of `journal_url`. Each "
        "new connection to the database reads it again, so its password may be a token that is valid for minutes.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "dialogtech_journal_database",
        "default": "",
    },
    "allow_local_journal": {
        "description": "Allow a journal in a local file with an executor that runs tasks on several machines. A "
        "message may then be sent twice when a task is retried on another machine.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "True",
        "default": "False",
    },
    "journal_retention_days": {
        "description": "How many days the journal keeps a message, from 1 to 3650. A task cleared later sends again.",
        "version_added": "0.1.0",
        "type": "integer",
        "example": "365",
        "default": "90",
    },
    "conn_ids": {
        "description": "The DialogTech connections that get a pool with the connection's name, separated by commas.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "dialogtech_default,dialogtech_sales",
        "default": "dialogtech_default",
    },
    "pool_slots": {
        "description": "How many slots these pools have, from 1 to 10000. Empty: as many as the connection's account "
        "may send messages per second. A pool that an admin has resized is never changed.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "8",
        "default": "",
    },
    "create_pools": {
        "description": "Create missing pools when Airflow starts. If False, create them yourself: a task whose pool "
        "does not exist never runs.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "False",
        "default": "True",
    },
    "alert_on": {
        "description": "Events that send an alert to alert_to of alert_conn_id, without a notifier in any DAG, "
        "separated by commas: dag_failed (a run of any DAG failed), import_error (a DAG file cannot be parsed). "
        "Empty: none.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "dag_failed,import_error",
        "default": "",
    },
    "alert_conn_id": {
        "description": "The connection that sends the alerts of alert_on to its alert_to.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "dialogtech_oncall",
        "default": "dialogtech_default",
    },
    "namespace": {
        "description": "A name for this Airflow, of at most 250 characters, where several share one journal. It is "
        "part of every idempotency key and every dedup key. Changing it invalidates earlier keys, so cleared tasks "
        "send again.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "production",
        "default": "",
    },
}

# Airflow reads a sensitive option also from a command or a secrets backend.
_SENSITIVE = [name for name, option in OPTIONS.items() if option.get("sensitive")]
_NAMES = {*OPTIONS, *(f"{name}_{source}" for name in _SENSITIVE for source in ("cmd", "secret"))}
_VARIABLE = f"AIRFLOW__{SECTION.upper()}__"
_VARIABLES = {_VARIABLE + name.upper() for name in _NAMES}
_WORDS_OF_VARIABLES = set(map(normalized, _VARIABLES))

# As Airflow's own getboolean reads them.
_FLAGS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


def conn_ids() -> tuple[str, ...]:
    """Return the connections that get a pool with the connection's name."""
    names = tuple(dict.fromkeys(part.strip() for part in _text("conn_ids").split(",") if part.strip()))
    if len(names) > MOST_CONN_IDS or not all(map(_CONN_ID.fullmatch, names)):
        _fail("conn_ids", f"at most {MOST_CONN_IDS} ids of at most {LONGEST_NAME} characters, separated by commas")
    return names


def pool_slots() -> int | None:
    """Return the slots of the connections' pools; None for as many as the account may send per second."""
    return _whole_number("pool_slots", *POOL_SLOTS)


def create_pools() -> bool:
    """Return whether missing pools are created when Airflow starts."""
    return _flag("create_pools")


def journal_url() -> str:
    """Return the URL of `journal_url`; empty where it is not set.

    :raises JournalUnavailable: when Airflow cannot read `journal_url_cmd` or `journal_url_secret`.
    """
    return _text("journal_url")


def journal_conn_id() -> str:
    """Return the connection that has the journal; empty for none.

    :raises InvalidConnection: when it is too long, or `journal_url` is set as well.
    """
    conn_id = _text("journal_conn_id")
    if conn_id and not _CONN_ID.fullmatch(conn_id):
        _fail("journal_conn_id", f"an id of at most {LONGEST_NAME} characters")
    if conn_id and journal_url():
        _refuse(f"[{SECTION}] journal_conn_id and journal_url are both set", "Airflow's configuration: remove one")
    return conn_id


def journal_file() -> URL:
    """Return the URL of the SQLite file in AIRFLOW_HOME."""
    from airflow.configuration import AIRFLOW_HOME

    # Not as a string: a `?` in the path would end it.
    return file_url(f"{AIRFLOW_HOME}/dialogtech_journal.db")


def file_url(path: str) -> URL:
    """Return the SQLAlchemy URL of a SQLite file."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=path)


def allow_local_journal() -> bool:
    """Return whether a file journal is allowed with an executor that runs tasks on several machines."""
    return _flag("allow_local_journal")


def journal_retention() -> timedelta:
    """Return how long the journal keeps a message."""
    days = _whole_number("journal_retention_days", *RETENTION_DAYS)
    return timedelta(days=days or int(OPTIONS["journal_retention_days"]["default"]))


def alert_on() -> frozenset[str]:
    """Return the events that send an alert without a notifier in any DAG."""
    names = frozenset(part.strip() for part in _text("alert_on").split(",") if part.strip())
    if not names <= set(ALERT_ON):
        _fail("alert_on", f"some of {', '.join(ALERT_ON)}, separated by commas")
    return names


def alert_conn_id() -> str:
    """Return the connection that sends the alerts of `alert_on`."""
    conn_id = str(_text("alert_conn_id") or OPTIONS["alert_conn_id"]["default"])
    if not _CONN_ID.fullmatch(conn_id):
        _fail("alert_conn_id", f"an id of at most {LONGEST_NAME} characters")
    return conn_id


def namespace() -> str:
    """Return the name of this Airflow where several share a journal; empty for none."""
    name = _text("namespace")
    if len(name) > LONGEST_NAME or not name.isprintable():
        _fail("namespace", f"a name of at most {LONGEST_NAME} printable characters")
    return name


def executors() -> str:
    """Return `[core] executor` as it is set."""
    return str(_conf().get("core", "executor", fallback=""))


def base_url() -> str:
    """Return `[api] base_url`, the URL of Airflow's pages."""
    return str(_conf().get("api", "base_url", fallback="") or "")


def execution_api_server_url() -> str:
    """Return `[core] execution_api_server_url`; empty where it is not set."""
    return str(_conf().get("core", "execution_api_server_url", fallback="") or "")


def api_ca_files() -> tuple[str, ...]:
    """Return `[api] ssl_ca_file` and `ssl_cert`, which Airflow's own client trusts beside the public authorities."""
    return tuple(filter(None, (_conf().get("api", option, fallback="") for option in ("ssl_ca_file", "ssl_cert"))))


def api_client_cert() -> tuple[str, str] | None:
    """Return `[api] client_ssl_cert` and `client_ssl_key`, which Airflow's own client shows; None without both."""
    cert, key = (_conf().get("api", f"client_ssl_{option}", fallback="") for option in ("cert", "key"))
    return (cert, key) if cert and key else None


def task_success_overtime() -> float:
    """Return `[core] task_success_overtime`: how long Airflow 3 lets the callbacks of a task run, in seconds."""
    return float(_conf().getfloat("core", "task_success_overtime", fallback=20.0))


def dag_file_processor_timeout() -> float:
    """Return how long Airflow lets a process parse a DAG file and run its callbacks, in seconds."""
    option, conf = "dag_file_processor_timeout", _conf()
    # Airflow 2 has it in [core].
    return float(conf.get("dag_processor", option, fallback=None) or conf.get("core", option, fallback="50"))


def deferrable_by_default() -> bool:
    """Return `[operators] default_deferrable`."""
    try:
        return bool(_conf().getboolean("operators", "default_deferrable", fallback=False))
    except Exception as error:  # of any kind: Airflow's own, or an interpolation's
        problem = type(error).__name__
    raise InvalidConnection(
        f"[operators] default_deferrable must be True or False ({problem})",
        advice="Correct it in Airflow's configuration, or give the operator deferrable=True or False.",
        before_any=True,
    )


def pool_of(conn_id: str | None) -> str | None:
    """Return the pool of a connection's tasks; None for Airflow's default pool.

    Only a pool of `[dialogtech] conn_ids` is certain to exist, and a task whose pool does not exist never runs.

    :raises InvalidConnection: when `[dialogtech] conn_ids` is invalid.
    """
    return conn_id if conn_id in conn_ids() else None


def _conf() -> Any:
    # Imported late: Airflow reads OPTIONS from the provider's metadata while it loads its configuration.
    from airflow.configuration import conf

    # Up to 3.1, a process that is not one of Airflow's commands has not loaded the providers' options, and would not
    # read a sensitive one from its command or its secrets backend.
    conf.sensitive_config_values.update((SECTION, name) for name in _SENSITIVE)
    return conf


def _check_names(conf: Any) -> None:
    """Refuse a misspelt name, which Airflow ignores.

    :raises InvalidConnection: when airflow.cfg or the environment has one.
    """
    for section in conf.sections():
        if section != SECTION and _means_section(section):
            _refuse(f"airflow.cfg has a section [{section}]; its name must be [{SECTION}]", "airflow.cfg")
    options = set(conf.options(SECTION)) - set(conf.defaults()) if conf.has_section(SECTION) else set()
    if unknown := sorted(options - _NAMES):
        _refuse(f"[{SECTION}] has {misspelt('option', unknown, OPTIONS)}", "airflow.cfg")
    if unknown := sorted(filter(_is_misspelt_variable, os.environ)):
        _refuse(f"the environment has {misspelt('variable', unknown, _VARIABLES)}", "the environment")


def _is_misspelt_variable(name: str) -> bool:
    if name.startswith(_VARIABLE):
        return name not in _VARIABLES
    parts = name.split("__")
    if parts[0].upper() == "AIRFLOW" and len(parts) > 1 and _means_section(parts[1]):
        return True
    # Kubernetes sets others, such as AIRFLOW_DIALOGTECH_PORT for a service of that name.
    whole = f"AIRFLOW__{name}" if parts[0].upper() == SECTION.upper() else name
    return SECTION in name.lower() and normalized(whole) in _WORDS_OF_VARIABLES


@lru_cache(maxsize=1000)
def _means_section(name: str) -> bool:
    plain = normalized(name).replace("_", "")
    return plain.startswith(SECTION) or bool(get_close_matches(plain, [SECTION], cutoff=0.85))


def _refuse(problem: str, where: str) -> NoReturn:
    raise InvalidConnection(problem, advice=f"Correct it in {where}.", before_any=True)


def _text(name: str) -> str:
    """Return an option's value, stripped."""
    problem, text = "", Opaque()
    conf = _conf()
    _check_names(conf)
    try:
        # Opaque: a URL may hold a password, and a traceback may show local variables.
        text = Opaque(conf.get(SECTION, name, fallback=OPTIONS[name]["default"]) or "")
    except Exception as error:  # of any kind: a command, a secrets backend or an interpolation may have failed
        problem = type(error).__name__
    # Outside the except block: the error may show the command and what it printed.
    if problem and name in _SENSITIVE:
        raise JournalUnavailable(
            f"Airflow could not read [{SECTION}] {name} ({problem})",
            advice="Check its command or its secrets backend. Sending it again is safe then.",
        )
    if problem:
        _fail(name, f"readable for Airflow ({problem})")
    if len(text) > _LONGEST_VALUE:
        _fail(name, f"at most {_LONGEST_VALUE:,} characters long")
    return Opaque(text.strip())


def _whole_number(name: str, least: int, most: int) -> int | None:
    # As in Airflow's own getint, a comment may follow.
    text = _text(name).split("#")[0].strip()
    if not text:
        return None
    # At most nine digits, more than any maximum: Python refuses to parse thousands of them.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else least - 1  # noqa: PLR2004
    if not least <= number <= most:
        _fail(name, f"a whole number from {least:,} to {most:,}")
    return number


def _flag(name: str) -> bool:
    text = (_text(name).split("#")[0].strip() or OPTIONS[name]["default"]).lower()
    if text not in _FLAGS:
        _fail(name, "True or False")
    return _FLAGS[text]


def _fail(name: str, expected: str) -> NoReturn:
    variable = _VARIABLE + name.upper()
    where = f"the environment variable {variable}" if variable in os.environ else "airflow.cfg"
    _refuse(f"[{SECTION}] {name} must be {expected}", where)


PREFIX = "/dialogtech"
PAGE = "dialogtech_messages"
"""The name of the page "Messages" in Airflow's own URLs."""


def base_path() -> str:
    """Return the path of `[api] base_url`, the prefix of all Airflow paths; empty for none."""
    return urlsplit(base_url()).path.rstrip("/")


HOURS = 24 * 90
"""The period that a task's link opens: the journal's default retention."""


def page_path(**filters: str) -> str:
    """Return the path of the page "Messages".

    :param filters: the page's query parameters: `dag_id`, `run_id`, `task_id`, `hours`.
    """
    return f"{base_path()}{PREFIX}/" + (f"?{urlencode(filters)}" if filters else "")


def frame_path(query: str = "") -> str:
    """Return the path at which Airflow's UI shows the page "Messages" in its frame.

    :param query: the page's query, encoded.
    """
    return f"{base_path()}/plugin/{PAGE}" + (f"?{query}" if query else "")


def task_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the path of a task instance in Airflow's UI."""
    dag, run, task = (quote(part, safe="") for part in (dag_id, run_id, task_id))
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{base_path()}/dags/{dag}/runs/{run}/tasks/{task}{mapped}"


def login_path() -> str:
    """Return the path of Airflow's login, which redirects to the page "Messages"."""
    return f"{base_path()}/api/v2/auth/login?{urlencode({'next': page_path()})}"
