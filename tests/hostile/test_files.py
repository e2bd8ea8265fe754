"""Files that another user of the machine has made, linked or opened to all: each is refused by name, or mended."""

import logging
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_dialogtech.alerts.reported_errors import NAME, ReportedErrors
from airflow_provider_dialogtech.exceptions import JournalUnavailable
from airflow_provider_dialogtech.journal.store import Store
from airflow_provider_dialogtech.plugins.import_errors import ImportErrorWatch
from airflow_provider_dialogtech.plugins.listener import Listener
from airflow_provider_dialogtech.private_files import NotPrivate, ensure_private, open_private

NOBODY = 65534
SECRET = "what another program keeps here"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def give_away(monkeypatch):
    """Give a file to another user; only root can."""

    def give(path):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: NOBODY)

    return give


def a_link(path):
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text(SECRET)
    path.symlink_to(elsewhere)


def a_dangling_link(path):
    path.symlink_to(path.with_name("elsewhere"))


def a_loop_of_links(path):
    path.symlink_to(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


FOREIGN = {
    "a link": (a_link, "is a symbolic link"),
    "a dangling link": (a_dangling_link, "is a symbolic link"),
    "a loop of links": (a_loop_of_links, "is a symbolic link"),
    "a link to a device": (lambda path: path.symlink_to("/dev/full"), "is a symbolic link"),
    "a folder": (Path.mkdir, "is not a regular file"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a socket": (a_socket, "is not a regular file"),
}
foreign = pytest.mark.parametrize(("make", "problem"), FOREIGN.values(), ids=FOREIGN)


def open_journal(path, url="sqlite:///{}"):
    Store(url.format(path), patience=1).open()


@foreign
@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_a_journal_that_is_no_file_of_ours_is_refused_by_name(path, make, problem, suffix):
    if suffix:
        open_journal(path)
    name = path.with_name(path.name + suffix)
    name.unlink(missing_ok=True)
    make(name)
    with pytest.raises(JournalUnavailable) as refused:
        open_journal(path)
    assert f"{name} {problem}" in str(refused.value)
    assert_nothing_written(path)


@pytest.mark.parametrize("uri", ["file:{}", "file://{}", "file://localhost{}"])
def test_a_journal_that_a_uri_names_is_looked_at_too(tmp_path, uri):
    (tmp_path / "a folder").mkdir()
    path = tmp_path / "a folder" / "journal.db"
    url = f"sqlite:///{uri}?uri=true".replace("{}", str(path).replace(" ", "%20"))
    open_journal(path, url)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    a_dangling_link(path)
    with pytest.raises(JournalUnavailable, match="is a symbolic link"):
        open_journal(path, url)


@foreign
def test_a_list_of_reported_errors_that_is_no_file_of_ours_is_refused_by_name(tmp_path, make, problem):
    make(tmp_path / NAME)
    with pytest.raises(NotPrivate, match=problem):
        ReportedErrors.lock(str(tmp_path))
    assert_nothing_written(tmp_path / NAME)


def assert_nothing_written(path):
    elsewhere = path.with_name("elsewhere")
    assert not elsewhere.exists() or elsewhere.read_text() == SECRET


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
@pytest.mark.parametrize("suffix", ["", "-journal"])
def test_a_journal_of_another_user_is_refused_by_name(path, give_away, mode, suffix):
    open_journal(path)
    name = path.with_name(path.name + suffix)
    name.touch()
    name.chmod(mode)
    give_away(name)
    with pytest.raises(JournalUnavailable, match=r"belongs to another user \(uid \d+; this process has uid \d+\)"):
        open_journal(path)
    assert stat.S_IMODE(name.stat().st_mode) == mode


def test_a_list_of_reported_errors_of_another_user_is_refused_by_name(tmp_path, give_away):
    (tmp_path / NAME).write_text(SECRET)
    give_away(tmp_path / NAME)
    with pytest.raises(NotPrivate, match="belongs to another user"):
        ReportedErrors.lock(str(tmp_path))
    assert (tmp_path / NAME).read_text() == SECRET


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o703])
@pytest.mark.parametrize("opened", [ensure_private, open_private])
def test_a_folder_that_every_user_can_write_to_is_used_and_named_once_in_a_warning(path, mode, opened, caplog):
    """As Kubernetes makes its volumes, in whose containers there is nobody else."""
    path.parent.chmod(mode)
    opened(path)
    opened(path)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"Every user can write to the folder {path.parent}")


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o750])
def test_a_folder_in_which_nobody_else_can_replace_our_files_is_used(path, mode):
    path.parent.chmod(mode)
    open_journal(path)


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o604])
def test_a_mode_that_lets_others_in_is_mended_with_one_warning(path, mode, caplog):
    open_journal(path)
    names = [path, path.with_name("journal.db-journal"), path.with_name("journal.db.2026-11-30")]
    for name in names:
        name.touch()
        name.chmod(mode)
    caplog.clear()
    # As after a restored backup: this process has opened it before.
    open_journal(path)
    open_journal(path)
    assert [stat.S_IMODE(name.stat().st_mode) for name in names[:2]] == [0o600, 0o600]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert f"Other users had rights to {path} (mode {mode:04o}). Its mode is 0600 now." in warnings


def test_copies_beside_the_journal_are_mended_when_it_is_first_opened(path):
    copies = [path.with_name("journal.db.backup"), path.with_name("journal.db-2026-11-30")]
    others = [path.with_name(name) for name in ("another.db", "journal.dbase", "journal.db2")]
    for name in (*copies, *others):
        name.touch()
        name.chmod(0o644)
    a_link(path.with_name("journal.db.link"))
    open_journal(path)
    assert {stat.S_IMODE(name.stat().st_mode) for name in copies} == {0o600}
    assert {stat.S_IMODE(name.stat().st_mode) for name in others} == {0o644}
    assert stat.S_IMODE(path.with_name("elsewhere").stat().st_mode) != 0o600


def test_the_list_of_reported_errors_is_mended(tmp_path, caplog):
    (tmp_path / NAME).touch()
    (tmp_path / NAME).chmod(0o666)
    ReportedErrors.lock(str(tmp_path)).close()
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert "mode 0666" in caplog.text


def test_a_mode_that_cannot_be_changed_is_warned_of_once(path, caplog, monkeypatch):
    path.touch()
    path.chmod(0o644)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    for _ in range(3):
        ensure_private(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"Other users have rights to {path} (mode 0644), and its mode cannot be changed."
    ]


def test_a_check_does_not_release_the_locks_of_this_process(path):
    """To close any descriptor of a file releases this process's locks on it."""
    open_journal(path)
    with sqlite3.connect(path, isolation_level=None) as ours:
        ours.execute("BEGIN EXCLUSIVE")
        ensure_private(path)
        try_to_read = (
            "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM sqlite_master')"
        )
        done = subprocess.run([sys.executable, "-c", try_to_read, path], capture_output=True, text=True, check=False)
        ours.execute("ROLLBACK")
    assert "database is locked" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_cannot_lock_the_journal(path):
    """A reader's lock keeps commits away, so nobody else may read the file: a mode of 0644 is enough for one."""
    path.parent.chmod(0o755)
    open_journal(path)
    path.chmod(0o644)
    open_journal(path)
    done = subprocess.run(["cat", path], preexec_fn=lambda: os.setuid(NOBODY), capture_output=True, check=False)
    assert done.returncode != 0


def test_a_broken_dag_file_is_reported_without_a_traceback_where_the_list_is_not_ours(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__ALERT_ON", "import_error")
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(tmp_path))
    a_dangling_link(tmp_path / NAME)
    ImportErrorWatch().note("etl.py", "KeyError", is_new=True)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is None
    assert f"{tmp_path / NAME} is a symbolic link" in record.getMessage()


class Job:
    """What Airflow passes to the listener of a scheduler."""


@pytest.mark.parametrize("make", [a_link, a_dangling_link, Path.touch, Path.mkdir], ids=lambda make: make.__name__)
def test_a_taken_fallback_folder_is_reported_at_start_up(tmp_path, monkeypatch, caplog, make):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"dialogtech-{os.getuid()}"
    Listener().on_starting(Job())
    assert not caplog.records
    make(folder)
    Listener().on_starting(Job())
    if make is Path.mkdir:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert str(folder) in record.getMessage()


def test_a_fallback_folder_of_another_user_is_reported_at_start_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__DIALOGTECH__CREATE_POOLS", "False")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"dialogtech-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    Listener().on_starting(Job())
    assert str(folder) in caplog.text
