"""Python runs this first in the sandboxes that the tests start: what they cover counts, too."""

import atexit
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))

from tests.coverage.counting import count

atexit.register(count())
# The tests end a sandbox so, and a process that a signal has ended writes nothing.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
