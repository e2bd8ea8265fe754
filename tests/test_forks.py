"""A child that is forked while another thread imports a module can import it, too."""

import importlib
import os
import signal
import sys
import threading
import time

import pytest

from airflow_provider_dialogtech import forks

SLOW = """
import builtins, logging, time
builtins.begun_by_the_test.set()
time.sleep({seconds})
logging.getLogger(__name__)  # logging keeps its lock from before a fork until after it
"""
# A child that hangs is ended by this signal.
HANGS = 15


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    """Let another thread import a module that takes its time; give its name when that has begun."""
    threads = []

    def begin(name, seconds):
        (tmp_path / f"{name}.py").write_text(SLOW.format(seconds=seconds))
        importlib.invalidate_caches()
        begun = threading.Event()
        monkeypatch.setattr("builtins.begun_by_the_test", begun, raising=False)
        threads.append(threading.Thread(target=importlib.import_module, args=(name,)))
        threads[-1].start()
        assert begun.wait(60)
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield begin
    for thread in threads:
        thread.join(60)


def exit_code_of_child_that_imports(name):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HANGS)
        try:
            importlib.import_module(name)
        finally:
            os._exit(0 if name in sys.modules else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_can_import_what_another_thread_is_importing(slow_module):
    """Seen: of 40 children of a task whose threads had just begun to send, 5 hung for ever."""
    assert exit_code_of_child_that_imports(slow_module("slow_for_a_moment", 0.3)) == 0


def test_an_import_that_does_not_end_holds_up_no_fork_for_longer(slow_module, monkeypatch, caplog):
    monkeypatch.setattr(forks, "LONGEST", 0.05)
    slow_module("slow_for_long", 1.5)
    begun = time.monotonic()
    assert exit_code_of_child_that_imports("os") == 0
    assert time.monotonic() - begun < 1.4
    assert "another of its threads has been importing a module" in caplog.text


def test_a_module_may_fork_while_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "forking.py").write_text(
        "import os\nchild = os.fork()\nif not child:\n    os._exit(7)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(forks, "LONGEST", 600.0)
    assert importlib.import_module("forking").code == 7
