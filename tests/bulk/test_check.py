import tracemalloc

import pytest

from airflow_provider_dialogtech.bulk.rows import CheckedRows, Rows, check_rows
from airflow_provider_dialogtech.bulk.sender import Stop, Stopped
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.sms.message import SmsMessage
from airflow_provider_dialogtech.sms.numbers import normalize_number

SENDERS = (normalize_number("5554332111", "from_"),)
ADA = {"to": "(555) 666-7777", "body": "Hi Ada"}
GRACE = {"to": "(555) 666-8888", "body": "Hi Grace"}


def compose(row) -> SmsMessage:
    return SmsMessage.create(to=row.get("to"), message=row.get("body", "Hi"), from_numbers=SENDERS)


def checked(rows) -> CheckedRows:
    return check_rows(Rows.of(rows), compose)


def indexes(found: CheckedRows) -> list[int]:
    return [row.index for row in found.to_send()]


def test_each_invalid_row_is_kept_with_its_number_and_its_problem():
    found = checked([ADA, {"to": "12"}, {"body": "no number"}, ["5556667777"], {**GRACE, "body": "x" * 300}, GRACE])
    assert [(row.row, row.to) for row in found.bad] == [(2, "…12"), (3, "…"), (4, "…"), (5, "…8888")]
    assert "too short" in found.bad[0].reason
    assert "`to` is empty" in found.bad[1].reason
    assert "not a list" in found.bad[2].reason
    assert "300 characters" in found.bad[3].reason
    assert indexes(found) == [0, 5]


def test_one_error_names_the_first_bad_rows_and_counts_the_others():
    found = checked([*({"to": f"{number}"} for number in range(30)), ADA])
    with pytest.raises(InvalidMessage) as raised:
        found.require_all_good()
    words = str(raised.value)
    assert words.startswith("Nothing was sent: 30 of 31 rows cannot be sent: row 1 (to …0):")
    assert "row 20 (to …19)" in words
    assert "row 21" not in words
    assert 'and 10 more. Correct them, or use invalid="skip"' in words


def test_a_list_without_a_good_row_has_none_to_send():
    with pytest.raises(InvalidMessage, match=r"Correct them\.$"):
        checked([{"to": "1"}]).require_all_good()


def test_numbers_are_shortened():
    found = checked([{"to": "55566677771234567"}, ADA, {**ADA, "body": "another"}])
    with pytest.raises(InvalidMessage) as raised:
        found.require_all_good()
    assert "555666" not in str(raised.value)
    assert "555666" not in repr(found)


def test_the_same_recipient_and_message_are_sent_once():
    found = checked([ADA, GRACE, {**ADA, "to": "+1 555-666-7777"}, ADA])
    assert indexes(found) == [0, 1]
    assert (found.count, found.duplicates, found.bad) == (2, {3, 4}, ())


def test_the_same_recipient_with_another_message_needs_an_id():
    found = checked([ADA, {**ADA, "body": "Bye"}])
    assert [row.row for row in found.bad] == [2]
    assert "`id`" in found.bad[0].reason
    found = checked([{**ADA, "id": 1}, {**ADA, "body": "Bye", "id": 2}, {**ADA, "body": "Ciao", "id": "2"}])
    assert [row.row for row in found.bad] == [3]


def test_an_id_distinguishes_equal_messages():
    found = checked([{**ADA, "id": "A-1"}, {**ADA, "id": "A-2"}, {**ADA, "id": "A-1"}])
    assert (indexes(found), found.duplicates) == ([0, 1], {3})


def test_segments_are_counted_and_the_first_remarks_kept():
    found = checked([{"to": f"555666{number}", "body": "’" * 80} for number in range(1000, 1020)])
    assert found.segments == 40
    assert found.remarked == 20
    assert len(found.remarks) == 5
    assert found.remarks[0].startswith("Row 1 (to …1000): The character ’")


def test_a_check_can_be_ended():
    stop = Stop()
    seen = []

    def compose_and_stop(row):
        seen.append(row)
        stop.set()
        return compose(row)

    with pytest.raises(Stopped):
        check_rows(Rows.of([ADA, GRACE]), compose_and_stop, stop.check)
    assert seen == [ADA]


def test_a_long_list_of_long_messages_takes_little_memory():
    """A message here takes 300 bytes, let alone its objects."""
    count = 2_000
    rows = Rows.of([f"55{5_200_0000 + number}" for number in range(count)])
    tracemalloc.start()
    try:
        found = check_rows(rows, compose_long)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.count == count
    assert peak / count < 250


def compose_long(row) -> SmsMessage:
    return SmsMessage.create(to=row["to"], message=f"{row['to']} {'x' * 240}", from_numbers=SENDERS)


def nested(depth: int, core: object = "5556667777") -> object:
    for _ in range(depth):
        core = [core]
    return core


# One for all: each worker makes it, and the search for garbage goes through it.
DEEP = nested(100_000)


@pytest.mark.parametrize(
    "row",
    [
        None,
        True,
        5556667777.5,
        -2125550187,
        10**5000,
        b"5556667777",
        object(),
        DEEP,
        {},
        {"to": DEEP},
        {"to": {"to": "5556667777"}},
        {**ADA, "id": 10**5000},
        {**ADA, "id": DEEP},
        {**ADA, "id": "x" * 1001},
        {**ADA, "body": 10**5000},
        {**ADA, "body": DEEP},
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_row_of_an_odd_kind_is_a_bad_row(row):
    found = checked([GRACE, row])

    assert [bad.row for bad in found.bad] == [2]
    assert "555666" not in f"{found.bad}"


def test_an_empty_id_is_an_id():
    assert checked([{**ADA, "id": ""}]).bad == ()
