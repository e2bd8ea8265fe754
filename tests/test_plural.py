import pytest

from airflow_provider_dialogtech.exceptions import plural


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 segments"), (1, "1 segment"), (2, "2 segments"), (1234, "1,234 segments")]
)
def test_a_noun_follows_its_count(count, words):
    assert plural(count, "segment") == words


def test_a_plural_may_be_irregular():
    assert [plural(count, "try", "tries") for count in (1, 3)] == ["1 try", "3 tries"]
