import copy
import json
import pickle

import pytest

from airflow_provider_dialogtech.delivery.result import SendResult
from tests.results import a_result

RESULT = a_result(sent_at="2026", waited_seconds=0.5, attempts=2)


def test_a_result_is_plain_json_whose_values_are_attributes_too():
    assert json.loads(json.dumps(RESULT)) == RESULT == RESULT.as_xcom()
    assert type(RESULT.as_xcom()) is dict
    assert (RESULT.status, RESULT.to, RESULT.from_, RESULT.attempts) == ("sent", "…7777", "…2111", 2)
    assert RESULT["from"] == "…2111"


def test_a_result_is_read_back_as_it_was_written():
    again = SendResult(**json.loads(json.dumps(RESULT.as_xcom())))
    assert (type(again), again) == (SendResult, RESULT)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])  # noqa: S301
def test_a_copy_is_a_result(copied):
    assert type(copied(RESULT)) is SendResult
    assert copied(RESULT).from_ == "…2111"


def test_what_a_result_does_not_have_is_no_attribute():
    assert not hasattr(RESULT, "price")
    assert not hasattr(RESULT, "status_")


def test_a_misspelt_field_is_refused():
    with pytest.raises(TypeError, match="a result has no segment"):
        a_result(segment=1)
