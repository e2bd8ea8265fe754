"""How a reply is parsed and shown."""

import pytest

from airflow_provider_dialogtech.api.raw_reply import RawReply, is_refusal
from airflow_provider_dialogtech.api.reply import ApiReply, NotDocumented, parse_reply, parse_xml


def test_a_reply_is_written_in_the_documented_shape():
    xml = ApiReply("success", 'said "<1> & more"').xml
    assert xml.endswith('<result_description>said "&lt;1&gt; &amp; more"</result_description></response>')
    assert parse_reply(xml.encode()) == ApiReply("success", 'said "<1> & more"')


def test_the_repr_of_a_reply_shows_no_number_and_no_received_value():
    assert "555" not in repr(ApiReply("success", "", ("5554332111",)))
    shown = repr(RawReply(429, "a word of theirs", b"another"))
    assert "429" in shown
    assert "word" not in shown
    assert "another" not in shown


@pytest.mark.parametrize(
    ("status", "refused"),
    [(200, False), (302, False), (399, False), (400, True), (404, True), (408, False), (499, True), (500, False)],
)
def test_a_client_error_is_a_refusal_unless_the_server_timed_out(status, refused):
    assert is_refusal(status) == refused


@pytest.mark.parametrize(("most", "fits"), [(4, True), (3, False)])
def test_a_reply_may_have_the_most_elements_and_no_more(most, fits):
    body = b"<response><a/><b/><c/></response>"
    if fits:
        assert len(parse_xml(body, most)) == 3
    else:
        with pytest.raises(NotDocumented):
            parse_xml(body, most)


@pytest.mark.parametrize(("deep", "fits"), [(16, True), (17, False)])
def test_a_reply_is_sixteen_elements_deep_at_most(deep, fits):
    body = b"<a>" * deep + b"</a>" * deep
    if fits:
        assert parse_xml(body).tag == "a"
    else:
        with pytest.raises(NotDocumented):
            parse_xml(body)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("15554332111", ("5554332111",)),
        ("11554332111", ("11554332111",)),
        ("442079460958", ("442079460958",)),
        ("555433211", ()),
        ("5554332111555433", ()),
        ("555433211155543", ("555433211155543",)),
        ("5554332111, 5554332112;5554332111", ("5554332111", "5554332112")),
        ("555 433 2111  (555) 433-2112", ("5554332111", "5554332112")),
    ],
)
def test_what_looks_like_a_number_is_one(value, numbers):
    body = f"<response><result>success</result><n>{value}</n></response>"
    assert parse_reply(body.encode()).numbers == numbers
    body = f'<response><result>success</result><n v="{value}"/>{value}</response>'
    assert parse_reply(body.encode()).numbers == numbers
