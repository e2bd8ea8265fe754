import json
import math
import traceback
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.exceptions import InvalidConnection
from airflow_provider_dialogtech.hooks.dialogtech import DialogTechHook
from airflow_provider_dialogtech.journal.limits import RateLimits
from airflow_provider_dialogtech.masking import digest
from airflow_provider_dialogtech.settings.connection import ConnectionSettings
from airflow_provider_dialogtech.settings.fields import FIELDS

SECRET = "s3cr+t/wi=th&each%kind of"


def read(extra: object = None, **fields: object) -> ConnectionSettings:
    text = extra if isinstance(extra, str) or extra is None else json.dumps(extra)
    standard = {"conn_id": "sms", "conn_type": "dialogtech", "login": "access", "password": SECRET, "host": None}
    standard |= {"port": None, "schema": None}
    return ConnectionSettings.of(SimpleNamespace(extra=text, **(standard | fields)))


def refusal(*arguments: object, **fields: object) -> str:
    with pytest.raises(InvalidConnection) as refused:
        read(*arguments, **fields)
    assert SECRET not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("extra", [None, "", "{}", {"from_numbers": "", "timeout": "", "http_method": None}])
def test_an_empty_extra_leaves_the_defaults(extra):
    settings = read(extra)
    assert (settings.from_numbers, settings.alert_to, settings.alert_budget) == ((), (), 10)
    assert (settings.http_method, settings.timeout, settings.throttled_words) == ("GET", 30.0, ())
    assert (settings.limits.alert_reserve, settings.account_name) == (None, "")
    assert settings.limits == RateLimits(4, 1, 40)
    assert settings.url == ""


@pytest.mark.parametrize(
    "written",
    [
        "5554332111,5554332112",
        " (555) 433-2111 , +1 555 433 2112,",
        ["5554332111", "5554332112"],
        [5554332111, "555.433.2112"],
        '["5554332111", 5554332112]',
        "5554332111,5554332112,5554332111",
    ],
)
def test_numbers_are_read_however_they_are_written(written):
    assert read({"from_numbers": written}).from_numbers == ("5554332111", "5554332112")


def test_a_single_number_may_be_an_integer():
    assert read({"from_numbers": 5554332111}).from_numbers == ("5554332111",)


@pytest.mark.parametrize("written", [{"a": 1}, [1.5], [["5554332111"]], True, [True], "[5554332111", 1.5, [None]])
@pytest.mark.parametrize("name", ["from_numbers", "alert_to"])
def test_an_invalid_list_of_numbers_is_refused_by_name(name, written):
    assert f"extra.{name} must be phone numbers" in refusal({name: written})


def test_an_impossible_sender_is_refused_by_name_and_not_shown():
    words = refusal({"from_numbers": "5554332111, 12345678901234567890"})
    assert "extra.from_numbers" in words
    assert "12345678901234567890" not in words


def test_an_invalid_alert_recipient_does_not_affect_the_others():
    assert read({"alert_to": "5556667777, 12"}).alert_to == ("5556667777", "12")


@pytest.mark.parametrize("name", ["account_per_second", "number_per_second", "number_per_minute"])
@pytest.mark.parametrize("written", [7, "7", " 7 "])
def test_a_limit_is_a_whole_number_also_as_message_from_a_uri(name, written):
    assert getattr(read({name: written}).limits, name) == 7


COUNTS = {
    "account_per_second": "from 1 to 1,000",
    "number_per_second": "from 1 to 1,000",
    "number_per_minute": "from 1 to 10,000",
    "alert_budget": "from 1 to 1,000",
}
NO_COUNTS = [-1, "0", "-4", "four", 1.5, "1.5", True, [4], {}, "٤", "1_0", 10_001, "9" * 5000, 1e999, math.nan]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("written", [0, *NO_COUNTS], ids=lambda written: str(written)[:9])
def test_any_other_limit_is_refused_by_name_with_its_bounds(name, written):
    assert f"extra.{name} must be a whole number {COUNTS[name]}. " in refusal({name: written})


@pytest.mark.parametrize("name", COUNTS)
def test_a_limit_may_be_its_minimum_and_its_maximum(name):
    for bound in (FIELDS[name].minimum, FIELDS[name].maximum):
        settings = read({name: bound})
        assert bound == getattr(settings, name, None) or bound == getattr(settings.limits, name)


@pytest.mark.parametrize(("written", "per_minute"), [(0, 40), (39, 40), ("4", 5)])
def test_what_is_kept_for_alerts_is_less_than_a_number_may_send(written, per_minute):
    assert read({"alert_reserve": written, "number_per_minute": per_minute}).limits.alert_reserve == int(written)


def test_all_messages_cannot_be_kept_for_alerts():
    words = refusal({"alert_reserve": 5, "number_per_minute": 5})
    assert "extra.alert_reserve must be a whole number from 0 to 4, one less than number_per_minute" in words


@pytest.mark.parametrize("written", NO_COUNTS, ids=lambda written: str(written)[:9])
def test_any_other_reserve_for_alerts_is_refused_by_name(written):
    if written == "0":
        return
    assert "extra.alert_reserve must be a whole number from 0 to" in refusal({"alert_reserve": written})


@pytest.mark.parametrize(("written", "seconds"), [(10, 10.0), ("2.5", 2.5), (0.5, 0.5)])
def test_a_timeout_is_a_number_of_seconds(written, seconds):
    assert read({"timeout": written}).timeout == seconds


@pytest.mark.parametrize(
    "written",
    [0, 0.09, -1, 601, 1e300, 10**39, "9" * 5000, "soon", "nan", "inf", math.nan, math.inf, True, [30]],
    ids=lambda written: str(written)[:9],
)
def test_any_other_timeout_is_refused_by_name(written):
    assert "extra.timeout must be a number from 0.1 to 600 (seconds)" in refusal({"timeout": written})


def test_the_http_method_may_be_written_small():
    assert read({"http_method": "post"}).http_method == "POST"


@pytest.mark.parametrize("written", ["PUT", 1, ["GET"]])
def test_any_other_http_method_is_refused_by_name(written):
    assert "extra.http_method must be GET or POST" in refusal({"http_method": written})


@pytest.mark.parametrize(
    "written", ["slow down, Too Many ,slow down", ["slow down", "Too Many"], '["slow down", "Too Many"]']
)
def test_throttled_words_are_a_list_or_a_string(written):
    assert read({"throttled_words": written}).throttled_words == ("slow down", "Too Many")


@pytest.mark.parametrize("written", [1, ["slow", 1], {}, "[1]", '["slow'], ids=str)
def test_invalid_throttled_words_are_refused_by_name(written):
    assert "extra.throttled_words must be words or phrases" in refusal({"throttled_words": written})


@pytest.mark.parametrize("written", ["a", "x" * 101, [f"word {n}" for n in range(51)]], ids=lambda w: str(w)[:9])
def test_throttled_words_have_bounds(written):
    assert "at most 50 words or phrases of 2 to 100 characters" in refusal({"throttled_words": written})


def test_two_keys_of_one_account_share_its_limits():
    one, other = (read({"account": " acme "}, login=login).account for login in ("old key", "new key"))
    assert one == other == digest("account", "acme")


def test_without_an_account_name_the_access_key_identifies_the_account():
    assert read().account == digest("account", "access")
    assert read().account != read(login="another").account


@pytest.mark.parametrize("written", ["x" * 251, ["acme"], True, 1.5], ids=lambda written: str(written)[:9])
def test_any_other_account_name_is_refused_by_name(written):
    assert "extra.account must be a name of at most 250 characters" in refusal({"account": written})


def test_too_many_numbers_are_refused_by_name():
    numbers = ",".join(str(5554330000 + n) for n in range(1001))
    assert "extra.alert_to must have at most 1,000 numbers" in refusal({"alert_to": numbers})


@pytest.mark.parametrize(
    "extra",
    [
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"timeout": 1' + " " * 70_000 + "}",
        '{"only_to": "5556667777", "only_to": ""}',
        '{"contacts": {"oncall": "5556667777", "oncall": "5556668888"}}',
    ],
    ids=["list", "object", "long", "a key twice", "a contact twice"],
)
def test_an_extra_that_is_too_deep_too_long_or_has_a_key_twice_is_refused(extra):
    assert "the extra must be a JSON object of at most 65,536 characters" in refusal(extra)


LABELS = {"login": "access key (login)", "password": "secret access key (password)", "host": "API URL (host)"}


@pytest.mark.parametrize(("name", "longest"), [("login", 256), ("password", 256), ("host", 2000)])
def test_an_endless_standard_field_is_named(name, longest):
    assert f"the {LABELS[name]} must have at most {longest:,} characters" in refusal(**{name: "x" * (longest + 1)})


def test_a_key_as_long_as_it_may_be_is_taken():
    assert len(read(password="x" * 256).secret_access_key) == 256


def test_a_field_that_airflow_cannot_decrypt_is_refused():
    class Undecryptable(SimpleNamespace):
        @property
        def password(self):
            raise ValueError(SECRET)

    with pytest.raises(InvalidConnection, match=r"could not read it \(ValueError\)") as refused:
        ConnectionSettings.of(Undecryptable(conn_id="sms", conn_type="dialogtech", login="access"))
    assert SECRET not in "".join(traceback.format_exception(refused.value))


class Shown(SimpleNamespace):
    """A connection whose repr shows everything, as that of Airflow's task SDK does."""


NUMBER = "5554332111"


@pytest.mark.parametrize(
    "wrong",
    [
        {"extra": "{"},
        {"login": ""},
        {"password": ""},
        {"port": 8443},
        {"host": "x" * 2001},
        {"extra": {"from_numbers": f"{NUMBER}, 12"}},
        *({"extra": {name: {"x": NUMBER}}} for name in FIELDS if name != "contacts"),
        {"extra": {"contacts": [NUMBER]}},
        *(
            {"extra": {name: f"{NUMBER} x"}}
            for name in FIELDS
            if name not in {"alert_to", "account", "throttled_words"}
        ),
        {"extra": {"alert_reserve": 50}},
        {"extra": {NUMBER: NUMBER}},
        {"extra": {"__extra__": {"only_to": NUMBER}}},
        {"conn_type": "aws"},
    ],
    ids=str,
)
def test_no_local_variable_in_a_traceback_shows_a_key_or_a_number(wrong, monkeypatch):
    extra = {"from_numbers": NUMBER, "alert_to": NUMBER} | (
        wrong["extra"] if isinstance(wrong.get("extra"), dict) else {}
    )
    text = wrong["extra"] if isinstance(wrong.get("extra"), str) else json.dumps(extra)
    standard = {"conn_id": "sms", "conn_type": "dialogtech", "login": "acc3ss-key", "password": SECRET, "host": None}
    standard |= {"port": None, "schema": None}
    fields = standard | {"extra": text} | {name: value for name, value in wrong.items() if name != "extra"}
    monkeypatch.setattr(DialogTechHook, "get_connection", lambda *_: Shown(**fields))
    shown = traceback_with_locals(DialogTechHook("sms").get_conn)
    assert "InvalidConnection" in shown
    assert not [secret for secret in (SECRET, "acc3ss-key", NUMBER) if secret in shown], shown


def traceback_with_locals(call) -> str:
    """Show the whole chain of what a call raises, with the locals of every frame below this one."""
    try:
        call()
    except Exception as raised:
        error = raised
    else:
        pytest.fail("nothing was raised")
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.parametrize("extra", ["{", "from_numbers=5554332111", "[]", '"text"'])
def test_an_extra_that_is_not_a_json_object_is_not_read_as_empty(extra):
    assert "the extra must be a JSON object" in refusal(extra)


@pytest.mark.parametrize("field", ["login", "password"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_named(field, value):
    assert f"the {LABELS[field]} is missing" in refusal(**{field: value})


@pytest.mark.parametrize("fields", [{"port": 8443}, {"schema": "ibp_api.php"}])
def test_a_port_or_path_beside_the_host_is_not_ignored(fields):
    assert "the API URL (host) holds the whole URL" in refusal(host="sms.example.com", **fields)


def test_the_settings_show_neither_keys_nor_numbers():
    shown = repr(read({"from_numbers": "5554332111", "alert_to": "5556667777"}))
    assert not [secret for secret in (SECRET, "'access'", "5554332111", "5556667777") if secret in shown]


def test_the_secret_does_not_show_itself_among_the_variables_of_a_traceback():
    secret = read().secret_access_key
    assert secret == SECRET
    assert SECRET not in repr({"secret_access_key": secret})


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("only_too", "only_to"),
        ("Only_To", "only_to"),
        ("onlyTo", "only_to"),
        ("only-to", "only_to"),
        ("only_to ", "only_to"),
        ("extra__dialogtech__only_to", "only_to"),
        ("from_number", "from_numbers"),
        ("from", "from_numbers"),
        ("FROM_NUMBERS", "from_numbers"),
        ("alerts_to", "alert_to"),
        ("time_out", "timeout"),
        ("dry_run", "only_to"),
        ("allow_list", "only_to"),
        ("secret_access_key", "the field password"),
        ("host", "the field host"),
    ],
)
def test_an_unknown_key_of_the_extra_is_refused_with_the_nearest_known_one(key, nearest):
    words = refusal({key: "5556667777", "from_numbers": NUMBER})
    assert f"the extra has an unknown key {key!r} (nearest: {nearest}). Correct the connection 'sms'." in words
    assert "5556667777" not in words


@pytest.mark.parametrize("value", [None, "", [], 0])
def test_an_unknown_key_is_refused_whatever_its_value(value):
    assert "unknown key 'only_too'" in refusal({"only_too": value})


def test_a_key_that_is_like_none_is_refused_with_all_that_are_known():
    assert f"an unknown key 'region' (known: {', '.join(FIELDS)})" in refusal({"region": "eu"})


def test_several_unknown_keys_are_named_at_once_and_numbers_among_them_are_shortened():
    words = refusal({"only_too": "1", "timout": 1, "5556667777": "x", "more": 1, "and_more": 1})
    assert "unknown keys 'only_too' (nearest: only_to), 'timout' (nearest: timeout), '…7777' and 2 more" in words


@pytest.mark.parametrize(
    "extra",
    [
        {"extra": {"only_to": "5556667777"}},
        {"dialogtech": {"only_to": "5556667777", "more": 1}},
        {"__extra__": json.dumps({"only_to": "5556667777"})},
    ],
    ids=str,
)
def test_keys_inside_another_key_are_not_overlooked(extra):
    assert f"inside another one, {next(iter(extra))!r}; write them directly into the extra" in refusal(extra)


@pytest.mark.parametrize("written", ["dialogtech", "DialogTech", "DIALOGTECH", " dialogtech "])
def test_the_type_is_dialogtech_in_any_case(written):
    assert read(conn_type=written).access_key == "access"


@pytest.mark.parametrize("written", ["aws", "http", "generic", "dialog_tech", "x" * 999])
def test_the_keys_of_another_type_are_not_used(written):
    words = refusal(conn_type=written)
    assert f"the conn_type must be dialogtech, not {written[:40]!r}. Correct the connection 'sms'." in words


@pytest.mark.parametrize(
    ("field", "label"), [("login", "access key (login)"), ("password", "secret access key (passw")]
)
def test_a_key_that_was_copied_with_a_blank_is_refused_by_name(field, label):
    for written in ("key\n", " key", "key\xa0", "key\t"):
        words = refusal(**{field: written})
        assert f"the {label}" in words
        assert "begins or ends with a blank" in words
    for written in (" ", "\r\n"):
        assert "is missing" in refusal(**{field: written})


@pytest.mark.parametrize("written", [None, "", "  "])
def test_a_connection_without_a_type_is_refused(written):
    assert "the conn_type must be dialogtech, not empty" in refusal(conn_type=written)


def test_a_uri_without_a_scheme_does_not_show_the_access_key_that_airflow_takes_for_the_type():
    assert "acc3ss" not in refusal(conn_type="acc3ss", login=None, password=None)
