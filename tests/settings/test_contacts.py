import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection, InvalidMessage
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.settings.contacts import Contacts, contacts_in

ONCALL, FINANCE = "(555) 666-7777", ("555 666 8888", "555 666 9999")
CONTACTS = Contacts({"oncall": (ONCALL,), "Finance team 2": FINANCE})


@pytest.mark.parametrize("name", ["oncall", " OnCall "])
def test_a_contacts_name_matches_in_any_case(name):
    assert CONTACTS.numbers_of(name) == (ONCALL,)
    assert CONTACTS.number_of(name) == ONCALL


def test_a_contact_may_have_several_numbers():
    assert CONTACTS.all_numbers_of(["finance team 2", "oncall", "5551112222"]) == [*FINANCE, ONCALL, "5551112222"]
    with pytest.raises(InvalidMessage, match="has 2 numbers, and this is one message"):
        CONTACTS.number_of("Finance team 2")


@pytest.mark.parametrize("number", ["5556667777", "+44 20 7946 0958", 5556667777, None, "", "1-800-5551234 ext"])
def test_a_value_that_is_not_a_name_is_returned_as_it_is(number):
    assert CONTACTS.numbers_of(number) == (number,)


def test_an_unknown_name_is_an_error_that_names_the_known_ones():
    with pytest.raises(InvalidMessage, match=r"no contact 'oncal' \(the connection has oncall, Finance team 2\)"):
        CONTACTS.numbers_of("oncal")
    # The rendered template of a missing XCom or parameter.
    with pytest.raises(InvalidMessage, match="`to` rendered to None"):
        CONTACTS.numbers_of("None")
    with pytest.raises(InvalidMessage, match="the connection has no contacts"):
        Contacts().numbers_of("oncall")


@pytest.mark.parametrize(
    "written",
    [{"a": "5556667777"}, '{"a": "5556667777"}', {"a": ["5556667777"]}, {"a": 5556667777}],
)
def test_contacts_are_read_as_people_write_them(written):
    assert contacts_in(written).numbers_of("a") == ("5556667777",)


@pytest.mark.parametrize(
    "written",
    [
        "oncall", [], {"a": {}}, {"a": ""}, {"a": []}, {"a": None}, {"": "5556667777"}, {"5556667777": "5556667777"},
        {"a,b": "5556667777"}, {"a" * 101: "5556667777"}, {"a": ["5556667777"] * 1 + [None]}, 7,
        {"Ada": "5556667777", "ada": "5556668888"}, {"ada": "5556667777", " ada ": "5556668888"},
        {"a1234567": "5556667777"},
        {f"name {n}": "5556667777" for n in range(1001)}, {"a": [str(5550000000 + n) for n in range(101)]},
    ],
)  # fmt: skip
def test_invalid_contacts_are_a_named_error(connection, written):
    connection(extra={"contacts": written})
    with pytest.raises(InvalidConnection, match=r"extra\.contacts must be a JSON object"):
        DialogTechHook().settings.contacts  # noqa: B018


def test_neither_contacts_nor_settings_show_a_number(connection):
    connection(extra={"contacts": {"oncall": ONCALL}, "only_to": "oncall"})
    shown = repr(DialogTechHook().settings)
    assert "oncall" in shown
    assert "7777" not in shown


@pytest.mark.parametrize(
    ("only_to", "problem"),
    [
        ("unknown", "in extra.only_to, there is no contact 'unknown'"),
        ("12", "extra.only_to"),
        ({"a": 1}, "extra.only_to must be"),
    ],
)
def test_a_wrong_only_to_is_a_named_error(connection, only_to, problem):
    connection(extra={"contacts": {"oncall": ONCALL}, "only_to": only_to})
    with pytest.raises(InvalidConnection, match=problem):
        DialogTechHook().settings.only_to  # noqa: B018


@pytest.mark.parametrize(
    ("only_to", "numbers"),
    [
        (None, None),
        ("", None),
        ("oncall, 555-666-8888", {"5556667777", "5556668888"}),
        ([], set()),
        ("[]", set()),
        (["oncall"], {"5556667777"}),
    ],
)
def test_only_to_has_numbers_and_contacts_and_an_empty_list_allows_none(connection, only_to, numbers):
    connection(extra={"contacts": {"oncall": ONCALL}, "only_to": only_to})
    assert DialogTechHook().settings.only_to == numbers
