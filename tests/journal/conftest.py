import gc

import pytest


@pytest.fixture
def no_garbage_is_collected():
    """Let no other object be finalized below thousands of brackets, where even a finalizer has no stack left."""
    gc.disable()
    yield
    gc.enable()
