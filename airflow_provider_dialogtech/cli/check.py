"""`check`: checks everything that sending needs, one line per check, with what to do."""

from __future__ import annotations

import platform
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.cli.output import FAILED, print_rows, running_command
from airflow_provider_dialogtech.exceptions import (
    DialogTechError,
    InvalidConnection,
    JournalUnavailable,
    NotSent,
    Refused,
    Throttled,
    plural,
)
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.masking import mask_number
from airflow_provider_dialogtech.operations.accounts import hook_of
from airflow_provider_dialogtech.operations.probe import Probe, probe
from airflow_provider_dialogtech.plugins.pools import CREATE_POOLS, scheduler_is_running, slots_of_pools
from airflow_provider_dialogtech.settings import config
from airflow_provider_dialogtech.settings.connection import ConnectionSettings, invalid, wrong_recipient
from airflow_provider_dialogtech.settings.door import door_store
from airflow_provider_dialogtech.settings.journal import (
    CARRY_OVER,
    ONLY_ON_SERVER,
    SET_IT_HERE,
    Place,
    Situation,
    earlier_file,
    file_of_one_machine,
    journal_store,
    place_of,
    situation,
    tasks_miss_the_server,
    tasks_use_door,
    why,
)

_PATIENCE = 10.0
# The promised share of the limits. A lower one means a journal that is too distant, or a disk that is too slow.
ENOUGH_SHARE = 0.95


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    :param is_well: whether the check passed; None when it could not be made.
    """

    what: str
    is_well: bool | None
    found: str
    advice: str = ""

    def row(self) -> dict[str, object]:
        sign = {True: "✓", False: "✗", None: "–"}[self.is_well]
        return {"": sign, "check": self.what, "found": self.found, "what to do": self.advice}


def check(arguments: Namespace) -> None:
    """Run every check, and exit with code 1 unless all pass."""
    with running_command():
        findings = list(_findings(arguments.conn_id))
    print_rows([finding.row() for finding in findings], arguments.output)
    if not all(finding.is_well for finding in findings):
        raise SystemExit(FAILED)


def _findings(conn_id: str) -> Iterator[Finding]:
    hook: DialogTechHook | None = None
    try:
        hook = hook_of(conn_id)
        hook.get_conn()
    except NotSent as error:
        yield _wrong("connection", error)
        hook = None
    else:
        problem = wrong_recipient(hook.settings)
        yield (
            _wrong("connection", invalid(conn_id, problem))
            if problem
            else Finding("connection", True, f"{conn_id} is complete{_held_back(hook.settings.only_to)}")
        )
    yield from _findings_of_api(hook)
    yield _pool(conn_id)
    yield from _findings_of_journal(hook.settings if hook else None)


def _held_back(only_to: frozenset[str] | None) -> str:
    if only_to is None:
        return ""
    return f"; only_to holds back what does not go to its {plural(len(only_to), 'number')}"


def _findings_of_api(hook: DialogTechHook | None) -> Iterator[Finding]:
    if hook is None:
        yield from (Finding(what, None, "needs the connection") for what in ("API", "access keys", "numbers"))
        return
    failure: DialogTechError | None = None
    enabled: tuple[str, ...] = ()
    try:
        enabled = hook.get_conn().get_numbers()
    except DialogTechError as error:
        failure = error
    yield _reachable(failure)
    yield _keys(failure)
    yield _numbers(hook.settings.from_numbers, enabled if failure is None else None)


def _reachable(failure: DialogTechError | None) -> Finding:
    if failure is not None and _has_no_answer(failure):
        return _wrong("API", failure)
    return Finding("API", True, "DialogTech answers")


def _keys(failure: DialogTechError | None) -> Finding:
    if failure is None:
        return Finding("access keys", True, "DialogTech accepts them")
    if _has_no_answer(failure):
        return Finding("access keys", None, "needs the API")
    if isinstance(failure, Throttled):
        return Finding("access keys", None, failure.reason, "try again in a minute")
    return _wrong("access keys", failure)


def _has_no_answer(failure: DialogTechError) -> bool:
    """Return whether DialogTech did not answer as documented."""
    return not isinstance(failure, (Refused, Throttled))


def _wrong(what: str, error: DialogTechError) -> Finding:
    return Finding(what, False, error.reason, error.advice)


def _numbers(from_numbers: tuple[str, ...], enabled: tuple[str, ...] | None) -> Finding:
    if enabled is None:
        return Finding("numbers", None, "needs the API and the access keys")
    if not from_numbers:
        return Finding("numbers", False, "the connection has no from_numbers", "list them: alerts have no other sender")
    if not enabled:
        return Finding(
            "numbers", None, "DialogTech's answer has no numbers", "compare from_numbers with DialogTech's portal"
        )
    disabled = [mask_number(number) for number in from_numbers if number not in enabled]
    if disabled:
        return Finding(
            "numbers", False, f"not SMS-enabled: {', '.join(disabled)}", "enable them at DialogTech, or take them out"
        )
    return Finding("numbers", True, f"SMS-enabled: {', '.join(map(mask_number, from_numbers))}")


def _pool(conn_id: str) -> Finding:
    try:
        if config.pool_of(conn_id) is None:
            return Finding("pool", True, "default_pool, because [dialogtech] conn_ids does not list the connection")
        return _own_pool(conn_id)
    except InvalidConnection as error:
        return _wrong("pool", error)
    except Exception as error:  # of Airflow's database, whose errors show its address
        problem = type(error).__name__
    return Finding("pool", None, f"Airflow's database could not be read ({problem})", "run `airflow db check`")


def _own_pool(conn_id: str) -> Finding:
    slots = slots_of_pools().get(conn_id)
    if slots is None and config.create_pools() and not scheduler_is_running():
        return Finding("pool", True, f"{conn_id} does not exist yet: the scheduler creates it when it starts")
    if slots is None:
        return Finding("pool", False, f"{conn_id} does not exist, so its tasks wait for ever", f"run {CREATE_POOLS}")
    if not slots:
        return Finding("pool", False, f"{conn_id} has 0 slots, so its tasks wait", "raise them under Admin → Pools")
    return Finding("pool", True, f"{conn_id} has {slots} slots")


def _findings_of_journal(settings: ConnectionSettings | None) -> Iterator[Finding]:
    measured: Probe | None = None
    try:
        store = journal_store(patience=_PATIENCE)
        now = situation()
        if place_of(now) is not Place.DOOR:
            measured = probe(store)
    except (JournalUnavailable, InvalidConnection) as error:
        yield _wrong("journal", error)
    else:
        if measured is not None:
            kind = "a file of this machine" if store.is_file else "PostgreSQL"
            yield Finding("journal", True, f"{kind} can be read and written")
        yield from _shared(store, now)
        if measured is not None:
            yield _distance(measured, settings)
        if tasks_use_door():
            yield _door()
    yield _versions(measured)


def _shared(store: Store, now: Situation) -> Iterator[Finding]:
    """Report which journal this is, by which rule, and which file it may not know."""
    place = place_of(now)
    if place is Place.SETTING and store.is_file and not now.is_local:
        yield _wrong("journal is shared", file_of_one_machine())
    elif tasks_miss_the_server():
        yield Finding("journal is shared", False, ONLY_ON_SERVER, SET_IT_HERE)
    else:
        yield Finding("journal is shared", True, why(place, now))
    if place is not Place.FILE and (file := earlier_file(store)):
        yield Finding("earlier journal", False, f"{file} may have messages that are not in it", f"run `{CARRY_OVER}`")


def _door() -> Finding:
    """Reach the journal as tasks do."""
    begun = 0.0
    try:
        store = door_store(patience=_PATIENCE)
        store.open()
        begun = time.monotonic()
        store.open()
    except (JournalUnavailable, InvalidConnection) as error:
        return _wrong("API server", error)
    return Finding("API server", True, f"tasks reach the journal {store.place}: {_ms(time.monotonic() - begun)}")


def _distance(measured: Probe, settings: ConnectionSettings | None) -> Finding:
    steps = (
        f"round trip {_ms(measured.round_trip)}, reserving a slot {_ms(measured.reserve)}, "
        f"starting a message {_ms(measured.start)}"
    )
    if settings is None:
        return Finding("journal is near", None, steps, "needs the connection for its limits")
    allowed = _messages_per_second(settings)
    share = min(measured.messages_per_second / allowed, 1.0)
    found = (
        f"{steps}: enough for {share:.0%} of the {allowed:.3g} messages per second that "
        f"{plural(max(len(settings.from_numbers), 1), 'number')} may send"
    )
    if share >= ENOUGH_SHARE:
        return Finding("journal is near", True, found)
    return Finding("journal is near", False, found, "move the journal nearer, or to a faster disk")


def _messages_per_second(settings: ConnectionSettings) -> float:
    """Return the messages per second that the limits allow for the connection's numbers."""
    limits = settings.limits
    of_number = min(float(limits.number_per_second), limits.ordinary_per_minute / 60)
    return min(float(limits.account_per_second), max(len(settings.from_numbers), 1) * of_number)


def _versions(measured: Probe | None) -> Finding:
    from airflow import __version__ as airflow

    journal = f"{measured.version // 100}.{measured.version % 100}" if measured else "unknown"
    found = f"package {__version__}, Airflow {airflow}, Python {platform.python_version()}, journal {journal}"
    return Finding("versions", True, found)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
