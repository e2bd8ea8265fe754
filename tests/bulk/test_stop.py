import threading

import pytest

from airflow_provider_dialogtech.bulk.sender import Stop, Stopped


def test_it_lets_go_on_until_it_is_set():
    stop = Stop()
    stop.check()
    stop.sleep(0)
    stop.set()
    with pytest.raises(Stopped):
        stop.check()
    with pytest.raises(Stopped):
        stop.sleep(0)


def test_setting_it_ends_a_sleep():
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped):
        stop.sleep(3600)
