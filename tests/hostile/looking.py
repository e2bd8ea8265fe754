"""What a person gets to see of an error: Airflow 3.0 prints tracebacks with the locals of every frame."""

import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

import airflow_provider_dialogtech

PACKAGE = Path(airflow_provider_dialogtech.__file__).parent

# Bounded work takes less time on any machine; quadratic work takes longer.
SOON = 5.0


def seen_of(error):
    """Return all that a traceback with locals shows of an error and of what led to it, in our frames."""
    seen, waiting, known = [], [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in known:
            continue
        known.add(id(one))
        waiting += [one.__cause__, one.__context__]
        seen += [str(one), repr(one), *traceback.format_exception_only(type(one), one)]
        seen += [
            f"{frame.f_code.co_filename}:{frame.f_code.co_name}: {name} = {value!r}"
            for frame, _ in traceback.walk_tb(one.__traceback__)
            if Path(frame.f_code.co_filename).is_relative_to(PACKAGE)
            for name, value in frame.f_locals.items()
        ]
    return "\n".join(seen)


@contextmanager
def soon():
    """Fail if this process uses more CPU time in the block than bounded work needs."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < SOON, f"took {taken:.1f} s"


def refusal_of(kind, call, *args, **kwargs):
    """Return the error that a call ends in, which must be of this kind."""
    with pytest.raises(kind) as refused:
        call(*args, **kwargs)
    return refused.value
