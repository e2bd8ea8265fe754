import jinja2
import pytest

from airflow_provider_dialogtech.api.errors import InvalidMessage
from airflow_provider_dialogtech.operators.rendering import RowTemplate
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


def render(message, row, *, context=None, **settings):
    with DAG("texts", schedule=None, **settings):
        task = DialogTechSendBulkSmsOperator(task_id="text", recipients=[], message=message)
    return RowTemplate(task, message, context or {"ds": "2026-11-23"}).render(row)


def test_a_rows_values_and_airflows_own_are_known():
    assert render("Hi {{ recipient.name }}, it is {{ ds }}", {"name": "Ada"}) == "Hi Ada, it is 2026-11-23"
    assert render("Hi {{ recipient['first name'] }}", {"first name": "Ada"}) == "Hi Ada"


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "pop", "copy", "update"])
def test_a_value_may_have_the_name_of_a_mappings_method(name):
    assert render(f"{{{{ recipient.{name} }}}}", {name: "3"}) == "3"
    with pytest.raises(InvalidMessage):
        render(f"{{{{ recipient.{name} }}}}", {})


@pytest.mark.parametrize("undefined", [jinja2.StrictUndefined, jinja2.Undefined])
def test_a_slip_in_a_name_is_a_mistake_and_no_empty_string(undefined):
    with pytest.raises(InvalidMessage, match=r"UndefinedError: 'recipient' has no attribute 'nmae'"):
        render("Hi {{ recipient.nmae }}", {"name": "Ada"}, template_undefined=undefined)
    with pytest.raises(InvalidMessage, match=r"'recipent' is undefined"):
        render("Hi {{ recipent.name }}", {"name": "Ada"}, template_undefined=undefined)


def test_what_may_be_missing_has_a_default():
    assert render("Hi {{ recipient.name | default('you') }}", {}) == "Hi you"


@pytest.mark.parametrize("text", ["007", "1.50", "1_000", "[1]", "None", "True", 7])
def test_a_text_stays_as_it_is_where_dags_render_natively(text):
    assert render("{{ recipient.text }}", {"text": text}, render_template_as_native_obj=True) == str(text)


def test_a_dags_own_macros_and_filters_are_known():
    macros = {"user_defined_macros": {"shop": "ACME"}, "user_defined_filters": {"shout": str.upper}}
    assert render("{{ recipient.name | shout }} at {{ shop }}", {"name": "Ada"}, **macros) == "ADA at ACME"


def test_a_row_is_data_and_no_template():
    assert render("Hi {{ recipient.name }}", {"name": "{{ ds }}"}) == "Hi {{ ds }}"


def test_a_file_is_found_beside_the_dag_and_its_last_new_line_is_not_the_texts(tmp_path):
    (tmp_path / "hello.sms").write_text("Hi {{ recipient.name }},\nbye.\n")
    assert render("hello.sms", {"name": "Ada"}, template_searchpath=[str(tmp_path)]) == "Hi Ada,\nbye."


@pytest.mark.parametrize("message", ["{% call5556667777 %}", "to 5556667777.sms"])
def test_no_whole_number_is_told_of_what_is_no_template(message):
    with pytest.raises(InvalidMessage) as raised:
        render(message, {})
    assert "5556667777" not in str(raised.value)
    assert "…7777" in str(raised.value)


@pytest.mark.parametrize("message", ["Hi {{ recipient.name", "{% for %}", "nowhere.sms"])
def test_what_is_no_template_is_told_before_any_row(message):
    with pytest.raises(InvalidMessage, match="`message` is no valid template"):
        render(message, {})


def test_an_error_while_rendering_shows_no_number():
    with pytest.raises(InvalidMessage) as raised:
        render("{{ {}[recipient.to] + int(recipient.to) }}", {"to": "5556667777"}, user_defined_macros={"int": fail})
    assert "555666" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


def fail(value):
    raise ValueError(f"no price for {value}")


def test_nothing_internal_is_reachable():
    with pytest.raises(InvalidMessage):
        render("{{ recipient.__class__.__mro__ }}", {})
