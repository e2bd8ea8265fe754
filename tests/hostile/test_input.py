"""Attacks by input: messages, numbers, rows, contexts, templates and arguments of every kind.

Every input leads quickly to a result or a named error. The error shows no part of a number or a message, neither in
its own message nor in the locals of its frames.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_dialogtech.alerts.event import EVENTS, event_of
from airflow_provider_dialogtech.alerts.text import built_in_body, fit, identity_of
from airflow_provider_dialogtech.bulk.rows import Rows, check_rows
from airflow_provider_dialogtech.bulk.template import RowTemplate
from airflow_provider_dialogtech.exceptions import InvalidMessage
from airflow_provider_dialogtech.notifications.sms import DialogTechSmsNotifier
from airflow_provider_dialogtech.settings.identity import origin_of
from airflow_provider_dialogtech.sms.message import MAX_LENGTH, SmsMessage, normalize_number
from tests.hostile.conftest import PROFILE
from tests.hostile.looking import seen_of, soon

TO, FROM = "5556667777", "5554332111"
CANARY = "Zanzibar"
# Of a number at most the last four digits are shown.
SHOWS_TOO_MUCH = (CANARY, TO[:-4], FROM[:-4])


class Mute:
    """Every operation on it raises."""

    def __str__(self):
        raise ZeroDivisionError

    def __repr__(self):
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    def __bool__(self):
        raise ZeroDivisionError

    def __iter__(self):
        raise ZeroDivisionError

    def __getattr__(self, name):
        raise ZeroDivisionError

    __hash__ = object.__hash__


class MuteError(Exception):
    __str__ = __repr__ = Mute.__str__


def nested(core, depth):
    for _ in range(depth):
        core = [core]
    return core


# Made when they are used: most processes of the tests use none.
MONSTERS = {
    "10 MB": lambda: (CANARY + " ") * 1_200_000,
    "accents": lambda: "e" + "\u0301\u0323" * 80_000,
    "flags": lambda: "\U0001f1e6" * 100_000,
    "joined": lambda: "\U0001f469\u200d" * 100_000,
    "blank": lambda: " " * 10_000_000,
    "digits": lambda: TO * 1_000_000,
    "huge int": lambda: 10**5000,
    "huge negative int": lambda: -(10**5000),
    "deep list": lambda: nested(TO, 100_000),
    "surrogates": lambda: CANARY + "\ud83c" * 1000,
    "mute": Mute,
    "bytes": lambda: CANARY.encode() * 1_000_000,
}


@cache
def made(name):
    return MONSTERS[name]()


@dataclass(frozen=True)
class Monster:
    """Stands for a huge value until it is used: hypothesis shows a failing value, and some cannot be shown."""

    name: str


def alive(value):
    """Put the monsters themselves in."""
    if isinstance(value, Monster):
        return made(value.name)
    if isinstance(value, dict):
        return {name: alive(each) for name, each in value.items()}
    if isinstance(value, SimpleNamespace):
        return SimpleNamespace(**alive(vars(value)))
    if type(value) is Exception:
        return Exception(*map(alive, value.args))
    return value


monsters = st.sampled_from(sorted(MONSTERS)).map(Monster)
words = st.text(max_size=400) | st.text(f"{CANARY} ’…\n€ж👩\u200d\u0301\u0323\ud83c\x00\x1b", max_size=400)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20) | words
anything = scalars | st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)
numbers = (
    anything
    | st.text("0123456789+-−–() .x\xa0\u200b\xad٣", max_size=30)
    | st.sampled_from([TO, f"+1 {TO}", f"-{TO}", int(TO), -int(TO), float(TO), f"{TO}x", f"{TO}{TO}", [TO], {TO: TO}])
)
messages = anything | words.map(lambda body: CANARY + body)


def attack(call, *args, **kwargs):
    """Call; return what comes back, or None after a refusal that is as it must be."""
    with soon():
        try:
            return call(*args, **kwargs)
        except InvalidMessage as error:
            refusal = error
    check_refusal(refusal)
    return None


def check_refusal(refusal):
    seen = seen_of(refusal)
    assert len(str(refusal)) < 1000
    assert not [canary for canary in SHOWS_TOO_MUCH if canary in seen]


def create(to, message, from_numbers, on_too_long="fail", smart=False):
    return SmsMessage.create(
        to=to, message=message, from_numbers=from_numbers, on_too_long=on_too_long, smart_encoding=smart
    )


def check_message(message):
    if message is not None:
        assert 0 < len(message.body) <= MAX_LENGTH
        assert all(number.isascii() and number.isdigit() for number in (message.to, *message.from_numbers))
        assert not [canary for canary in SHOWS_TOO_MUCH if canary in repr([message, *vars(message).values()])]


# A message


@settings(PROFILE)
@given(numbers, messages, st.lists(numbers, max_size=3), st.sampled_from(["fail", "truncate"]), st.booleans())
def test_a_message_is_fit_to_be_sent_or_refused(to, message, from_numbers, on_too_long, smart):
    check_message(attack(create, to, message, from_numbers, on_too_long, smart))


@settings(PROFILE)
@given(messages, st.sampled_from(["fail", "truncate"]), st.booleans())
def test_a_message_between_good_numbers_is_fit_to_be_sent_or_refused(message, on_too_long, smart):
    check_message(attack(create, TO, message, [FROM], on_too_long, smart))


@pytest.mark.parametrize("name", MONSTERS)
@pytest.mark.parametrize("on_too_long", ["fail", "truncate"])
@pytest.mark.parametrize("smart", [False, True])
def test_a_huge_message_is_handled_quickly(name, on_too_long, smart):
    check_message(attack(create, TO, made(name), [FROM], on_too_long, smart))


@pytest.mark.parametrize("name", MONSTERS)
def test_a_huge_argument_is_refused(name):
    assert attack(create, made(name), CANARY, [FROM]) is None
    assert attack(create, TO, CANARY, [made(name)]) is None
    with soon(), pytest.raises(InvalidMessage, match="`on_too_long` must be fail or truncate"):
        create(TO, CANARY, [FROM], made(name))


# A number


@settings(PROFILE)
@given(numbers)
@example("-" + TO)
@example(-int(TO))
def test_a_number_is_digits_or_refused(number):
    digits = attack(normalize_number, number, "to")
    if digits is not None:
        assert digits.isascii()
        assert 7 <= len(digits) <= 18
        assert not (isinstance(number, int | float) and number < 0)
        assert not isinstance(number, bool)
        assert not isinstance(number, float) or number.is_integer()
        assert digits[:-4] not in repr(digits)


@pytest.mark.parametrize("name", MONSTERS)
def test_a_huge_value_is_not_a_number(name):
    assert attack(normalize_number, made(name), "to") is None


# A list


def compose(row):
    return create(row.get("to"), row.get("body", CANARY), [FROM])


rows = numbers | st.fixed_dictionaries({}, optional={"to": numbers, "body": messages, "id": anything})


def check_list(listed):
    with soon():
        checked = check_rows(listed, compose)
        sent = [compose(row.values) for row in checked.to_send()]
    assert len(sent) + len(checked.bad) + len(checked.duplicates) == len(listed)
    for message in sent:
        check_message(message)
    shown = repr(checked)
    assert not [canary for canary in SHOWS_TOO_MUCH if canary in shown]
    attack(checked.require_all_good)


@settings(PROFILE)
@given(st.lists(rows, max_size=6))
def test_every_row_of_a_list_is_sent_or_bad(given_rows):
    check_list(Rows.of(given_rows))


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_in_a_row_is_a_bad_row(name):
    monster = made(name)
    good = {"to": TO}
    check_list(Rows.of([monster, {"to": monster}, good, good | {"body": monster}, good | {"id": monster}]))


@settings(PROFILE)
@given(anything | words | st.sampled_from(["[" * 100_000, '{"to":' * 50_000, f'["{TO}"', f"[{TO * 1000}]"]))
def test_a_list_is_a_list_or_refused(recipients):
    listed = attack(Rows.of, recipients)
    if listed is not None:
        check_list(listed)


# A template


PIECES = [
    "{{ recipient.name }}",
    "{{ recipient",
    "}}",
    "{%",
    "%}",
    "{% for a in recipient.name %}",
    "{% endfor %}",
    "{% if recipient.to %}",
    "{% endif %}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ {}[recipient.name] }}",
    "{{ recipient.name + 1 }}",
    "{{ recipient.deep.name.x }}",
    "{{ recipient.__class__ }}",
    "{{ 1 / 0 }}",
    "{{ '%s' % recipient.to }}",
    "{{ recipient.to | int / 0 }}",
    "{{ recipient.name.format(recipient) }}",
    "{{ '{0.__class__}'.format(recipient) }}",
    "{{ range(10 ** 9) }}",
    "{{ mute }}",
    "(" * 500,
    "-" * 500,
    "{#",
    ".sms",
    "\0",
    CANARY[:0],
]
TASK = SimpleNamespace(get_dag=lambda: None, template_ext=(".sms",))
ROW = {"to": TO, "name": CANARY, "deep": {"name": CANARY}}


def render(template, row):
    return RowTemplate(TASK, template, {"mute": Mute()}).render(row)


@settings(PROFILE)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=6).map("".join), rows)
def test_a_template_renders_or_is_refused(template, row):
    row = row | ROW if isinstance(row, dict) else ROW
    rendered = attack(render, template, row)
    assert rendered is None or len(rendered) <= 10_000


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_in_a_template_s_row_is_rendered_or_refused(name):
    for template in ("{{ recipient.name }}", "{{ recipient.name + 1 }}", "{{ recipient.name.x.y }}"):
        attack(render, template, ROW | {"name": made(name)})


# An alert


odd = anything | monsters
contexts = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["ti", "task", "dag", "dag_run", "deadline"], odd | st.builds(SimpleNamespace, dag_id=odd)),
        "exception": odd | st.builds(Exception, odd) | st.just(MuteError()),
        "loop": st.builds(SimpleNamespace, index=odd),
        **dict.fromkeys(["reason", "run_id", "task_list", "blocking_task_list"], odd),
    },
)
tasks = st.builds(
    SimpleNamespace,
    **dict.fromkeys(["dag_id", "task_id", "run_id", "try_number", "max_tries", "map_index", "end_date", "state"], odd),
)


@settings(PROFILE)
@given(st.sampled_from(EVENTS), contexts, st.none() | tasks, st.booleans())
def test_an_alert_has_a_message_whatever_its_context_holds(event, context, ti, one_segment):
    if ti is not None:
        context |= {"ti": ti}
    context = alive(context)
    with soon():
        body = fit(built_in_body(event, context), " (+137 more)", one_segment=one_segment)
    assert body.startswith("Airflow: ")
    assert body.endswith(" (+137 more)")
    assert len(body) <= (160 if one_segment else MAX_LENGTH)


@pytest.mark.parametrize("name", MONSTERS)
@pytest.mark.parametrize("event", ["failed", "retry"])
def test_a_huge_error_neither_shows_a_number_nor_delays_the_alert(name, event):
    ti = SimpleNamespace(dag_id="etl", task_id="load")
    for error in (made(name), Exception(made(name))):
        with soon():
            body = fit(built_in_body(event, {"ti": ti, "exception": error}), "", one_segment=True)
        assert body.startswith("Airflow: etl.load ")
        assert TO[:-4] not in body


@pytest.mark.parametrize("name", ["huge int", "huge negative int"])
def test_a_huge_index_loses_no_alert(name):
    ti = SimpleNamespace(dag_id="etl", task_id="load", map_index=made(name), try_number=made(name))
    context = {"ti": ti, "loop": SimpleNamespace(index=made(name))}
    assert built_in_body("failed", context).startswith("Airflow: etl.load")
    assert identity_of("failed", context)
    assert origin_of(context).loop_index == origin_of(context).map_index == -1


@settings(PROFILE)
@given(tasks, odd)
def test_a_task_has_an_event_whatever_is_known_of_it(ti, exception):
    assert event_of(alive({"ti": ti, "exception": exception}), object()) in EVENTS


cooldowns = odd | st.timedeltas() | st.floats() | st.integers().map(lambda power: 10 ** min(abs(power), 400))


@settings(PROFILE)
@given(st.sampled_from(EVENTS) | odd, cooldowns)
def test_a_notifier_is_made_or_its_wrong_argument_is_named(event, cooldown):
    with soon():
        try:
            notifier = DialogTechSmsNotifier(CANARY, TO, event=alive(event), cooldown=alive(cooldown))
        except InvalidMessage as error:
            refusal = error
        else:
            assert notifier.cooldown is None or timedelta(0) <= notifier.cooldown <= timedelta(days=3650)
            return
    assert refusal.reason.startswith(("event must be", "cooldown must"))
    assert len(str(refusal)) < 300
