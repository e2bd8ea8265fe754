"""An earlier version of this package and this one send through one journal, as in a rolling upgrade."""

import io
import subprocess
import sys
import tarfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.delivery.delivering import assert_limits_kept

REPOSITORY = Path(__file__).parents[2]
SENDING = Path(__file__).with_name("sending.py")
# The last one whose journal has no version of its own.
EARLIER = "07c42a4"
TEXTS = 20
BOTH = ("earlier", "this")


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """Where each version's package lies."""
    archive = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", EARLIER, "airflow_provider_dialogtech"], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"commit {EARLIER} is not here: this is no clone with the project's history")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return {"earlier": folder, "this": REPOSITORY}


@pytest.fixture
def start(versions, sandbox, store_url, tmp_path):
    """Start a process that sends: `with start("earlier", keys) as process`."""

    @contextmanager
    def running(version, keys):
        access = (sandbox.url, sandbox.access_key, sandbox.secret_access_key, ",".join(sandbox.numbers))
        with (tmp_path / "errors").open("a+") as errors:
            process = subprocess.Popen(
                [sys.executable, SENDING, store_url, *access],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={"PYTHONPATH": str(versions[version])},
            )  # fmt: skip
            try:
                opened = process.stdout.readline()
                assert opened == f"open {versions[version]}\n", (tmp_path / "errors").read_text()
                process.stdin.write("".join(f"{key}\n" for key in keys))
                process.stdin.close()
                yield process
            finally:
                process.kill()
                process.wait()

    return running


def outcomes_of(*processes):
    """Wait until they have sent everything; tell what became of each key."""
    return [tuple(line.strip().split(" ", 1)) for process in processes for line in process.stdout]


def keys_of(name, count=TEXTS // 2):
    return [f"{name}-{number}" for number in range(count)]


def test_an_earlier_version_and_this_one_share_a_journal_without_a_text_twice_or_a_limit_broken(
    start, sandbox, tmp_path
):
    lists = {name: keys_of(name) for name in ("a", "b", "c", "d")}
    with start("earlier", lists["a"]) as a, start("earlier", lists["b"]) as b:
        first = a.stdout.readline().split()
        # In mid-list the new version joins in, and upgrades the journal.
        with start("this", lists["c"]) as c, start("this", lists["d"]) as d:
            outcomes = [tuple(first), *outcomes_of(a, b, c, d)]
    everything = [key for keys in lists.values() for key in keys]
    assert sorted(outcomes) == sorted((key, "sent") for key in everything)
    arrived = Counter(message["message"] for message in sandbox.accepted())
    assert arrived == {f"Hello {key}": 1 for key in everything}
    assert_limits_kept(sandbox, len(everything))
    assert "rror" not in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("first", BOTH)
def test_what_one_version_has_sent_the_other_one_knows(start, sandbox, first):
    second = BOTH[1 - BOTH.index(first)]
    with start("earlier", []):
        pass  # so that the journal is always one that was upgraded
    with start(first, keys_of("x", 4)) as process:
        assert sorted(outcomes_of(process)) == [(key, "sent") for key in keys_of("x", 4)]
    with start(second, keys_of("x", 4)) as process:
        assert sorted(outcomes_of(process)) == [(key, "already_sent") for key in keys_of("x", 4)]
    assert len(sandbox.accepted()) == 4


def test_both_versions_at_once_with_the_same_keys_send_each_text_once(start, sandbox):
    keys = keys_of("same", 8)
    with start("earlier", keys) as a, start("this", keys) as b:
        outcomes = outcomes_of(a, b)
    assert sorted(Counter(key for key, _ in outcomes).values()) == [2] * 8
    assert {status for _, status in outcomes} == {"sent", "already_sent"}
    assert Counter(message["message"] for message in sandbox.accepted()) == {f"Hello {key}": 1 for key in keys}
