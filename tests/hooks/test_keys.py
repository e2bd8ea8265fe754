from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dialogtech.hooks import keys

RUN = ("dag", "run", "task", -1, "5556667777")


def test_a_tasks_text_has_the_same_key_on_every_try():
    assert keys.task_key(*RUN) == keys.task_key(*RUN)


def test_another_dag_run_task_map_index_or_recipient_has_another_key():
    others = (
        ("dag2", "run", "task", -1, "5556667777"),
        ("dag", "run2", "task", -1, "5556667777"),
        ("dag", "run", "task2", -1, "5556667777"),
        ("dag", "run", "task", 0, "5556667777"),
        ("dag", "run", "task", -1, "5556667778"),
        (*RUN, "order 17"),
    )
    assert len({keys.task_key(*RUN), *(keys.task_key(*other) for other in others)}) == 7


@given(st.lists(st.text(), min_size=4, max_size=4), st.lists(st.text(), min_size=4, max_size=4))
def test_names_that_run_into_each_other_are_kept_apart(one, other):
    same = keys.task_key(*one[:3], -1, one[3]) == keys.task_key(*other[:3], -1, other[3])
    assert same == (one == other)


def test_no_key_holds_a_phone_number_and_every_key_fits_the_journal():
    for key in (keys.task_key(*RUN), keys.given_key("order for 5556667777"), keys.default_key("5556667777", "hi")):
        assert "5556667777" not in key
        assert len(key) <= 64


def test_a_given_key_is_never_a_tasks_key():
    assert keys.given_key(keys.task_key(*RUN)) != keys.task_key(*RUN)


def test_outside_a_task_every_text_has_a_key_of_its_own():
    assert keys.default_key("5556667777", "hi") != keys.default_key("5556667777", "hi")


def test_inside_a_task_the_text_belongs_to_the_key(monkeypatch):
    from airflow_provider_dialogtech import _compat

    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1)
    monkeypatch.setattr(_compat, "get_current_context", lambda: {"ti": ti})
    first, again, other = (keys.default_key("5556667777", text) for text in ("hi", "hi", "ho"))
    assert first == again != other
