import json

import pytest

from airflow_provider_dialogtech.bulk.report import NAMED, SHOWN, Report
from airflow_provider_dialogtech.bulk.rows import Rows, check_rows
from airflow_provider_dialogtech.exceptions import InDoubt, InvalidMessage, Refused, Throttled, Unreachable
from airflow_provider_dialogtech.sms.message import SmsMessage
from tests.results import a_result

SENT = a_result(segments=2, sent_at="2026-01-01")
ALREADY_SENT = a_result("already_sent", segments=2, sent_at="2026-01-01")
HELD_BACK = a_result("held_back", segments=2, sent_at="2026-01-01")


def a_report(given, **options) -> Report:
    def compose(row):
        return SmsMessage.create(to=row["to"], message="Hi", from_numbers=["5554332111"])

    rows = Rows.of(given)
    report = Report(rows, **options)
    report.note_check(check_rows(rows, compose))
    return report


def numbers(count):
    return [f"555666{1000 + number}" for number in range(count)]


def test_the_summary_counts_every_row_once():
    report = a_report([*numbers(9), "5556661000", "12"])
    outcomes = [SENT, SENT, ALREADY_SENT, Refused(), InDoubt(), Throttled(), Unreachable(), HELD_BACK]
    for row, outcome in enumerate(outcomes):
        report.note(row, outcome)
    summary = report.summary()
    assert json.loads(json.dumps(summary)) == summary
    counts = {"sent": 2, "already_sent": 1, "held_back": 1, "refused": 1, "in_doubt": 1, "not_sent": 2}
    counts |= {"duplicates": 1, "invalid": 1, "not_tried": 1}
    assert {name: summary[name] for name in counts} == counts
    assert sum(counts.values()) == summary["recipients"] == 11
    assert summary["segments"] == 4
    assert [(row["row"], row["to"], row["outcome"]) for row in summary["failures"]] == [
        (4, "…1003", "refused"),
        (5, "…1004", "in_doubt"),
        (6, "…1005", "not_sent"),
        (7, "…1006", "not_sent"),
        (11, "…12", "invalid"),
    ]
    assert summary["failures_left_out"] == 0
    assert "rows" not in summary


def test_it_reports_the_duration(time):
    report = a_report(numbers(1), clock=time.clock)
    time.go_on(61.23456)
    assert report.summary()["seconds"] == 61.235
    assert report.in_words().endswith(", in 61.2 s.")


def test_the_details_hold_every_row_in_order():
    report = a_report([*numbers(3), "5556661000", "12"], detailed=True)
    report.note(1, Refused("DialogTech refused it: no"))
    report.note(0, SENT)
    rows = report.summary()["rows"]
    assert [(row["row"], row["outcome"]) for row in rows] == [
        (1, "sent"),
        (2, "refused"),
        (3, "not_tried"),
        (4, "duplicate"),
        (5, "invalid"),
    ]
    assert rows[0] == {"row": 1, "to": "…1000", "outcome": "sent", "from": "…2111", "sent_at": "2026-01-01"}
    assert rows[1]["reason"] == "DialogTech refused it: no"


def test_of_many_failures_the_first_are_listed_and_fewer_are_named():
    report = a_report(numbers(SHOWN + 10))
    for row in reversed(range(SHOWN + 10)):
        report.note(row, Refused(f"DialogTech refused it: {row}"))
    summary = report.summary()
    assert [row["row"] for row in summary["failures"]] == list(range(1, SHOWN + 1))
    assert summary["failures_left_out"] == 10
    words = report.in_lines().splitlines()
    assert words[1] == "row 1 (to …1000): DialogTech refused it: 0"
    assert words[NAMED] == f"row {NAMED} (to …{999 + NAMED}): DialogTech refused it: {NAMED - 1}"
    assert words[NAMED + 1] == f"and {SHOWN + 10 - NAMED} more"
    assert words[NAMED + 2 :] == ["When the task is retried or cleared, it sends only the messages that were not sent."]


def test_rows_with_the_same_reason_share_a_line():
    report = a_report(numbers(NAMED + 5))
    report.note(1, Refused("DialogTech refused it"))
    for row in [0, *range(2, NAMED + 4)]:
        report.note(row, Unreachable("DialogTech could not be reached at 127.0.0.1:9 (the connection was refused)"))
    words = report.in_lines().splitlines()
    assert words[1].startswith(
        "DialogTech could not be reached at 127.0.0.1:9 (the connection was refused): rows 1 (to …1000), 3 (to …1002), "
    )
    assert words[1].endswith("11 (to …1010) and 13 more")
    assert words[2] == "row 2 (to …1001): DialogTech refused it"
    assert len(words) == 4
    assert "(the connection was refused): rows 1 (to …1000) and 22 more. When" in report.in_one_line()


def test_the_advice_names_messages_in_doubt():
    report = a_report(numbers(1))
    report.note(0, InDoubt())
    assert "`messages resolve` settles them. " in report.in_lines()
    assert 'set in_doubt="resend". Then clear the task.' in report.in_lines()


@pytest.mark.parametrize(
    ("outcomes", "final"),
    [
        ([SENT, Refused(), InDoubt(), InvalidMessage()], True),
        ([SENT, Refused(), InDoubt(), Unreachable()], False),
        ([SENT, Refused(), InDoubt()], False),
    ],
)
def test_a_retry_helps_only_where_something_could_still_be_sent(outcomes, final):
    report = a_report(numbers(4))
    for row, outcome in enumerate(outcomes):
        report.note(row, outcome)
    assert report.retry_helps is not final


def test_a_row_whose_outcome_is_known_is_not_counted_again():
    """What a sender was interrupted with may come twice."""
    report = a_report(numbers(3), detailed=True)
    for outcome in (Refused(), Refused(), SENT):
        report.note(1, outcome)
    summary = report.summary()
    assert (summary["sent"], summary["refused"], summary["not_tried"]) == (0, 1, 2)
    assert len(summary["failures"]) == 1
    assert summary["rows"][1]["outcome"] == "refused"


def test_one_line_has_the_counts_the_first_failure_and_the_advice():
    report = a_report(numbers(3))
    report.note(2, InDoubt())
    report.note(1, Refused("DialogTech refused it:\nno"))
    report.note(0, SENT)
    line = report.in_one_line()
    assert "\n" not in line
    assert line.startswith("Of 3 recipients: 1 sent, 1 refused, 1 in doubt, in ")
    assert "Row 2 (to …1001): DialogTech refused it: no. When the task is retried or cleared" in line
