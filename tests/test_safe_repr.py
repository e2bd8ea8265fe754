"""Descriptions of values that are huge or whose methods raise."""

from airflow_provider_dialogtech.masking import safe_repr, safe_str, type_name


class Raising:
    def __str__(self):
        raise ZeroDivisionError

    __repr__ = __str__


def test_the_string_is_bounded_and_empty_where_it_cannot_be_made():
    assert safe_str(Raising(), 10) == ""
    assert safe_str(10**5000, 10) == ""
    assert safe_str("x" * 100, 10) == "x" * 10
    assert "Raising" in safe_repr(Raising())
    assert 0 < len(safe_repr(10**5000)) <= 60
    assert safe_repr("fail") == "'fail'"
    assert len(safe_repr("x" * 1000)) < 60


def test_a_type_s_name_is_bounded_and_never_raises():
    class Meta(type):
        @property
        def __name__(cls):
            raise ZeroDivisionError

    assert type_name(5) == "int"
    assert type_name(Meta("Odd", (), {})()) == "object"
    assert len(type_name(type("x" * 1000, (), {})())) <= 60
