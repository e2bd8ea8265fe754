import logging

import pytest

from airflow_provider_dialogtech.bulk import report as module
from airflow_provider_dialogtech.bulk.report import Progress
from airflow_provider_dialogtech.exceptions import Refused
from tests.bulk.test_report import ALREADY_SENT, SENT, a_report, numbers


def progress_of(report, time, every=5.0):
    return Progress(report, every=every, clock=time.clock)


def test_it_reports_the_remaining_time_at_the_last_minutes_rate(time):
    report = a_report(numbers(1000))
    progress = progress_of(report, time)
    assert progress.in_words() == "0 of 1000 done, 0 refused, 0 in doubt."
    for row in range(700):  # sent before, so they take no time
        report.note(row, ALREADY_SENT)
    for second in range(70):
        time.go_on(1)
        report.note(700 + second, SENT if second else Refused())
        words = progress.in_words()
    assert words == "770 of 1000 done, 1 refused, 0 in doubt; about 3 min 50 s left at 1.00 per second."


def test_messages_sent_in_an_earlier_try_do_not_count_for_the_rate(time):
    report = a_report(numbers(1000))
    progress = progress_of(report, time)
    for row in range(700):
        report.note(row, ALREADY_SENT)
    time.go_on(10)
    assert progress.in_words() == "700 of 1000 done, 0 refused, 0 in doubt."
    for second in range(10):
        time.go_on(1)
        report.note(700 + second, SENT)
    assert progress.in_words().endswith("; about 9 min 40 s left at 0.50 per second.")


def test_the_pace_is_that_of_a_whole_minute_for_a_number_rests_until_it_is_over(time):
    report = a_report(numbers(1000))
    progress = progress_of(report, time)
    time.go_on(1)
    for row in range(40):
        report.note(row, SENT)
    progress.in_words()
    time.go_on(59)
    assert progress.in_words().endswith(" left at 0.67 per second.")


@pytest.mark.parametrize(("per_row", "words"), [(0.5, "4 s"), (36, "4 min 48 s"), (1800, "4 h 0 min")])
def test_the_remaining_time_has_readable_units(time, monkeypatch, per_row, words):
    monkeypatch.setattr(module, "PACE_SECONDS", 1e6)
    report = a_report(numbers(10))
    progress = progress_of(report, time)
    for row in range(2):
        time.go_on(per_row)
        report.note(row, SENT)
    assert f"about {words} left" in progress.in_words()


def test_it_is_logged_every_so_many_seconds_however_often_it_is_asked(time, caplog):
    caplog.set_level(logging.INFO)
    progress = progress_of(a_report(numbers(10)), time, every=5.0)
    for _ in range(120):
        progress.log_when_due()
        time.go_on(0.125)
    assert [record.getMessage() for record in caplog.records] == ["0 of 10 done, 0 refused, 0 in doubt."] * 2


def test_the_log_of_a_list_of_days_is_short(time, caplog):
    caplog.set_level(logging.INFO)
    report = a_report(numbers(1000))
    progress = progress_of(report, time, every=5.0)
    for _ in range(20_000):  # 56 hours
        time.go_on(10)
        progress.log_when_due()
    assert 100 < len(caplog.records) < 500


def test_between_lines_that_are_more_than_a_minute_apart_the_rate_is_that_since_the_last_one(time):
    report = a_report(numbers(1000))
    progress = progress_of(report, time)
    for row in range(10):
        time.go_on(300)
        report.note(row, SENT)
        words = progress.in_words()
    assert "about 82 h 30 min" in words
