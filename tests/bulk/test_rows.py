import itertools
import json

import pytest

from airflow_provider_dialogtech.bulk import rows as module
from airflow_provider_dialogtech.bulk.rows import FailedRow, Rows
from airflow_provider_dialogtech.exceptions import BadCredentials, InDoubt, InvalidMessage, NotSent, Throttled

ADA = {"to": "(555) 666-7777", "body": "Hi Ada"}
GRACE = {"to": "(555) 666-8888", "body": "Hi Grace"}


@pytest.mark.parametrize("form", [list, tuple, iter, json.dumps, lambda rows: (row for row in rows)])
def test_a_list_is_taken_in_any_form(form):
    rows = Rows.of(form([ADA, GRACE, "5556669999"]))
    assert [row.index for row in rows] == [0, 1, 2]
    assert [row.values["to"] for row in rows] == [ADA["to"], GRACE["to"], "5556669999"]
    assert [row.to for row in rows] == ["…7777", "…8888", "…9999"]


@pytest.mark.parametrize("text", ["[{'to': '5556667777'}]", "5556667777", "", '{"to": "5556667777"}'])
def test_a_string_that_is_not_a_json_list_is_refused_with_advice(text):
    with pytest.raises(InvalidMessage, match=r"^Nothing was sent: recipients must be .* not a JSON list\. .*tojson"):
        Rows.of(text)


@pytest.mark.parametrize(("recipients", "kind"), [(ADA, "dict"), (b"[]", "bytes"), (7, "int"), (None, "NoneType")])
def test_a_value_that_is_not_a_list_is_refused(recipients, kind):
    with pytest.raises(InvalidMessage, match=rf"recipients must be a list of numbers or mappings, not {kind}\."):
        Rows.of(recipients)


def test_a_list_that_cannot_be_read_is_reported_by_the_errors_type():
    def lazy():
        yield ADA
        raise ConnectionError("the API of Airflow at https://airflow.example is unavailable")

    with pytest.raises(NotSent, match=r"^Nothing was sent: the recipients could not be read \(ConnectionError\)"):
        Rows.of(lazy())


def test_a_list_nested_too_deep_is_refused():
    with pytest.raises(InvalidMessage, match="a string that is not a JSON list"):
        Rows.of("[" * 100_000)


def test_a_list_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    assert len(Rows.of(iter(range(10)))) == 10
    with pytest.raises(InvalidMessage, match="more than 10 rows"):
        Rows.of(itertools.count())


def test_rows_show_how_many_they_are_and_none_of_their_values():
    rows = Rows.of([ADA, "5556668888"])
    assert repr(rows) == "<2 rows>"
    assert "555" not in repr(list(rows))
    assert "Ada" not in repr(list(rows))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InDoubt("no reply came"), "in_doubt"),
        (BadCredentials("no"), "refused"),
        (InvalidMessage("no"), "invalid"),
        (Throttled("no"), "not_sent"),
    ],
)
def test_a_row_that_failed_says_how_and_why(error, outcome):
    failed = FailedRow.of(Rows.of(["5556668888"])[0], error)
    assert (failed.row, failed.to, failed.outcome, failed.reason) == (1, "…8888", outcome, error.reason)
    assert str(failed) == f"row 1 (to …8888): {error.reason}"
