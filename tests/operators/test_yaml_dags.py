"""What a YAML file says otherwise than it looks is refused, and sent as it is written where it is quoted."""

import pytest

from airflow_provider_dialogtech._compat import AirflowFailException
from tests.yaml_dags import dags_of

_DAG = """
$schema: https://airflow.apache.org/schemas/dag/2026-10-30.json
dag_id: etl_in_yaml
tasks:
  - id: send
    uses: airflow_provider_dialogtech.operators.sms.{operator}
    with: {arguments}
"""


@pytest.fixture
def ending(tmp_path, connection):
    """Run a task of a YAML DAG with these arguments; return the error that ends it."""

    def run(arguments, operator="DialogTechSendSmsOperator"):
        connection(extra={"from_numbers": "5554332111"})
        text = _DAG.format(operator=operator, arguments=arguments)
        task = dags_of(text, tmp_path)["etl_in_yaml"].get_task("send")
        task.render_template_fields({"run_id": "manual__1"})
        with pytest.raises(AirflowFailException) as refused:
            task.execute({"ti": None})
        return str(refused.value)

    return run


@pytest.mark.parametrize(
    ("arguments", "problem", "advice"),
    [
        ("{to: +6582345678, message: Hello}", "YAML reads `to` as int", "Quote the number"),
        ("{to: 5556667777, message: Hello}", "YAML reads `to` as int", "Quote the number"),
        ("{to: '5556667777', from_: +6582345678, message: Hello}", "YAML reads `from_` as int", "Quote the number"),
        ("{to: '5556667777', message: 12:30}", "YAML reads `message` as int", "Quote it."),
        ("{to: '5556667777', message: yes}", "YAML reads `message` as bool", "Quote it."),
        ("{to: '5556667777', message: 2026-12-01}", "YAML reads `message` as date", "Quote it."),
        ("{to: '5556667777', message: hello.sms}", "is the name of a file", "message: {$t: {$f: …}}"),
        (
            "{to: '5556667777', message: 'The load of {{ run_id }}'}",
            "`message` contains {{ run_id }}, which Airflow did not render",
            "message: {$t: …}",
        ),
    ],
)
def test_what_is_not_marked_or_not_quoted_is_refused(ending, arguments, problem, advice):
    ended = ending(arguments)
    assert problem in ended
    assert advice in ended
    assert "not sent" in ended or "Nothing was sent" in ended


@pytest.mark.parametrize("rows", ["[+6582345678]", "[{to: '5556667777'}, {To: +6582345678}]"])
def test_a_list_with_a_number_without_quotes_is_refused(ending, rows):
    ended = ending(f"{{recipients: {rows}, message: Hello}}", "DialogTechSendBulkSmsOperator")
    assert "YAML reads the number of row" in ended
    assert "Nothing was sent" in ended
    assert "5678" not in ended


def test_a_message_that_is_marked_is_rendered(tmp_path):
    arguments = """{to: "5556667777", message: {$t: "The load of {{ run_id }} is done."}}"""
    text = _DAG.format(operator="DialogTechSendSmsOperator", arguments=arguments)
    task = dags_of(text, tmp_path)["etl_in_yaml"].get_task("send")
    task.render_template_fields({"run_id": "manual__1"})
    assert task.message == "The load of manual__1 is done."
