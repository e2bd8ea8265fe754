import json
from types import SimpleNamespace

import pytest

from airflow_provider_dialogtech.api.errors import InvalidConnection
from airflow_provider_dialogtech.delivery.limits import RateLimits
from airflow_provider_dialogtech.hooks.settings import ConnectionSettings

SECRET = "s3cr+t/wi=th&each%kind of"


def read(extra: object = None, **fields: object) -> ConnectionSettings:
    text = extra if isinstance(extra, str) or extra is None else json.dumps(extra)
    standard = {"conn_id": "sms", "login": "access", "password": SECRET, "host": None, "port": None, "schema": None}
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
    assert (settings.http_method, settings.timeout, settings.throttled_pattern) == ("GET", 30.0, None)
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
def test_what_is_no_list_of_numbers_is_refused_by_name(name, written):
    assert f"extra.{name} must be phone numbers" in refusal({name: written})


def test_an_impossible_sender_is_refused_by_name_and_not_shown():
    words = refusal({"from_numbers": "5554332111, 12345678901234567890"})
    assert "extra.from_numbers" in words
    assert "12345678901234567890" not in words


def test_a_mistake_in_one_alert_recipient_does_not_mute_the_others():
    assert read({"alert_to": "5556667777, 12"}).alert_to == ("5556667777", "12")


@pytest.mark.parametrize("name", ["account_per_second", "number_per_second", "number_per_minute"])
@pytest.mark.parametrize("written", [7, "7", " 7 "])
def test_a_limit_is_a_whole_number_also_as_text_from_a_uri(name, written):
    assert getattr(read({name: written}).limits, name) == 7


@pytest.mark.parametrize("name", ["account_per_second", "number_per_second", "number_per_minute", "alert_budget"])
@pytest.mark.parametrize("written", [0, -1, "0", "-4", "four", 1.5, "1.5", True, [4], {}, "٤"])
def test_any_other_limit_is_refused_by_name(name, written):
    assert f"extra.{name} must be a whole number of at least 1" in refusal({name: written})


@pytest.mark.parametrize(("written", "seconds"), [(10, 10.0), ("2.5", 2.5), (0.5, 0.5)])
def test_a_timeout_is_a_number_of_seconds(written, seconds):
    assert read({"timeout": written}).timeout == seconds


@pytest.mark.parametrize("written", [0, -1, "soon", "nan", "inf", True, [30]])
def test_any_other_timeout_is_refused_by_name(written):
    assert "extra.timeout must be a number of seconds" in refusal({"timeout": written})


def test_the_http_method_may_be_written_small():
    assert read({"http_method": "post"}).http_method == "POST"


@pytest.mark.parametrize("written", ["PUT", 1, ["GET"]])
def test_any_other_http_method_is_refused_by_name(written):
    assert "extra.http_method must be GET or POST" in refusal({"http_method": written})


def test_a_throttled_pattern_is_a_regular_expression():
    assert read({"throttled_pattern": "slow (down|up)"}).throttled_pattern == "slow (down|up)"


@pytest.mark.parametrize("written", ["slow (down", 1, ["slow"]])
def test_any_other_throttled_pattern_is_refused_by_name(written):
    assert "extra.throttled_pattern must be a regular expression" in refusal({"throttled_pattern": written})


@pytest.mark.parametrize("extra", ["{", "from_numbers=5554332111", "[]", '"text"'])
def test_an_extra_that_is_no_json_object_is_not_taken_for_an_empty_one(extra):
    assert "the extra must be a JSON object" in refusal(extra)


@pytest.mark.parametrize("field", ["login", "password"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_named(field, value):
    assert f"the {field} is missing" in refusal(**{field: value})


@pytest.mark.parametrize("fields", [{"port": 8443}, {"schema": "ibp_api.php"}])
def test_a_port_or_path_beside_the_host_is_not_ignored(fields):
    assert "the host holds the whole API URL" in refusal(host="sms.example.com", **fields)


def test_the_settings_show_neither_keys_nor_numbers():
    shown = repr(read({"from_numbers": "5554332111", "alert_to": "5556667777"}))
    assert not [secret for secret in (SECRET, "'access'", "5554332111", "5556667777") if secret in shown]


def test_the_secret_does_not_show_itself_among_the_variables_of_a_traceback():
    secret = read().secret_access_key
    assert secret == SECRET
    assert SECRET not in repr({"secret_access_key": secret})
