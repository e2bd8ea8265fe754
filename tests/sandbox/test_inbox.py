"""The inbox page, in a real Chromium."""

import pytest

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.sandbox.calling import call

ROWS = "[...document.querySelectorAll('nav a')].map((row) => row.innerText.replaceAll('\\n', ' '))"
BUBBLES = "[...document.querySelectorAll('.message')].map((bubble) => bubble.innerText)"
EVIL = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>&lt;b&gt;"


@pytest.fixture(scope="module")
def shared_sandbox():
    plenty = [f"--{limit}=1000" for limit in ("account-per-second", "number-per-second", "number-per-minute")]
    with running_sandbox(arguments=plenty) as sandbox:
        yield sandbox


@pytest.fixture
def inbox(sandbox, chromium):
    chromium.open(sandbox.base_url)
    chromium.wait_for("document.querySelector('#live.on')")
    return chromium


def shows(body):
    return f"document.querySelector('main').innerText.includes({body!r})"


def test_an_empty_inbox_says_where_to_send(sandbox, inbox):
    assert f"{sandbox.url}" in inbox.text("#empty")


def test_a_message_appears_without_a_reload_with_its_details(sandbox, inbox):
    inbox.evaluate("window.isTheSamePage = true")
    call(sandbox, message="Good morning – Ana " + "x" * 60)
    inbox.wait_for(shows("Good morning"))
    (bubble,) = inbox.evaluate(BUBBLES)
    for known in ("Good morning – Ana xxx", "from (555) 433-2111", "UCS-2", "2 segments"):
        assert known in bubble
    assert "(555) 666-7777" in inbox.text("nav")
    assert "1 accepted" in inbox.text("#outcomes")
    assert inbox.evaluate("window.isTheSamePage")


def test_a_message_is_shown_unchanged_and_never_as_html(sandbox, inbox):
    for recipient in ("5556667777", EVIL):  # the second is refused, and shown with its impossible number
        call(sandbox, to=recipient, message=EVIL)
    inbox.wait_for("document.querySelectorAll('nav a').length === 2")
    for recipient in ("5556667777", EVIL):
        inbox.evaluate(f"location.hash = 'to=' + encodeURIComponent({recipient!r})")
        inbox.wait_for(f"document.getElementById('bubbles').dataset.to === {recipient!r}")
        assert inbox.evaluate("document.querySelector('.message p').textContent") == EVIL
    assert inbox.evaluate("document.querySelectorAll('main img, main script').length") == 0
    assert inbox.evaluate("document.title") == "DialogTech sandbox"


def test_the_page_runs_no_injected_script(sandbox, inbox):
    """The second defence, the Content-Security-Policy; the first is textContent."""
    inbox.evaluate(f"document.body.insertAdjacentHTML('beforeend', {EVIL!r})")
    call(sandbox, message="later")
    inbox.wait_for(shows("later"))
    assert inbox.evaluate("document.title") == "DialogTech sandbox"


def test_the_conversation_with_the_newest_message_stands_first(sandbox, inbox):
    for to in ("5556660001", "5556660002", "5556660003", "5556660001"):
        call(sandbox, to=to)
    inbox.wait_for("document.querySelectorAll('nav a').length === 3")
    assert [row.split()[2] for row in inbox.evaluate(ROWS)] == ["666-0001", "666-0003", "666-0002"]
    assert inbox.evaluate("document.getElementById('recipient').innerText") == "(555) 666-0001"


def test_a_message_that_was_not_accepted_shows_its_outcome_and_reason(sandbox, inbox):
    sandbox.fault("refused", times=1, description="Number is not registered")
    call(sandbox)
    sandbox.fault("reset_after_accept", times=1)
    call(sandbox)
    inbox.wait_for("document.querySelectorAll('.message').length === 2")
    refused, reset = inbox.evaluate(BUBBLES)
    assert "refused" in refused
    assert "Number is not registered" in refused
    assert "reset_after_accept" in reset
    assert "1 accepted" in inbox.text("#outcomes")
    assert "1 refused" in inbox.text("#outcomes")
    # The list and the conversation count the same messages.
    assert inbox.evaluate("document.querySelector('nav .pill').innerText") == "2"
    assert inbox.text("#summary") == "2 messages (1 accepted), 1 segment"


def test_the_numbers_and_their_limits_in_use_are_shown_in_full(sandbox, inbox):
    for _ in range(3):
        call(sandbox)
    inbox.wait_for("document.getElementById('limits').innerText.includes('3 of 1000 messages per minute')")
    assert "(555) 433-2111" in inbox.text("#limits")
    assert "(555) 433-2112" in inbox.text("#limits")


@pytest.mark.parametrize("width", [320, 390, 720])
def test_no_limit_is_cut_at_the_width_of_a_phone(sandbox, chromium, width):
    chromium.open(sandbox.base_url, width, 700)
    chromium.wait_for("document.querySelectorAll('.limit').length === 3")
    cut = "(each) => each.scrollWidth > each.clientWidth || each.getBoundingClientRect().right > innerWidth"
    parts = "[...document.querySelectorAll('#limits, .limit, .limit h3, .gauge')]"
    assert chromium.evaluate(f"{parts}.filter({cut}).map((each) => each.outerHTML)") == []


def test_the_limits_are_greyed_out_while_the_sandbox_is_not_reachable(chromium):
    with running_sandbox() as sandbox:
        chromium.open(sandbox.base_url)
        chromium.wait_for("document.querySelector('#live.on')")
        assert chromium.evaluate("getComputedStyle(document.getElementById('limits')).opacity") == "1"
        assert "0 of 1 message per second" in chromium.text("#limits")
    chromium.wait_for("document.querySelector('#live.off')")
    assert float(chromium.evaluate("getComputedStyle(document.getElementById('limits')).opacity")) < 0.5


ATTACKS = """
Promise.allSettled([
  fetch(BASE + '/sandbox/faults', {method: 'POST', mode: 'no-cors', body: '{"fault": "refused"}'}),
  fetch(BASE + '/sandbox/faults',
    {method: 'POST', body: '{"fault": "refused"}', headers: {'Content-Type': 'application/json'}}),
  fetch(BASE + '/sandbox/messages', {method: 'DELETE'}),
  fetch(BASE + '/ibp_api.php?action=sms.send_message', {mode: 'no-cors'}),
  fetch(BASE + '/sandbox/messages').then((answer) => answer.text()),
]).then((done) => done.map((one) => `${one.status} ${one.value?.type ?? one.value ?? ''}`))
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_page_of_this_machine_reads_nothing_and_changes_nothing(sandbox, chromium, name):
    call(sandbox, message="private")
    with running_sandbox() as elsewhere:  # any page of another origin would do
        chromium.open(elsewhere.base_url.replace("127.0.0.1", name) + "/sandbox/health")
        chromium.wait_for("document.body?.innerText.includes('healthy')")
        done = chromium.evaluate(ATTACKS.replace("BASE", repr(sandbox.base_url)))
    assert [one.split()[0] for one in done] == ["fulfilled", "rejected", "rejected", "fulfilled", "rejected"]
    assert [one["message"] for one in sandbox.messages()] == ["private"]
    call(sandbox, message="still accepted")
    assert [one["outcome"] for one in sandbox.messages()] == ["accepted", "accepted"]


def test_forgetting_empties_the_page(sandbox, inbox):
    call(sandbox, message="to be forgotten")
    inbox.wait_for(shows("to be forgotten"))
    sandbox.forget()
    inbox.wait_for("!document.getElementById('empty').hidden")
    call(sandbox, message="and again")
    inbox.wait_for(shows("and again"))
    assert "to be forgotten" not in inbox.text()


def test_a_reader_who_has_scrolled_back_keeps_the_position(sandbox, inbox):
    for number in range(30):
        call(sandbox, message=f"message {number}")
    inbox.wait_for(shows("message 29"))
    bubbles = "document.getElementById('bubbles')"
    assert inbox.evaluate(f"{bubbles}.scrollTop + {bubbles}.clientHeight >= {bubbles}.scrollHeight - 1")
    inbox.evaluate(f"{bubbles}.scrollTop = 100")
    call(sandbox, message="one more")
    inbox.wait_for(shows("one more"))
    assert inbox.evaluate(f"{bubbles}.scrollTop") == 100


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_list_or_one_conversation_and_nothing_overflows(sandbox, inbox, dark):
    call(sandbox, message="https://example.com/" + "x" * 200)
    inbox.open(sandbox.base_url, 390, 780, dark=dark)
    inbox.wait_for("document.querySelector('nav a')")
    assert "example.com" in inbox.text("nav")
    assert inbox.evaluate("document.getElementById('thread').offsetHeight") == 0
    inbox.evaluate("document.querySelector('nav a').click()")
    inbox.wait_for("document.getElementById('thread').offsetHeight")
    assert inbox.evaluate("document.querySelector('nav').offsetHeight") == 0
    for selector in ("body", "#bubbles"):
        assert inbox.evaluate(f"document.querySelector('{selector}').scrollWidth") <= 390
    inbox.evaluate("document.querySelector('h2 a').click()")
    inbox.wait_for("document.querySelector('nav').offsetHeight")
