"""Takes the screenshot of the inbox for the README: `python -m tests.sandbox.screenshot docs/inbox.png`."""

import sys
import tempfile
import time

from airflow_provider_dialogtech.sandbox.process import running_sandbox
from tests.sandbox.browser import running_chromium
from tests.sandbox.calling import call

PATIENT, CUSTOMER, ON_CALL, GUEST = "5556667777", "5556660142", "5556668890", "5556663305"
CONVERSATION = [
    (GUEST, "Grüße aus Köln! Ihr Tisch ist für Montag, 19 Uhr, reserviert 🎉"),
    (CUSTOMER, "Your order 48213 has shipped and arrives on Thursday."),
    (ON_CALL, "Airflow: etl.load failed at 04:12 UTC, try 3 of 3: OperationalError: could not connect to server"),
    (CUSTOMER, "Delivery today between 14:00 and 16:00. Track it: https://example.com/t/48213"),
    (PATIENT, "Good morning Ana! Your appointment with Dr. Reyes is tomorrow at 9:30. Reply C to confirm."),
    (PATIENT, "Thank you, Ana – see you tomorrow at 9:30. “Main Street Clinic”, second floor. 😀"),
    (ON_CALL, "Airflow: warehouse.refresh failed at 04:14 UTC, try 1 of 1 (+137 more since 04:02 UTC)"),
    (PATIENT, "Please bring your insurance card."),
]


def main(path: str) -> None:
    with running_sandbox() as sandbox, tempfile.TemporaryDirectory() as profile, running_chromium(profile) as page:
        page.open(sandbox.base_url)
        for index, (to, message) in enumerate(CONVERSATION):
            from_ = sandbox.numbers[index % 2]
            call(sandbox, to=to, from_=from_, message=message)
            if message.startswith("Please bring"):
                call(sandbox, to=to, from_=from_, message="Your parking space is number 12.")
            time.sleep(0.55)
        sandbox.fault("reset_after_accept", times=1)
        call(sandbox, to=PATIENT, from_=sandbox.numbers[0], message="The way in is by the garden.")
        page.wait_for("document.body?.innerText.includes('garden')")
        page.screenshot(path)


if __name__ == "__main__":
    main(sys.argv[1])
