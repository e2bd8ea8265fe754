"""Which URLs are accepted, and which of them may receive the keys."""

import pytest

from airflow_provider_dialogtech.api.client import checked_url, may_carry_keys


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("https://any.example", "https://any.example/"),
        ("https://ANY.example:8443/ibp_api.php", "https://any.example:8443/ibp_api.php"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("http://[::1]:1/x", "http://[::1]:1/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_a_url_that_every_parser_reads_alike_is_called(written, called):
    assert checked_url(written) == called


@pytest.mark.parametrize("sign", ["\\", "@", "?", "#", " ", "\t", "\x01", "\x1f", "\x0b", "\u2028"])
@pytest.mark.parametrize("form", ["https://any.example/a{}b", "https://any.example/{}", "https://any{}.example/"])
def test_a_character_that_parsers_read_differently_is_refused(form, sign):
    assert checked_url(form.format(sign)) is None


@pytest.mark.parametrize(
    "written", ["", "https://", "any.example", "https:///x", "https://:1/", "https://[::1", "https://[any.example]/"]
)
def test_a_url_without_a_host_is_refused(written):
    assert checked_url(written) is None


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://any.example/", True),
        ("http://any.example/", False),
        ("http://localhost/", True),
        ("http://127.9.9.9/", True),
        ("http://[::1]/", True),
        ("http://128.0.0.1/", False),
        ("http://localhost.example/", False),
        ("ftp://127.0.0.1/", False),
    ],
)
def test_keys_are_sent_by_https_or_within_this_machine(url, may):
    assert may_carry_keys(url) == may
