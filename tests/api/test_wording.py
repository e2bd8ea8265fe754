import re

import pytest

from airflow_provider_dialogtech.api.wording import BAD_CREDENTIALS, THROTTLED, has_phrase, says


@pytest.mark.parametrize("wording", [*THROTTLED, *BAD_CREDENTIALS], ids=lambda wording: wording.example)
def test_each_pattern_finds_its_example_in_either_case(wording):
    assert re.search(wording.pattern, wording.example, re.IGNORECASE)
    assert says(wording.example.upper(), [wording])


@pytest.mark.parametrize("table", [THROTTLED, BAD_CREDENTIALS], ids=["throttled", "bad credentials"])
def test_each_example_is_found_by_one_pattern_only(table):
    for wording in table:
        others = [other for other in table if other is not wording]
        assert not says(wording.example, others), wording.example


def test_neither_table_matches_the_examples_of_the_other():
    assert not any(says(wording.example, BAD_CREDENTIALS) for wording in THROTTLED)
    assert not any(says(wording.example, THROTTLED) for wording in BAD_CREDENTIALS)


@pytest.mark.parametrize("hostile", ["sms " * 50, "exceed" + "a" * 190, "too many " + "a " * 90, "limit per " * 20])
def test_no_description_makes_a_pattern_slow(hostile):
    for table in (THROTTLED, BAD_CREDENTIALS):
        says(hostile[:200], table)


def test_a_phrase_is_found_without_regard_to_case_and_spaces():
    assert has_phrase("Bitte langsamer", ["x", "BITTE  lang"])
    assert not has_phrase("Bitte langsamer", ["bitte.*"])
    assert not has_phrase("Bitte langsamer", [])
