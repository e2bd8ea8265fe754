"""What the operators' templates render to, whatever `render_template_as_native_obj` says."""

import time
from datetime import datetime, timezone
from pathlib import Path, PurePath

import jinja2
import pytest

from airflow_provider_dialogtech._compat import AirflowFailException
from airflow_provider_dialogtech.bulk.shapes import listed
from airflow_provider_dialogtech.decorators.sms import dialogtech_sms_task
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.operators.sms import DialogTechSendBulkSmsOperator, DialogTechSendSmsOperator
from airflow_provider_dialogtech.settings.templates import in_single_braces

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

TEXTS = ["+6581234567", "+4520123456", "10.50", "1.10", "'quoted'", '"quoted"', "12,50", "007", "1_000", "[1]", "1e5"]
TEXTS += ["{'a': 1}", "True", "0x10", "(1,)", "5556667777", " 5 ", "b'x'", "...", "nan"]


@pytest.fixture(params=[True, False], ids=["native", "text"])
def dag(request, tmp_path):
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    with DAG(
        "renders",
        schedule=None,
        start_date=start,
        render_template_as_native_obj=request.param,
        template_searchpath=[str(tmp_path)],
    ) as dag:
        yield dag


def rendered(task, dag, **context):
    """Render as a task's process does, with the environment of its DAG."""
    task.render_template_fields(context, dag.get_template_env())
    return task


class Resolver:
    """As one of DNS names."""

    def resolve(self, name):
        raise OSError(f"no address of {name}")


@pytest.mark.parametrize("value", [Resolver(), PurePath("/data"), Path("/data")], ids=["object", "path", "file"])
def test_a_value_with_a_method_resolve_is_not_taken_for_a_reference(dag, value):
    rows = [{"to": "5556667777", "from": value}]
    task = DialogTechSendBulkSmsOperator(task_id="rows", recipients=rows, message="Hi")
    assert rendered(task, dag).recipients == rows
    assert rendered(single(task_id="one", to=value), dag).to is value

    @dialogtech_sms_task(to="5556667777")
    def words(given):
        return str(given)

    assert rendered(words(value).operator, dag).op_args == (value,)


def single(**arguments):
    return DialogTechSendSmsOperator(**{"task_id": "send", "to": "5556667777", "message": "Hi", **arguments})


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_as_it_is_as_a_literal_and_from_a_template(dag, text):
    for number, given in enumerate([text, "{{ params.value }}", "{% if 1 %}{{ params.value }}{% endif %}"]):
        task = single(task_id=f"send{number}", to=given, message=given, from_=given, idempotency_key=given)
        rendered(task, dag, params={"value": text})
        assert [task.to, task.message, task.from_, task.idempotency_key] == [text] * 4


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_a_list_stay_as_they_are(dag, text):
    rows = [{"to": text, "price": "{{ params.value }}"}, text, "{{ params.value }}"]
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="Hi")
    rendered(task, dag, params={"value": text})
    assert task.recipients == [{"to": text, "price": text}, text, text]


def test_a_list_arrives_as_a_list_with_all_that_is_in_it(dag):
    rows = [{"to": "+6581234567", "items": ["10.50", 2], "none": None}]
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients="{{ params.rows }}", message="Hi")
    assert rendered(task, dag, params={"rows": rows}).recipients == rows
    task = DialogTechSendBulkSmsOperator(
        task_id="nested", recipients=[{"to": "{{ params.to }}", "items": "{{ params.orders }}"}], message="Hi"
    )
    rendered(task, dag, params={"to": 5556667777, "orders": ["1.10"]})
    assert task.recipients == [{"to": 5556667777, "items": ["1.10"]}]


def test_a_number_becomes_text_and_none_is_as_if_it_was_not_given(dag):
    task = single(
        to="{{ params.to }}",
        from_="{{ params.x if params.x else none }}",
        idempotency_key="{{ params.missing }}",
        message="{{ 42 }}",
    )
    rendered(task, dag, params={"to": 5556667777, "missing": None, "x": 0})
    assert (task.to, task.from_, task.idempotency_key, task.message) == ("5556667777", None, None, "42")


def test_an_instance_of_a_mapped_task_renders_the_same(dag):
    partial = DialogTechSendSmsOperator.partial(task_id="mapped", message="{{ params.price }}")
    task = partial.expand(to=["+6581234567"]).unmap({"to": "+6581234567"})
    rendered(task, dag, params={"price": "10.50"})
    assert (task.to, task.message) == ("+6581234567", "10.50")


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_in_a_functions_arguments_stays_as_it_is(dag, text):
    given = {"value": "{{ params.value }}", "more": ["{{ params.value }}"], "literal": text}
    task = dialogtech_sms_task(lambda *_, **__: "Hi", task_id="function", to="{{ params.value }}")(
        "{{ params.value }}", **given
    ).operator
    rendered(task, dag, params={"value": text})
    assert task.to == text
    assert list(task.op_args) == [text]
    assert task.op_kwargs == {"value": text, "more": [text], "literal": text}


def test_another_value_in_a_functions_arguments_stays_so_in_a_dag_that_renders_natively(dag):
    task = dialogtech_sms_task(lambda rows: "Hi", task_id="function")(rows="{{ params.rows }}").operator
    rendered(task, dag, params={"rows": [10]})
    assert task.op_kwargs == {"rows": [10] if dag.render_template_as_native_obj else "[10]"}


def test_none_that_is_written_in_a_template_is_refused(dag):
    with pytest.raises(AirflowFailException, match="in the template of `message`, an expression is None"):
        rendered(single(message="Hi {{ none }}"), dag)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_value_missing_inside_a_message_is_refused_by_the_argument(dag, value, caplog):
    with pytest.raises(AirflowFailException, match=r"in the template of `message`, an expression is (None|nan)\."):
        rendered(single(message="Hi {{ params.name }}, welcome"), dag, params={"name": value})
    assert caplog.records[0].getMessage().startswith("The message was not sent: in the template of `message`, an")
    task = single(task_id="defaulted", message="Hi {{ params.name | default('you', true) }}.")
    assert rendered(task, dag, params={"name": None}).message == "Hi you."


def test_a_function_that_is_not_called_is_refused(dag):
    with pytest.raises(AirflowFailException, match=r"an expression is a function\. Call it"):
        rendered(single(message="Hi {{ params.name.title }}"), dag, params={"name": "ada"})


@pytest.mark.parametrize("message", ["{{ params.value }}", "Rows: {{ params.value }}"])
@pytest.mark.parametrize("value", [{"a": 1}, ["a"], {"a"}], ids=str)
def test_a_collection_is_no_text(dag, message, value):
    with pytest.raises(
        AirflowFailException, match=r"of `message`, an expression is a \w+\. Write one of its values, or"
    ):
        rendered(single(message=message), dag, params={"value": value})


@pytest.mark.parametrize("given", [" {{ params.rows }} ", "rows: {{ params.rows }}"])
def test_a_list_beside_text_is_refused_as_the_list_that_it_is_not(dag, given):
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=given, message="Hi")
    rendered(task, dag, params={"rows": [{"to": "5556667777"}]})
    with pytest.raises(InvalidMessage, match="A template gives a list alone in its braces"):
        listed(task.recipients)


def test_an_undefined_name_fails_as_in_any_operator(dag, caplog):
    with pytest.raises(jinja2.UndefinedError, match="'nmae' is undefined"):
        rendered(single(message="Hi {{ nmae }}"), dag)
    words = "the template of `message` cannot be rendered (UndefinedError: 'nmae' is undefined). Correct the template."
    assert caplog.records[0].getMessage() == f"Nothing was sent: {words}"


def test_a_date_that_a_run_by_hand_does_not_have_is_advised_about(dag, caplog):
    with pytest.raises(jinja2.UndefinedError, match="'ds' is undefined"):
        rendered(single(message="The figures of {{ ds }}"), dag)
    assert caplog.records[0].getMessage().endswith("use (dag_run.logical_date or dag_run.run_after).")


def test_a_template_in_a_list_that_fails_is_named(dag, caplog):
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=[{"to": "{{ nmae }}"}], message="Hi")
    with pytest.raises(jinja2.UndefinedError, match="'nmae' is undefined"):
        rendered(task, dag)
    words = (
        "the template of `recipients` cannot be rendered (UndefinedError: 'nmae' is undefined). Correct the template."
    )
    assert f"Nothing was sent: {words}" in [record.getMessage() for record in caplog.records]


def test_a_value_missing_inside_a_text_of_a_list_is_refused_by_the_argument(dag):
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=["+1 {{ params.to }}"], message="Hi")
    with pytest.raises(AirflowFailException, match=r"in the template of `recipients`, an expression is None\."):
        rendered(task, dag, params={"to": None})


def test_the_words_of_other_errors_are_not_logged(dag, caplog):
    with pytest.raises(ValueError, match="could not convert"):
        rendered(single(message="{{ convert(params.name) }}"), dag, params={"name": "Ada"}, convert=float)
    assert caplog.records[0].getMessage() == (
        "Nothing was sent: the template of `message` cannot be rendered (ValueError). Correct the template."
    )


@pytest.mark.parametrize("written", ["run_id", " params.name ", "ds", "data_interval_start", "recipient.name"])
def test_what_an_f_string_leaves_in_single_braces_is_refused(dag, written):
    with pytest.raises(AirflowFailException, match="in single braces, which are sent as they are"):
        rendered(single(message=f"Done: {{{written}}}"), dag, params={"name": "Ada"}, run_id="r")


@pytest.mark.parametrize("piece", ["{{", "{%", "{", "{{ {%", "{ a "])
def test_many_braces_are_read_in_linear_time(piece):
    started = time.process_time()
    assert in_single_braces(piece * 200_000, lambda _: True) is None
    assert time.process_time() - started < 10


def test_other_braces_are_sent(dag):
    message = "{x} {} {'run_id': 1} { {{ run_id }} }"
    task = single(message=message, idempotency_key="{run_id}")
    rendered(task, dag, run_id="r")
    assert (task.message, task.idempotency_key) == ("{x} {} {'run_id': 1} { r }", "{run_id}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"Ada", "is bytes"), (object(), r"is an object \(object\)"), ((x for x in "a"), r"is an object \(generator\)")],
)
def test_what_only_python_shows_is_refused(dag, value, reason):
    with pytest.raises(AirflowFailException, match=f"in the template of `message`, an expression {reason}"):
        rendered(single(message="Hi {{ params.name }}"), dag, params={"name": value})


@pytest.mark.parametrize(
    "message", ["Write to us at acme.sms", "Hi {{ params.name }}.sms", "Order {{ params.name }}: acme.sms"]
)
def test_a_message_that_ends_like_a_file_is_a_message(dag, message):
    task = single(to="x.sms", message=message, from_="y.sms", idempotency_key="{{ params.name }}.sms")
    task.resolve_template_files()
    rendered(task, dag, params={"name": "Ada"})
    expected = message.replace("{{ params.name }}", "Ada")
    assert (task.to, task.message, task.from_, task.idempotency_key) == ("x.sms", expected, "y.sms", "Ada.sms")


def test_the_texts_of_rows_are_never_files(dag):
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=[{"url": "acme.sms"}, "acme.sms"], message="Hi")
    task.resolve_template_files()
    assert rendered(task, dag).recipients == [{"url": "acme.sms"}, "acme.sms"]


def test_a_file_is_read_without_its_byte_order_mark_and_rendered_as_text(dag, tmp_path):
    (tmp_path / "price.sms").write_text("{{ params.price }}")
    task = single(message="price.sms")
    task.resolve_template_files()
    assert rendered(task, dag, params={"price": "10.50"}).message == "10.50"


@pytest.mark.parametrize("message", ["nowhere.sms", "hello_{{ params.name }}.sms"])
def test_a_file_that_does_not_exist_is_named_in_our_words(dag, message, caplog):
    with pytest.raises(AirflowFailException, match="is neither beside the DAG nor in its template_searchpath"):
        rendered(single(message=message), dag, params={"name": "Ada"})
    assert [record.levelname for record in caplog.records if record.name.startswith("airflow_provider")] == ["ERROR"]


def test_a_file_in_another_encoding_is_named(dag, tmp_path):
    (tmp_path / "hello.sms").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(AirflowFailException, match=r"hello\.sms is not in UTF-8\. Save it as UTF-8"):
        rendered(single(message="hello.sms"), dag)


@pytest.fixture
def compiled(monkeypatch):
    """The texts that were compiled as templates."""
    texts = []
    compile_text = jinja2.Environment.from_string

    def from_string(self, source, *args, **kwargs):
        texts.append(source)
        return compile_text(self, source, *args, **kwargs)

    monkeypatch.setattr(jinja2.Environment, "from_string", from_string)
    return texts


def test_a_long_list_is_rendered_only_where_there_is_something_to_render(dag, compiled):
    """To compile each value of a hundred thousand rows, as Airflow does, takes a minute."""
    plain = [{"to": f"+6581{n:06}", "name": f"Ada {n}", "items": ["{a}", 2, None, True, 1.5]} for n in range(500)]
    rows = [*plain, {"to": "1", "when": "{{ params.when }}"}, {"to": "2", "when": "{{ params.when }}"}]
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=rows, message="Hi")
    compiled.clear()
    rendered(task, dag, params={"when": "10.50"})
    assert task.recipients == [*plain, {"to": "1", "when": "10.50"}, {"to": "2", "when": "10.50"}]
    assert all(row is given for row, given in zip(task.recipients, plain, strict=False))
    assert sorted(compiled) == ["dialogtech_default", "{{ params.when }}"]


class Rows(list):
    """A list whose rows are no plain ones."""


@pytest.mark.parametrize("text", ["Ada\n", "a\r\nb", "{# no #}Ada", "{% if 1 %}Ada{% endif %}", "{{ 'Ada' }}", "Ada"])
@pytest.mark.parametrize("rows", [list, tuple, Rows, lambda rows: [[[[[rows]]]]]])
def test_a_list_renders_as_jinja_renders_each_of_its_texts(dag, text, rows):
    task = DialogTechSendBulkSmsOperator(task_id="send", recipients=rows([text, {"name": text}]), message="Hi")
    expected = dag.get_template_env().from_string(text).render()
    found = rendered(task, dag).recipients
    while isinstance(found[0], list):
        (found,) = found
    assert list(found) == [expected, {"name": expected}]


@pytest.mark.parametrize(("option", "sign"), [("line_statement_prefix", "%%"), ("variable_start_string", "<<")])
def test_the_signs_of_the_dag_s_own_environment_are_known(option, sign):
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    options = {option: sign, **({"variable_end_string": ">>"} if sign == "<<" else {})}
    with DAG("signs", schedule=None, start_date=start, jinja_environment_kwargs=options) as own:
        task = DialogTechSendBulkSmsOperator(
            task_id="send", recipients=["<< params.to >>" if sign == "<<" else "%% set x = 1"], message="Hi"
        )
    assert rendered(task, own, params={"to": "5"}).recipients == (["5"] if sign == "<<" else [""])
