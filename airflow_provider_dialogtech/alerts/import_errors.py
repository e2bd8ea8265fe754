"""Alert that DAG files do not parse, from Airflow's database, once the dag-processor has committed the errors."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import NamedTuple

from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.alerts.deliver import deliver
from airflow_provider_dialogtech.alerts.reported_errors import Reported, ReportedErrors, error_of
from airflow_provider_dialogtech.alerts.text import scrub_reason
from airflow_provider_dialogtech.exceptions import DialogTechError, plural
from airflow_provider_dialogtech.operations.accounts import hook_of
from airflow_provider_dialogtech.settings import config

log = logging.getLogger(__name__)

# The dag-processor commits shortly after it has called the listener.
SECONDS_TO_COMMIT = 1.0
MOST_SECONDS_TO_COMMIT = 30.0
_MOST_READ = 10_000
_SECONDS_AFTER_FAILURE = 300.0
# pydantic, which checks YAML files, adds these to its reason; the details quote the file.
_PYDANTICS_LINK = "For further information visit "
_PYDANTICS_DETAILS = " [type="
_LONGEST_LINE = 300
_COOLDOWN = timedelta(minutes=15)


class Broken(NamedTuple):
    """A DAG file that does not parse.

    :param file: its name, without its folders.
    :param reason: the last error of its traceback, in one line.
    :param error: its digest among the reported errors.
    """

    file: str
    reason: str
    error: str = ""

    @classmethod
    def of(cls, filename: str | None, stacktrace: str | None) -> Broken:
        """Read a file's row in Airflow's database."""
        name = filename or "?"
        return cls(PurePath(name).name, _reason(stacktrace or ""), error_of(name, str(stacktrace)))


def alert_new_errors(reported: ReportedErrors, error: str) -> None:
    """Alert the `alert_to` of `[dialogtech] alert_conn_id` to the broken files, and log the outcome.

    :param error: the error that Airflow reported to the listener.
    """
    before = reported.read().errors
    broken = alert_all_broken(error, before)
    if broken is None:
        reported.write(Reported(before, time.time() + _SECONDS_AFTER_FAILURE))
    elif broken:
        errors = frozenset(each.error for each in broken)
        reported.write(Reported(errors, time.time() + _COOLDOWN.total_seconds()))


def alert_all_broken(error: str, before: frozenset[str]) -> list[Broken] | None:
    """Send the alert about all broken files, and return them; None where no message was sent.

    :param error: the error that Airflow reported to the listener.
    :param before: the errors that were reported before.
    """
    try:
        # Airflow updates an error's time whenever it parses the file, so the time does not show which are new.
        broken = sorted(broken_after_commit(error), key=lambda each: each.error in before)
        if not broken:
            return broken
        hook = hook_of(config.alert_conn_id())
        return broken if deliver(_alert(broken), hook.settings.alert_to, hook) else None
    except DialogTechError as failure:
        log.error("No message was sent about DAG files that cannot be parsed: %s. %s", failure.reason, failure.advice)  # noqa: TRY400
    except Exception as failure:  # its message may hold a secret
        log.error("No message was sent about DAG files that cannot be parsed (%s).", type(failure).__name__)  # noqa: TRY400
    return None


def broken_after_commit(error: str) -> list[Broken]:
    """Return the files that Airflow cannot parse, once the listener's transaction is committed.

    :param error: the error that Airflow reported to the listener.
    """
    until = time.monotonic() + MOST_SECONDS_TO_COMMIT
    while True:
        broken = broken_files()
        if any(each.error == error for each in broken) or time.monotonic() > until:
            return broken
        time.sleep(SECONDS_TO_COMMIT)


def broken_files() -> list[Broken]:
    """Return the files that Airflow cannot parse now, the most recently parsed first."""
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import select

    newest = select(ParseImportError.filename, ParseImportError.stacktrace).order_by(ParseImportError.timestamp.desc())
    with create_session() as session:
        return [Broken.of(*row) for row in session.execute(newest.limit(_MOST_READ))]


def body_of(broken: Sequence[Broken]) -> str:
    """Return the body: the number of files, and the error of the first.

    :param broken: the files; one with a new error comes first.
    """
    count = plural(len(broken), "DAG file does", "DAG files do")
    return f"Airflow: {count} not parse: {broken[0].file}: {scrub_reason(broken[0].reason)}"


def _reason(stacktrace: str) -> str:
    lines = [line for line in stacktrace[-10_000:].splitlines() if line.strip() and _PYDANTICS_LINK not in line]
    # The error follows the last frame, and may have several lines.
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    after = [line for line in lines[frames[-1] :] if not line.startswith(" ")] if frames else lines[-1:]
    if not after:
        return "the reason is in Airflow's import errors"
    return after[0].strip().split(_PYDANTICS_DETAILS)[0][:_LONGEST_LINE]


def _alert(broken: Sequence[Broken]) -> Alert:
    return Alert(
        subject="DAG files that cannot be parsed (import_error)",
        body=body_of(broken),
        built_in=True,
        note="",
        # The same files with the same errors are one alert, whichever dag-processor reports them.
        dedup_key=json.dumps(["import_error", *sorted(each.error for each in broken)]),
        cooldown=_COOLDOWN,
    )
