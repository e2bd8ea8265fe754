import jinja2
import pytest

from airflow_provider_dialogtech.bulk.template import RowTemplate
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator
from tests.hostile.looking import seen_of, soon

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


def a_template(message, *, context=None, **settings):
    with DAG("messages", schedule=None, **settings):
        task = DialogTechSendBulkSmsOperator(task_id="send", recipients=[], message=message)
    return RowTemplate(task, message, context or {"ds": "2026-11-23"})


def render(message, row, *, context=None, **settings):
    return a_template(message, context=context, **settings).render(row)


def test_a_row_without_to_is_refused_with_advice():
    with pytest.raises(InvalidMessage) as raised:
        a_template("Hi").compose({"phone": "5556667777"}, number_of=str)
    assert raised.value.reason == "it has no `to`, which is where its phone number belongs"


def test_a_rows_values_and_airflows_own_are_known():
    assert render("Hi {{ recipient.name }}, it is {{ ds }}", {"name": "Ada"}) == "Hi Ada, it is 2026-11-23"
    assert render("Hi {{ recipient['first name'] }}", {"first name": "Ada"}) == "Hi Ada"


@pytest.mark.parametrize("name", ["items", "keys", "values", "get", "pop", "copy", "update"])
def test_a_value_may_have_the_name_of_a_mappings_method(name):
    assert render(f"{{{{ recipient.{name} }}}}", {name: "3"}) == "3"
    with pytest.raises(InvalidMessage):
        render(f"{{{{ recipient.{name} }}}}", {})


@pytest.mark.parametrize("undefined", [jinja2.StrictUndefined, jinja2.Undefined])
def test_an_undefined_name_makes_the_row_invalid(undefined):
    with pytest.raises(InvalidMessage, match=r"^The message was not sent: it has no `nmae`; its columns are name\."):
        render("Hi {{ recipient.nmae }}", {"name": "Ada"}, template_undefined=undefined)
    with pytest.raises(InvalidMessage, match=r"'recipent' is undefined"):
        render("Hi {{ recipent.name }}", {"name": "Ada"}, template_undefined=undefined)


def test_what_may_be_missing_has_a_default():
    assert render("Hi {{ recipient.name | default('you') }}", {}) == "Hi you"


@pytest.mark.parametrize("text", ["007", "1.50", "1_000", "[1]", "NA", "none", "True", 7])
def test_a_message_stays_as_it_is_where_dags_render_natively(text):
    assert render("{{ recipient.text }}", {"text": text}, render_template_as_native_obj=True) == str(text)


def test_a_dags_own_macros_and_filters_are_known():
    macros = {"user_defined_macros": {"shop": "ACME"}, "user_defined_filters": {"shout": str.upper}}
    assert render("{{ recipient.name | shout }} at {{ shop }}", {"name": "Ada"}, **macros) == "ADA at ACME"


def test_a_row_is_not_rendered_as_a_template():
    assert render("Hi {{ recipient.name }}", {"name": "{{ ds }}"}) == "Hi {{ ds }}"


def test_a_file_is_found_beside_the_dag_and_its_last_new_line_is_not_the_messages(tmp_path):
    (tmp_path / "hello.sms").write_text("Hi {{ recipient.name }},\nbye.\n")
    assert render("hello.sms", {"name": "Ada"}, template_searchpath=[str(tmp_path)]) == "Hi Ada,\nbye."


@pytest.mark.parametrize("message", ["{% call5556667777 %}", "to-5556667777.sms"])
def test_an_invalid_template_shows_no_full_number(message):
    with pytest.raises(InvalidMessage) as raised:
        render(message, {})
    assert "5556667777" not in str(raised.value)
    assert "…7777" in str(raised.value)


@pytest.mark.parametrize("message", ["Hi {{ recipient.name", "{% for %}", "nowhere.sms"])
def test_an_invalid_template_is_refused_before_any_row(message):
    with pytest.raises(InvalidMessage, match="`message` is not a valid template"):
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


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-32", "cp1252"])
def test_a_file_in_another_encoding_is_named_with_the_right_one(tmp_path, encoding):
    (tmp_path / "hello.sms").write_bytes("Grüße, {{ recipient.name }}".encode(encoding))
    with pytest.raises(InvalidMessage, match=r"hello\.sms is not in UTF-8.*Save it as UTF-8") as raised:
        render("hello.sms", {"name": "Ada"}, template_searchpath=[str(tmp_path)])
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_a_file_that_another_one_includes_may_be_the_one_in_another_encoding(tmp_path):
    (tmp_path / "hello.sms").write_text("{% include 'footer.sms' %}")
    (tmp_path / "footer.sms").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(InvalidMessage, match="UnicodeDecodeError"):
        render("hello.sms", {}, template_searchpath=[str(tmp_path)])


def test_a_byte_order_mark_is_removed(tmp_path):
    (tmp_path / "hello.sms").write_text("Hi {{ recipient.name }}", encoding="utf-8-sig")
    assert render("hello.sms", {"name": "Ada"}, template_searchpath=[str(tmp_path)]) == "Hi Ada"


@pytest.mark.parametrize(
    "message",
    [
        "{{ " + "(" * 20_000 + " }}",
        "{{ " + "[" * 20_000 + "]" * 20_000 + " }}",
        "{{ " + "-" * 40_000 + "1 }}",
        "{{ 1" + "+1" * 20_000 + " }}",
        "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
        "{% for a in [1] %}" * 50 + "{% endfor %}" * 50,
        "x" * 1_000_000,
        "hello\0.sms",
        "x" * 50_000 + ".sms",
    ],
    ids=lambda message: message[:20],
)
def test_a_template_too_deep_or_too_long_is_refused_before_any_row(message):
    with soon(), pytest.raises(InvalidMessage, match=r"^Nothing was sent: `message`"):
        render(message, {})


def test_what_a_template_renders_to_is_bounded():
    without_end = "{% for a in range(99999) %}{% for b in range(99999) %}word {% endfor %}{% endfor %}"
    with soon():
        assert len(render(without_end, {})) == 10_000
    assert len(render("{{ recipient.text }}", {"text": "x" * 10_000_000})) == 10_000


def test_a_macro_that_calls_itself_without_end_makes_a_bad_row():
    with pytest.raises(InvalidMessage, match="RecursionError"):
        render("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", {})


class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError


def mute():
    raise Mute


def long():
    raise ValueError("x" * 100_000_000)


@pytest.mark.parametrize("fail", [mute, long])
def test_an_error_whose_str_raises_or_is_endless_makes_the_row_invalid(fail):
    with soon(), pytest.raises(InvalidMessage, match="cannot be rendered") as raised:
        render("{{ fail() }}", {}, user_defined_macros={"fail": fail})
    assert len(str(raised.value)) < 300


ROW = {"to": "5556667777", "name": "canary O'Brien\n", "deep": {"name": "canary"}, "number": 5556667777}


@pytest.mark.parametrize(
    "message",
    [
        "{{ {}[recipient.name] }}",
        "{{ recipient.nmae }}",
        "{{ recipient.name + 1 }}",
        "{{ recipient.name | int + fail(recipient.name) }}",
        "{{ fail(recipient.deep) }}",
        "{{ fail(recipient.number) }}",
        "{{ recipient.name.__class__ }}",
        "{{ ().x.y }}",
    ],
)
def test_no_error_shows_a_value_of_the_row_not_even_in_the_locals_of_its_frames(message):
    with pytest.raises(InvalidMessage) as raised:
        render(message, ROW, user_defined_macros={"fail": fail})
    seen = seen_of(raised.value)
    assert "masking.py" in seen
    assert "canary" not in seen
    assert "55566" not in seen


@pytest.mark.parametrize("name", ["Ada", "Ada\nLovelace"])
def test_a_value_that_an_error_quotes_is_removed(name):
    with pytest.raises(InvalidMessage) as raised:
        render("{{ whole(recipient.name) }}", {"name": name}, user_defined_macros={"whole": int})
    told = "ValueError: invalid literal for int() with base 10: '…'"
    assert raised.value.reason == f"its message cannot be rendered ({told})"


@pytest.mark.parametrize(
    "message", ["Write to us at acme.sms", "Hi {{ recipient.name }}: acme.sms", "{{ 'acme.sms' }}"]
)
def test_a_message_with_blanks_that_ends_like_a_file_is_a_message(message):
    assert render(message, {"name": "Ada"}).endswith("acme.sms")


def test_a_macro_renders_as_it_does_in_any_dag():
    macro = (
        "{% macro order(id) %}order {{ id }}{% endmacro %}{% set all %}{{ order(recipient.id) }}{% endset %}{{ all }}."
    )
    assert render(macro, {"id": 7}) == "order 7."
    with pytest.raises(InvalidMessage, match="its `id` is empty"):
        render(macro, {"id": None})
