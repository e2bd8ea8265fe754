"""The documentation has the bounds and the template fields of the code."""

from pathlib import Path

import pytest

from airflow_provider_dialogtech.alerts import text
from airflow_provider_dialogtech.bulk import rows, template
from airflow_provider_dialogtech.journal import planner
from airflow_provider_dialogtech.notifications import sms as notifier
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from airflow_provider_dialogtech.sandbox.guard import LONGEST_BODY, LOOPBACK
from airflow_provider_dialogtech.sms import message, numbers

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "security.md").read_text(encoding="utf-8")
SHOWN = (DOCS / "keep-numbers-out.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "bound"),
    [
        ("a message", message.MAX_LENGTH),
        ("a message", message.LONGEST_READ),
        ("a phone number", numbers.LONGEST_WRITTEN),
        ("a list", rows.MOST_ROWS),
        ("a list's template", template.LONGEST_TEMPLATE),
        ("what it renders to", template.LONGEST_READ),
        ("a row's `id`", rows.LONGEST_ID),
        ("an error's words in an alert", text.LONGEST_ERROR_READ),
        ("an error's words in an alert", text.LONGEST_WHY),
        ("an account's waiting messages", planner.MOST_WAITING),
        ("an alert's recipients", notifier.MOST_RECIPIENTS),
    ],
)
def test_a_bound_is_documented(row, bound):
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row} |")]
    assert f" {bound:,} " in line


def test_other_bounds_are_documented():
    assert notifier.LONGEST_COOLDOWN.days == 3650
    assert "ten years" in PAGE
    assert f"at most {LONGEST_BODY // 1024} KiB" in PAGE
    assert all(f"`{name}`" in PAGE for name in LOOPBACK)


@pytest.mark.parametrize("operator", [DialogTechSendSmsOperator, DialogTechSendBulkSmsOperator])
def test_every_field_that_airflow_shows_and_that_may_hold_a_number_or_a_message_is_documented(operator):
    line = next(line for line in SHOWN.splitlines() if line.startswith("- **Rendered templates.**"))
    fields = {"to", "message", "recipients"} & set(operator.template_fields)
    assert fields
    assert all(f"`{field}`" in line for field in fields)
    assert f"`{operator.__name__}`" in line
