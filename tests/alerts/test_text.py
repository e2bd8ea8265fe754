from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.alerts import text as text_module
from airflow_provider_dialogtech.alerts.text import (
    built_in_body,
    clock_time,
    fit,
    identity_of,
    recovery_body,
    scrub_reason,
    subject_of,
    suffix_of,
)
from airflow_provider_dialogtech.journal.dedup import Claim, Recovery
from airflow_provider_dialogtech.sms.gsm import measure
from tests.alerts.conftest import context_of, failure
from tests.hostile.looking import soon

NOON = datetime(2026, 3, 4, 12, 5, tzinfo=timezone.utc)
RUN = "run manual 2026-01-02 03:04"
DEADLINE = {
    "dag_run": {"dag_id": "etl", "dag_run_id": "scheduled__2026-01-02T00:00:00+00:00", "state": "running"},
    "deadline": {"id": "1", "deadline_time": NOON.isoformat()},
}
IN_DAG = {"run_id": "manual__2026-01-02T03:04:05+00:00", "dag": SimpleNamespace(dag_id="etl")}


@pytest.fixture(autouse=True)
def today(monkeypatch):
    """Set the date to that of NOON: the tests may run past midnight."""
    monkeypatch.setattr(text_module, "_today", lambda: date(2026, 3, 4))


@pytest.mark.parametrize(
    ("event", "context", "body"),
    [
        (
            "failed",
            failure(end_date=NOON),
            f"etl.load failed at 12:05 UTC, try 2 of 3, {RUN}: RuntimeError: no such table",
        ),
        (
            "retry",
            failure(end_date=NOON, try_number=1),
            f"etl.load is up for retry since 12:05 UTC, try 1 of 3, {RUN}: RuntimeError: no such table",
        ),
        ("success", context_of("success", end_date=NOON), f"etl.load succeeded at 12:05 UTC, try 2 of 3, {RUN}"),
        ("skipped", context_of("skipped", end_date=NOON), f"etl.load was skipped at 12:05 UTC, {RUN}"),
        ("execute", context_of(start_date=NOON), f"etl.load started at 12:05 UTC, {RUN}"),
        ("failed", context_of(end_date=NOON, map_index=3), f"etl.load[3] failed at 12:05 UTC, try 2 of 3, {RUN}"),
        ("failed", context_of(end_date=NOON, map_index=0), f"etl.load[0] failed at 12:05 UTC, try 2 of 3, {RUN}"),
        (
            "dag_failed",
            {**IN_DAG, "reason": "task_failure", "dag_run": SimpleNamespace(end_date=NOON)},
            f"DAG etl failed at 12:05 UTC, {RUN}: a task failed",
        ),
        (
            "dag_success",
            {**IN_DAG, "reason": "success", "dag_run": SimpleNamespace(end_date=NOON)},
            f"DAG etl succeeded at 12:05 UTC, {RUN}",
        ),
        (
            "deadline",
            DEADLINE,
            "DAG etl missed its deadline of 12:05 UTC, run scheduled 2026-01-02 00:00: still running",
        ),
        (
            "sla",
            {"dag": SimpleNamespace(dag_id="etl"), "task_list": "load on 2026-01-02", "dag_run": {"end_date": NOON}},
            "DAG etl missed an SLA, seen at 12:05 UTC: load on 2026-01-02",
        ),
    ],
)
def test_an_event_has_its_message(event, context, body):
    assert built_in_body(event, context) == f"Airflow: {body}"


@pytest.mark.parametrize(
    "when",
    [NOON, NOON.isoformat(), NOON.isoformat().replace("+00:00", "Z")],
    ids=["a time", "a string", "a string with Z"],
)
def test_a_deadline_may_be_a_time_or_a_string(when):
    context = DEADLINE | {"deadline": {"deadline_time": when}}
    assert "missed its deadline of 12:05 UTC," in built_in_body("deadline", context)


def test_missing_facts_are_left_out():
    assert built_in_body("failed", {"ti": SimpleNamespace(dag_id="etl", task_id="load")}).startswith(
        "Airflow: etl.load"
    )
    assert built_in_body("deadline", {"deadline": {"deadline_time": "soon"}, "dag_run": {}}).startswith(
        "Airflow: DAG ?"
    )


def test_an_error_may_be_a_string_or_have_an_empty_message():
    assert built_in_body("failed", context_of() | {"exception": "killed\n  by the\tscheduler"}).endswith(
        ": killed by the scheduler"
    )
    assert built_in_body("failed", context_of() | {"exception": KeyError()}).endswith(": KeyError")


def test_names_however_long_leave_room_for_the_reason():
    context = failure(dag_id="d" * 250, task_id="t" * 250, run_id="r" * 250)
    assert "failed at" in fit(built_in_body("failed", context), "", one_segment=True)


def test_a_time_of_another_day_carries_its_day():
    assert clock_time(NOON) == "12:05 UTC"
    assert clock_time(datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-5)))) == "01-02 08:04 UTC"


@pytest.mark.parametrize(
    ("words", "scrubbed"),
    [
        ("call +1 (555) 666-7777 now", "call …7777 now"),
        ("no partition 2026-01-02 of 2026-01-02 03:04:05", "no partition 2026-01-02 of 2026-01-02 03:04:05"),
        ("postgresql://me:pa55@db/x is down", "postgresql://***@db/x is down"),
        ("password=hunter2 token: abc API_KEY='x'", "password=*** token: *** API_KEY=***"),
        ("Authorization: Bearer eyJhbGciOi", "Authorization: Bearer ***"),
    ],
)
def test_a_reason_keeps_secrets_and_numbers_to_itself(words, scrubbed):
    assert scrub_reason(words) == scrubbed


def test_a_secret_that_airflow_masks_is_masked_in_a_reason():
    from airflow_provider_dialogtech._compat import mask_secret

    mask_secret("the-warehouse-password")
    assert "warehouse-password" not in built_in_body("failed", failure("login with the-warehouse-password failed"))


def test_the_suffix_has_the_count_and_the_start_of_suppressed_alerts():
    assert suffix_of(Claim("id", "key", suppressed=137, since=NOON)) == " (+137 more since 12:05 UTC)"
    assert suffix_of(Claim("id", "key")) == ""


@pytest.mark.parametrize(
    ("seconds", "lasted"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172799, "47 h"),
        (172800, "2 days"),
        (900000, "10 days"),
    ],
)
def test_what_works_again_says_how_often_and_how_long_it_failed(seconds, lasted):
    recovery = Recovery(3, timedelta(seconds=seconds), is_same=True)
    claim = Claim("id", "key", suppressed=2, since=NOON, recovery=recovery)
    assert suffix_of(claim) == f", after 3 failures in {lasted}"
    assert suffix_of(claim, built_in=False) == f" (after 3 failures in {lasted})"


@pytest.mark.parametrize("event", ["dag_failed", "dag_success", "deadline", "sla"])
def test_an_alert_about_a_dag_names_the_dag_whatever_task_the_context_has(event):
    context = context_of(map_index=3)
    assert subject_of(event, context) == "DAG etl"
    assert identity_of(event, context) == '["etl"]'
    assert recovery_body(subject_of(event, context)) == "Airflow: DAG etl works again"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("eu west", "eu west"),
        ("eu\n west", "eu west"),
        ("2026-11-30", "2026-11-30"),
        ("", "3"),
        (None, "3"),
        (7, "3"),
        ("+1 555-666-7777", "…7777"),
        ("password=hunter2", "password=***"),
    ],
)
def test_an_alert_about_a_mapped_task_names_it_by_its_label(label, shown):
    assert subject_of("failed", context_of(map_index=3, rendered_map_index=label)) == f"etl.load[{shown}]"
    assert subject_of("failed", context_of(rendered_map_index=label)) == "etl.load"


def test_a_long_label_is_cut():
    assert len(subject_of("failed", context_of(map_index=3, rendered_map_index="x" * 10_000))) < 60


def test_an_alert_about_a_task_names_its_instance():
    context = context_of(map_index=0)
    assert subject_of("failed", context) == "etl.load[0]"
    assert identity_of("failed", context) == '["etl", "load", "0"]'
    assert identity_of("failed", context_of(map_index=1)) != identity_of("failed", context)
    assert identity_of("failed", {"dag": SimpleNamespace(dag_id="etl")}) == '["etl"]'
    in_a_loop = context | {"loop": SimpleNamespace(index=2)}
    assert subject_of("failed", in_a_loop) == "etl.load[0] (iteration 2)"
    assert identity_of("failed", in_a_loop) == '["etl", "load", "0", "iteration 2"]'


def test_the_names_of_an_alert_have_90_characters_together():
    assert subject_of("dag_failed", {"dag": SimpleNamespace(dag_id="d" * 90)}) == "DAG " + "d" * 90
    assert len(subject_of("dag_failed", {"dag": SimpleNamespace(dag_id="d" * 91)})) == len("DAG ") + 90
    assert subject_of("failed", context_of(task_id="t" * 87)) == "etl." + "t" * 87
    for dag_id, task_id in (("d" * 250, "t" * 250), ("etl", "t" * 250), ("d" * 250, "load"), ("d" * 46, "t" * 60)):
        subject = subject_of("failed", context_of(dag_id=dag_id, task_id=task_id))
        assert len(subject) <= 91
        assert subject.startswith(dag_id[:3])
        assert subject.endswith(task_id[-3:])


LONG = "extract_and_load_the_customers_of_the_{}_region_into_the_warehouse_of_the_{}_department_{}"


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("times", [1, 2, 3])
def test_two_tasks_with_long_names_never_give_equal_messages(place, times):
    def message(word, **changes):
        words = ["same"] * 3
        words[place] = word
        name = "_".join([LONG.format(*words)] * times)[:250]
        return [
            fit(built_in_body("failed", failure(end_date=NOON, **{kind: name}, **changes)), "", one_segment=True)
            for kind in ("task_id", "dag_id")
        ] + [subject_of("dag_failed", {"dag": SimpleNamespace(dag_id=name)})]

    for one, other in zip(message("north"), message("south"), strict=True):
        assert one != other
    assert message("north", map_index=1)[0] != message("north", map_index=2)[0]
    assert "[2] failed" in message("north", map_index=2)[0]


def test_names_that_are_equal_only_when_cut_are_distinguished():
    """Airflow's names have 250 characters at most; a longer one is cut."""
    long, longer, endless = ({"dag": SimpleNamespace(dag_id="d" * length)} for length in (249, 250, 999))
    assert subject_of("dag_failed", long) != subject_of("dag_failed", longer)
    assert identity_of("dag_failed", long) != identity_of("dag_failed", longer)
    assert identity_of("dag_failed", longer) == identity_of("dag_failed", endless)


def test_a_reason_has_120_characters():
    body = built_in_body("failed", failure("x" * 500))
    assert body.endswith("RuntimeError: " + "x" * 117 + "...")


@pytest.mark.parametrize("length", [90, 200, 900])
def test_a_link_in_a_reason_is_kept_whole_or_left_out(length):
    link = "https://example.com/".ljust(length, "q")
    body = fit(built_in_body("failed", failure(f"see {link} for more", end_date=NOON)), "", one_segment=False)
    assert link in body or "https" not in body


@pytest.mark.parametrize(
    ("ti", "reports", "reason"),
    [
        (SimpleNamespace(task_id="load", map_index=-1, state="failed"), False, "task load failed"),
        (SimpleNamespace(task_id="load", map_index=3, state="failed"), False, "task load[3] failed"),
        (SimpleNamespace(task_id="load", state="upstream_failed"), True, "a task failed"),
        (SimpleNamespace(task_id="load"), True, "task load failed"),  # Airflow 3.2 passes the failed one
        (SimpleNamespace(task_id="load"), False, "a task failed"),
        (None, True, "a task failed"),
    ],
)  # fmt: skip
def test_a_failed_dag_names_the_task_that_failed_where_it_is_known(monkeypatch, ti, reports, reason):
    monkeypatch.setattr("airflow_provider_dialogtech.alerts.text.REPORTS_FAILED_TASK", reports)
    context = {**IN_DAG, "ti": ti, "reason": "task_failure"}
    assert built_in_body("dag_failed", context).endswith(f"{RUN}: {reason}")


@pytest.mark.parametrize(
    ("reason", "words"), [("timed_out", "timed out"), ("all_tasks_deadlocked", "all tasks deadlocked")]
)
def test_any_other_reason_of_a_dag_is_given(reason, words):
    assert built_in_body("dag_failed", {**IN_DAG, "reason": reason}).endswith(f"{RUN}: {words}")


@pytest.mark.parametrize(
    ("tries", "most", "expected"),
    [(2, None, "try 2,"), (1, 0, "try 1 of 1,"), (4, 2, "try 4 of 4,"), (None, 2, "UTC, run")],
)
def test_a_try_is_named_as_far_as_it_is_known(tries, most, expected):
    assert expected in built_in_body("failed", context_of(end_date=NOON, try_number=tries, max_tries=most))


@pytest.mark.parametrize(
    ("state", "expected"), [("queued", ": still queued"), ("running", ": still running"), ("failed", "")]
)
def test_a_missed_deadline_has_the_state_of_the_run(state, expected):
    body = built_in_body("deadline", {**DEADLINE, "dag_run": {**DEADLINE["dag_run"], "state": state}})
    assert body.endswith(f"run scheduled 2026-01-02 00:00{expected}")


def test_a_context_without_a_run_names_none():
    assert "run" not in built_in_body("dag_failed", {"dag": SimpleNamespace(dag_id="etl")})


@pytest.mark.parametrize(
    ("body", "one_segment", "whole"),
    [
        ("x" * 160, True, "x" * 160),
        ("x" * 161, True, "x" * 157 + "..."),
        ("x" * 256, False, "x" * 256),
        ("x" * 257, False, "x" * 253 + "..."),
        ("€" * 200, True, "€" * 78 + "..."),
        ("ж" * 200, True, "ж" * 159 + "…"),  # more than one segment in any case, but no longer than one of GSM-7
    ],
)
def test_a_body_uses_all_the_room(body, one_segment, whole):
    assert fit(body, "", one_segment=one_segment) == whole


def test_newlines_are_kept_and_a_body_is_stripped():
    assert fit(" one\ntwo\r\nthree\x00 ", "", one_segment=True) == "one\ntwo\r\nthree"


def test_the_last_message_of_a_budget_says_so():
    assert "budget used up" in suffix_of(Claim("id", "key", is_last=True))


@pytest.mark.parametrize(
    ("body", "claim", "whole"),
    [
        ("Airflow: etl.load failed", Claim("id", "key", is_last=True), "Airflow: etl.load failed. Alert budget"),
        ("The disk is full.", Claim("id", "key", is_last=True), "The disk is full. Alert budget"),
        ("The disk is full!", Claim("id", "key", is_last=True), "The disk is full! Alert budget"),
        ("See https://x.example/a", Claim("id", "key", is_last=True), "See https://x.example/a Alert budget"),
        (
            "Airflow: etl.load works again",
            Claim("id", "key", is_last=True, recovery=Recovery(3, timedelta(minutes=8), is_same=True)),
            "Airflow: etl.load works again, after 3 failures in 8 min. Alert budget",
        ),
        (
            "Airflow: etl.load failed",
            Claim("id", "key", suppressed=3, since=NOON, is_last=True),
            "Airflow: etl.load failed (+3 more since 12:05 UTC). Alert budget",
        ),
    ],
)
def test_the_used_up_budget_is_a_sentence_of_its_own(body, claim, whole):
    assert fit(body, suffix_of(claim), one_segment=True).startswith(whole + " used up: no more messages")


@pytest.mark.parametrize("one_segment", [True, False])
@pytest.mark.parametrize("body", ["word " * 100, "[{x}] " * 100, "слово " * 100, "“quoted” – " * 100])
def test_a_cut_never_takes_the_suffix(body, one_segment):
    suffix = suffix_of(Claim("id", "key", suppressed=137, since=NOON, is_last=True))
    whole = fit(body, suffix, one_segment=one_segment)
    assert whole.endswith(suffix)
    assert len(whole) <= 256


@pytest.mark.parametrize("first", ["part_one", "one"])
@pytest.mark.parametrize(
    "claim", [Claim("id", "key", suppressed=137, since=NOON, is_last=last) for last in (True, False)]
)
def test_a_suffix_leaves_room_for_two_long_names_and_what_happened(first, claim):
    name = "extract_transform_and_load_customers_of_the_european_market"
    ends = (first, "part_two")
    bodies = [
        built_in_body("failed", context_of(dag_id=name, task_id=f"{name}_{end}", map_index=index))
        for end in ends
        for index in (1, 12)
    ]
    cut = [fit(body, suffix_of(claim), one_segment=True) for body in bodies]
    assert len({*cut}) == len(cut)
    assert all(" failed at " in body for body in cut)
    assert all(measure(body).segments == 1 + claim.is_last for body in cut)


@pytest.mark.parametrize("body", ["word " * 100, "[{x}] " * 100, "“quoted” – " * 100])
def test_a_built_in_message_is_one_segment(body):
    assert measure(fit(body, " (+1 more since 12:05 UTC)", one_segment=True)).segments == 1


def test_unprintable_characters_become_spaces():
    assert fit("a\x00b\x1b[31mred", "", one_segment=True) == "a b [31mred"


class Mute(Exception):
    """Every word of it raises."""

    def __str__(self):
        raise ZeroDivisionError

    __repr__ = __str__

    @property
    def __class__(self):
        raise ZeroDivisionError


class Muted(type):
    @property
    def __name__(cls):
        raise ZeroDivisionError


class Nameless(Exception, metaclass=Muted):
    pass


@pytest.mark.parametrize(("error", "name"), [(Mute(), "Mute"), (Nameless(), "object")], ids=["no words", "no name"])
def test_an_error_whose_str_raises_is_named_by_its_type(error, name):
    body = built_in_body("failed", failure(end_date=NOON) | {"exception": error})
    assert body == f"Airflow: etl.load failed at 12:05 UTC, try 2 of 3, {RUN}: {name}"


@pytest.mark.parametrize("event", ["failed", "retry", "success", "execute", "dag_failed", "deadline", "sla"])
def test_unreadable_facts_are_left_out(event):
    mute = Mute()
    ti = SimpleNamespace(dag_id=mute, task_id="load", run_id=mute, end_date=mute, try_number=10**5000, max_tries=mute)
    context = {"ti": ti, "run_id": mute, "reason": mute, "exception": mute, "deadline": mute, "task_list": mute}
    assert built_in_body(event, context).startswith("Airflow: ")


def test_a_missing_deadline_is_left_out():
    assert built_in_body("deadline", {}).startswith("Airflow: DAG ? missed its deadline of ")


@pytest.mark.parametrize(
    "words",
    [
        lambda: "x" * 100_000_000,
        lambda: "word " * 20_000_000,
        lambda: "e" + "\u0301\u0323" * 80_000,
        lambda: "5556667777 " * 1_000_000,
    ],
    ids=["a word", "words", "accents", "numbers"],
)
def test_an_error_of_any_length_becomes_a_message_at_once(words):
    error = failure(words())
    with soon():
        body = fit(built_in_body("failed", error), "", one_segment=True)
    assert "RuntimeError" in body
    assert len(body) <= 160


@pytest.mark.parametrize("before", range(9_985, 10_002))
def test_a_secret_at_the_end_of_the_read_characters_is_not_shown_in_part(before):
    body = built_in_body("failed", failure(" " * before + "password=hunter2 is wrong"))
    assert "hunt" not in body


@pytest.mark.parametrize("one_segment", [True, False])
def test_a_suffix_that_is_too_long_ends(one_segment):
    with soon():
        fit("body", "[" * 500, one_segment=one_segment)


def test_a_message_of_any_length_is_fitted_at_once():
    with soon():
        assert len(fit("e" + "\u0301\u0323" * 80_000, "", one_segment=False)) <= 256
