"""The built-in body of an alert: what happened, when, at which try, in which run, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dialogtech._compat import REPORTS_FAILED_TASK, redact
from airflow_provider_dialogtech.exceptions import plural
from airflow_provider_dialogtech.journal.records import NO_INDEX, task_name
from airflow_provider_dialogtech.masking import digest, mask_numbers, safe_get, safe_str, type_name
from airflow_provider_dialogtech.settings.identity import index_of, loop_index_in
from airflow_provider_dialogtech.sms.gsm import measure, to_gsm7
from airflow_provider_dialogtech.sms.message import LONGEST_READ, MAX_LENGTH, ends_with_link, shorten

if TYPE_CHECKING:
    from airflow_provider_dialogtech.journal.dedup import Claim, Recovery

ONE_SEGMENT = 160
# The rest has room for two long names and what happened. Cut further, the alerts of two tasks would look the same.
LONGEST_SUFFIX = 36

_HAPPENED = {
    "failed": "failed at",
    "retry": "is up for retry since",
    "success": "succeeded at",
    "skipped": "was skipped at",
    "execute": "started at",
    "asked": "asks a person since",
    "dag_failed": "failed at",
    "dag_success": "succeeded at",
    "deadline": "missed its deadline of",
    "sla": "missed an SLA, seen at",
}
_UNITS = (("days", 86400), ("h", 3600), ("min", 60))
_LONGEST_NAME = 45
_LONGEST_ID = 250
LONGEST_WHY = 120
# An error's message is read up to here. Its end may hold half a secret, which no pattern recognises, so it is cut off.
LONGEST_ERROR_READ = 10_000
_LONGEST_SECRET = 1_000

# A date keeps its digits: an error names dates more often than phone numbers.
_DATE = re.compile(r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)")
_RUN_TIME = re.compile(r"_*(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*(?:[+-]\d\d:\d\d|Z)?")
_SHORT_RUN_TIME = r" \1 \2"
_SECRETS = (
    (re.compile(r"://[^/\s@]*@"), "://***@"),
    (
        re.compile(r"(?i)\b(\w*(?:password|passwd|pwd|secret|token|api_?key|access_key))(['\"]?\s*[=:]\s*)\S+"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), r"\1 ***"),
)


def subject_of(event: str, context: Mapping[str, Any]) -> str:
    """Name what an alert is about: `etl.load`, or `DAG etl`."""
    ti = context.get("ti")
    if event.startswith(("dag_", "deadline", "sla")) or ti is None:
        return f"DAG {clip(dag_id_of(context), 2 * _LONGEST_NAME)}"
    # Each name may also use the room that the other one leaves.
    dag_id, task_id = (_readable(safe_get(ti, name)) for name in ("dag_id", "task_id"))
    task = _task_name(ti, 2 * _LONGEST_NAME - len(dag_id), loop_index_in(context))
    return f"{clip(dag_id, 2 * _LONGEST_NAME - len(task_id))}.{task}"


def _task_name(ti: Any, room: int = 0, loop_index: int = NO_INDEX) -> str:
    map_index = index_of(safe_get(ti, "map_index"))
    return task_name(clip(safe_get(ti, "task_id"), room), map_index, loop_index, label_of(ti))


def label_of(ti: Any) -> str:
    """Return a mapped task's label, as `map_index_template` renders it; empty where it has none.

    :param ti: the task instance.
    """
    label = safe_get(ti, "rendered_map_index")
    # Scrubbed before it is cut: half of a secret would not be recognised.
    words = scrub_reason(safe_str(label, LONGEST_ERROR_READ)).split() if isinstance(label, str) else []
    return clip(" ".join(words)) if words else ""


def identity_of(event: str, context: Mapping[str, Any]) -> str:
    """Return a string that identifies the task or DAG of an alert, whatever its name contains."""
    ti = context.get("ti")
    if event.startswith(("dag_", "deadline", "sla")) or ti is None:
        return json.dumps([dag_id_of(context)])
    names = [safe_str(safe_get(ti, name), _LONGEST_ID) for name in ("dag_id", "task_id", "map_index")]
    loop_index = loop_index_in(context)
    return json.dumps(names if loop_index == NO_INDEX else [*names, f"iteration {loop_index}"])


def dag_id_of(context: Mapping[str, Any]) -> str:
    """Return the id of a context's DAG."""
    owners = [context.get(name) for name in ("ti", "dag", "dag_run")]
    found = next((found for owner in owners if (found := safe_get(owner, "dag_id")) is not None), "?")
    return safe_str(found, _LONGEST_ID) or "?"


def run_id_of(context: Mapping[str, Any]) -> str:
    """Return the id of a context's run; empty where it has none."""
    run = context.get("dag_run")
    run_id = context.get("run_id") or safe_get(run, "run_id") or safe_get(run, "dag_run_id")
    return safe_str(run_id, _LONGEST_ID) if run_id else ""


def built_in_body(event: str, context: Mapping[str, Any], why: str | None = None) -> str:
    """Return an event's body. The reason comes last, so that truncation cuts it first.

    A fact that cannot be read is left out: even an error's `str` may raise.

    :param why: the reason; by default that of the context.
    """
    when = _or_nothing(lambda: clock_time(_when(event, context))) or clock_time(datetime.now(timezone.utc))
    facts = [f"Airflow: {subject_of(event, context)} {_HAPPENED[event]} {when}"]
    more = (_or_nothing(lambda: _which_try(event, context)), _or_nothing(lambda: _which_run(context)))
    facts += [fact for fact in more if fact]
    why = _or_nothing(lambda: _why(event, context)) if why is None else why
    return ", ".join(facts) + (f": {why}" if why else "")


def _or_nothing(fact: Callable[[], str]) -> str:
    try:
        return fact()
    except Exception:
        return ""


def clock_time(when: datetime) -> str:
    """Return a time as `14:02 UTC`, with the date where it is not today."""
    when = when.astimezone(timezone.utc)
    return f"{when:%H:%M} UTC" if when.date() == _today() else f"{when:%m-%d %H:%M} UTC"


def _today() -> date:
    return datetime.now(timezone.utc).date()


def recovery_body(subject: str) -> str:
    """Return the body that a task or a DAG works again; the suffix adds the number of failures."""
    return f"Airflow: {subject} works again"


def suffix_of(claim: Claim, *, built_in: bool = True) -> str:
    """Return what follows the body: suppressed alerts, a used-up budget, resolved failures.

    :param claim: the right to send the alert.
    :param built_in: whether the package wrote the body, whose sentence the suffix then continues.
    """
    more = f" (+{claim.suppressed} more since {clock_time(claim.since)})" if claim.suppressed and claim.since else ""
    last = ". Alert budget used up: no more messages for up to 10 min." if claim.is_last else ""
    return (_failures(claim.recovery, ", {}" if built_in else " ({})") if claim.recovery else more) + last


def _failures(recovery: Recovery, form: str) -> str:
    return form.format(f"after {plural(recovery.failures, 'failure')} in {_duration(recovery.lasted)}")


def _duration(time: timedelta) -> str:
    """Return a duration in the largest unit that has at least 2 of it."""
    seconds = time.total_seconds()
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def fit(body: str, suffix: str, *, one_segment: bool) -> str:
    """Cut a body so that it fits a message together with a suffix.

    :param suffix: follows the body and is not cut.
    :param one_segment: whether both must fit one segment, unless the suffix is a long one. Where their characters do
        not fit GSM-7, they are cut to the length of one GSM-7 segment.
    """
    body = to_gsm7(_printable(body[:LONGEST_READ]))
    one_segment = one_segment and len(suffix) <= LONGEST_SUFFIX
    room = (ONE_SEGMENT if one_segment else MAX_LENGTH) - len(suffix)
    whole = _joined(shorten(body, room), suffix)
    # Some GSM-7 characters count twice.
    while one_segment and room > 0 and measure(whole).encoding == "GSM-7" and measure(whole).segments > 1:
        room -= 1
        whole = _joined(shorten(body, room), suffix)
    return whole


def _joined(body: str, suffix: str) -> str:
    """Append a suffix. Its full stop is left out where the body has one, or ends with a link."""
    ended = body.endswith((".", "!", "?", "…")) or ends_with_link(body)
    return body + (suffix.removeprefix(".") if ended else suffix)


def _printable(text: str) -> str:
    """Replace what no SMS can show, so that a control character in an error does not make the alert invalid."""
    return "".join(char if char.isprintable() or char in "\n\r" else " " for char in text).strip()


def _readable(name: object) -> str:
    # Neither a log nor a message can encode a lone surrogate.
    return safe_str(name, _LONGEST_ID).encode(errors="replace").decode() or "?"


def clip(name: object, room: int = 0) -> str:
    """Cut a name in its middle, and put a part of its digest there: no two names of a DAG look the same.

    :param room: how long it may be; at least `_LONGEST_NAME`.
    """
    text, room = _readable(name), max(room, _LONGEST_NAME)
    if len(text) <= room:
        return text
    mark = f"..{digest(text)[:4]}.."
    head = (room - len(mark)) // 3
    return f"{text[:head]}{mark}{text[head + len(mark) - room :]}"


def _when(event: str, context: Mapping[str, Any]) -> datetime:
    if event == "deadline":
        found = safe_get(context.get("deadline"), "deadline_time")
    elif event.startswith(("dag_", "sla")):
        found = safe_get(context.get("dag_run"), "end_date")
    else:
        found = safe_get(context.get("ti"), "start_date" if event == "execute" else "end_date")
    if isinstance(found, str):
        found = _parsed(found)
    return found if isinstance(found, datetime) else datetime.now(timezone.utc)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def _which_try(event: str, context: Mapping[str, Any]) -> str:
    ti = context.get("ti")
    number, most = getattr(ti, "try_number", None), getattr(ti, "max_tries", None)
    if event not in {"failed", "retry", "success"} or not isinstance(number, int):
        return ""
    return f"try {number} of {max(number, most + 1)}" if isinstance(most, int) else f"try {number}"


def _which_run(context: Mapping[str, Any]) -> str:
    run_id = run_id_of(context)
    return f"run {clip(_RUN_TIME.sub(_SHORT_RUN_TIME, run_id).strip())}" if run_id else ""


def _why(event: str, context: Mapping[str, Any]) -> str:
    if event == "deadline":
        return f"still {state}" if (state := safe_get(context.get("dag_run"), "state")) in {"queued", "running"} else ""
    if event.startswith("dag_"):
        reason = context.get("reason")
        words = safe_str(reason, _LONGEST_ID) if reason is not None else ""
        if words == "task_failure":
            return f"{_failed_task(context)} failed"
        return words.replace("_", " ") if words != "success" else ""
    if event == "sla":
        return " ".join(safe_str(context.get("task_list", ""), LONGEST_ERROR_READ).split())
    error = context.get("exception") if event in {"failed", "retry"} else None
    return first_words(error) if error is not None else ""


def _failed_task(context: Mapping[str, Any]) -> str:
    ti = context.get("ti")
    state = safe_get(ti, "state")
    # Before Airflow 3.2 the context has any task of the run, and in Airflow 3 its state is unknown.
    is_failed = (
        REPORTS_FAILED_TASK if state is None else safe_str(getattr(state, "value", state), _LONGEST_ID) == "failed"
    )
    return f"task {_task_name(ti)}" if ti is not None and is_failed else "a task"


def first_words(error: object) -> str:
    """Return an error's type and the beginning of its message, with secrets and phone numbers masked."""
    words = _or_nothing(lambda: _scrubbed(error))
    if issubclass(type(error), str):  # isinstance would read the error's __class__, which may raise
        return words
    return f"{type_name(error)}: {words}" if words else type_name(error)


def _scrubbed(error: object) -> str:
    written = safe_str(error, LONGEST_ERROR_READ)
    words = scrub_reason(" ".join(written.split()))
    if len(written) == LONGEST_ERROR_READ:
        words = words[:-_LONGEST_SECRET]
    return shorten(words, LONGEST_WHY)


def scrub_reason(text: str) -> str:
    """Mask secrets and phone numbers in an error's message."""
    text = scrub_secrets(text)
    return "".join(part if _DATE.fullmatch(part) else mask_numbers(part) for part in _DATE.split(text))


def scrub_secrets(text: str) -> str:
    """Mask what Airflow masks in its logs, and what looks like a password."""
    text = str(redact(text))
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
