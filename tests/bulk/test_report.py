import json

import pytest

from airflow_provider_dialogtech.bulk import report as tally_module
from airflow_provider_dialogtech.bulk.report import NAMED, SHOWN, Tally
from airflow_provider_dialogtech.bulk.rows import RecipientList
from airflow_provider_dialogtech.delivery.result import SendResult
from airflow_provider_dialogtech.exceptions import InDoubt, InvalidMessage, Refused, Throttled, Unreachable
from airflow_provider_dialogtech.sms.message import SmsMessage

SENT = SendResult("sent", "success", "[1] Message Sent", "<xml/>", "…7777", "…2111", 2, "GSM-7", "2026-01-01", 0.0, 1)
ALREADY_SENT = SendResult.from_xcom({**SENT.as_xcom(), "status": "already_sent"})


def a_tally(rows, **options) -> Tally:
    def compose(row):
        return SmsMessage.create(to=row["to"], message="Hi", from_numbers=["5554332111"])

    recipients = RecipientList.of(rows, compose)
    recipients.check()
    return Tally(recipients, **options)


def numbers(count):
    return [f"555666{1000 + number}" for number in range(count)]


def test_the_summary_counts_every_row_once():
    tally = a_tally([*numbers(8), "5556661000", "12"])
    outcomes = [SENT, SENT, ALREADY_SENT, Refused(), InDoubt(), Throttled(), Unreachable()]
    for row, outcome in enumerate(outcomes):
        tally.note(row, outcome)
    summary = tally.summary()
    assert json.loads(json.dumps(summary)) == summary
    counts = {"sent": 2, "already_sent": 1, "refused": 1, "in_doubt": 1, "not_sent": 2}
    counts |= {"duplicates": 1, "invalid": 1, "not_tried": 1}
    assert {name: summary[name] for name in counts} == counts
    assert sum(counts.values()) == summary["recipients"] == 10
    assert summary["segments"] == 4
    assert [(row["row"], row["to"], row["outcome"]) for row in summary["failures"]] == [
        (3, "…1003", "refused"),
        (4, "…1004", "in_doubt"),
        (5, "…1005", "not_sent"),
        (6, "…1006", "not_sent"),
        (9, "…12", "invalid"),
    ]
    assert "rows" not in summary


def test_the_details_hold_every_row_in_order():
    tally = a_tally([*numbers(3), "5556661000", "12"], detailed=True)
    tally.note(1, Refused("DialogTech refused it: no"))
    tally.note(0, SENT)
    rows = tally.summary()["rows"]
    assert [(row["row"], row["outcome"]) for row in rows] == [
        (0, "sent"),
        (1, "refused"),
        (2, "not_tried"),
        (3, "duplicate"),
        (4, "invalid"),
    ]
    assert rows[0] == {"row": 0, "to": "…1000", "outcome": "sent", "from": "…2111", "sent_at": "2026-01-01"}
    assert rows[1]["reason"] == "DialogTech refused it: no"


def test_of_many_failures_the_first_are_listed_and_fewer_are_named():
    tally = a_tally(numbers(SHOWN + 10))
    for row in reversed(range(SHOWN + 10)):
        tally.note(row, Refused("DialogTech refused it"))
    summary = tally.summary()
    assert [row["row"] for row in summary["failures"]] == list(range(SHOWN))
    assert summary["failures_left_out"] == 10
    words = tally.who_failed().splitlines()
    assert words[1] == "row 0 (to …1000): DialogTech refused it"
    assert words[NAMED] == f"row {NAMED - 1} (to …{999 + NAMED}): DialogTech refused it"
    assert words[NAMED + 1] == f"and {SHOWN + 10 - NAMED} more"
    assert words[NAMED + 2 :] == ["Retried or cleared, the task goes on with those who have not got their text."]


def test_what_to_do_about_those_in_doubt_is_told():
    tally = a_tally(numbers(1))
    tally.note(0, InDoubt())
    assert 'DialogTech\'s message log; in_doubt="resend"' in tally.who_failed()


@pytest.mark.parametrize(
    ("outcomes", "final"),
    [
        ([SENT, Refused(), InDoubt(), InvalidMessage()], True),
        ([SENT, Refused(), InDoubt(), Unreachable()], False),
        ([SENT, Refused(), InDoubt()], False),
    ],
)
def test_a_retry_helps_only_where_something_could_still_be_sent(outcomes, final):
    tally = a_tally(numbers(4))
    for row, outcome in enumerate(outcomes):
        tally.note(row, outcome)
    assert tally.all_final is final


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes only when it is told to."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(tally_module, "time", clock)
    return clock


def test_progress_tells_the_time_left_at_the_pace_of_the_last_minute(clock):
    tally = a_tally(numbers(1000))
    assert tally.progress() == "0 of 1000 done, 0 refused, 0 in doubt."
    for row in range(700):  # sent before, so they take no time
        tally.note(row, ALREADY_SENT)
    for second in range(70):
        clock.now += 1
        tally.note(700 + second, SENT if second else Refused())
        words = tally.progress()
    assert words == "770 of 1000 done, 1 refused, 0 in doubt; about 3 min 50 s left at 1.00 per second."


def test_those_who_got_their_text_in_an_earlier_try_are_no_pace(clock):
    tally = a_tally(numbers(1000))
    for row in range(700):
        tally.note(row, ALREADY_SENT)
    clock.now += 10
    assert tally.progress() == "700 of 1000 done, 0 refused, 0 in doubt."
    for second in range(10):
        clock.now += 1
        tally.note(700 + second, SENT)
    assert tally.progress().endswith("; about 9 min 40 s left at 0.50 per second.")


def test_one_line_tells_all_outcomes_the_first_failure_and_what_to_do():
    tally = a_tally(numbers(3))
    tally.note(2, InDoubt())
    tally.note(1, Refused("DialogTech refused it:\nno"))
    tally.note(0, SENT)
    line = tally.in_one_line()
    assert "\n" not in line
    assert line.startswith("Of 3 recipients: 1 sent, 1 refused, 1 in doubt, in ")
    assert "Row 1 (to …1001): DialogTech refused it: no. Retried or cleared" in line


@pytest.mark.parametrize(("per_row", "words"), [(0.5, "4 s"), (36, "4 min 48 s"), (1800, "4 h 0 min")])
def test_the_time_left_is_told_as_people_do(clock, monkeypatch, per_row, words):
    monkeypatch.setattr(tally_module, "_PACE_SECONDS", 1e6)
    tally = a_tally(numbers(10))
    for row in range(2):
        clock.now += per_row
        tally.note(row, SENT)
    assert f"about {words} left" in tally.progress()
