"""Whoever ends `make test` or `make demo`, in whatever way: nothing that it started goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.processes import plain_environment

ROOT = Path(__file__).resolve().parents[2]
# Starts two children in sessions of their own, deaf to SIGTERM; the parent of one dies, as that of a daemon does.
# What a shell runs in the background ignores SIGINT, and so would all that the tests start there.
LEAVES_CHILDREN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
middle = (
    "import subprocess, sys;"
    f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}], start_new_session=True,"
    "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL);"
    "child.stdout.readline(); print(child.pid)"
)
orphan = subprocess.run([sys.executable, "-c", middle], capture_output=True, text=True).stdout.strip()
child = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(orphan, child.pid, flush=True)
"""


@pytest.fixture
def guarded():
    started = []

    def start(code):
        command = [sys.executable, "-m", "tools.guard", sys.executable, "-c", code]
        process = subprocess.Popen(
            command, cwd=ROOT, env=plain_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(60)
        process.stdout.close()


def gone_within(pids, seconds):
    processes = [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]
    _, left = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def test_the_status_of_the_command_is_told(guarded):
    assert guarded("raise SystemExit(3)").wait(60) == 3
    assert guarded("import os; os.kill(os.getpid(), 9)").wait(60) == 137


def test_what_the_command_left_behind_is_ended(guarded):
    guard = guarded(LEAVES_CHILDREN)
    pids = guard.stdout.readline().split()
    assert guard.wait(90) == 0
    assert len(pids) == 2
    assert gone_within(pids, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_is_ended_nothing_goes_on(guarded, number):
    guard = guarded(LEAVES_CHILDREN + "time.sleep(600)")
    pids = guard.stdout.readline().split()
    assert not gone_within(pids[:1], 0)
    os.killpg(guard.pid, number)
    guard.wait(90)
    assert gone_within(pids, 90)
