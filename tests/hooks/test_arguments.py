from datetime import timedelta

import pytest

from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import check_choices, seconds_of
from airflow_provider_dialogtech.masking import type_name


class NoAnswer:
    """Raises whatever it is asked, as an array of numpy does where it is compared."""

    def __eq__(self, other):
        raise ValueError

    def __hash__(self):
        raise ValueError

    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(("given", "seconds"), [(None, None), (0, 0.0), (1.5, 1.5), (timedelta(minutes=2), 120.0)])
def test_a_wait_is_seconds_or_a_timedelta(given, seconds):
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("given", [-1, timedelta(seconds=-1), float("nan"), float("inf"), True, "60", [1], 10**400])
def test_any_other_wait_is_refused_by_name(given):
    with pytest.raises(InvalidMessage, match="max_wait must be"):
        seconds_of(given)


def test_known_choices_pass():
    check_choices(in_doubt="resend", on_too_long="truncate")
    check_choices(in_doubt="fail", on_too_long="fail")


@pytest.mark.parametrize("name", ["in_doubt", "on_too_long"])
@pytest.mark.parametrize("value", ["RESEND", "", None, 1, ["fail"], 10**5000, NoAnswer()], ids=type_name)
def test_an_unknown_choice_is_refused_by_name(name, value):
    with pytest.raises(InvalidMessage, match=f'{name} must be "fail" or'):
        check_choices(**{name: value})
