"""Long calls let other Python threads run, and stop when they are told to."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from matrices import random
from processes import clean_environment
from rsspecnorm import spectral_norm, spectral_norms

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX here")

# Promised: within a second. The rest is for a busy machine to hand the answer over.
PATIENCE = 2.0

LONG_CALLS = {
    "many matrices": """
a = rng.standard_normal((1000, 1000))
call(lambda: rn.spectral_norms([a] * 10**4))
""",
    "stack": """
a = np.broadcast_to(rng.standard_normal((300, 300)), (10**5, 300, 300))
call(lambda: rn.spectral_norm(a))
""",
    "many small matrices": """
a = np.broadcast_to(rng.standard_normal((40, 40)), (10**6, 40, 40))
call(lambda: rn.spectral_norm(a))
""",
    "one thread": """
a = rng.standard_normal((700, 700))
call(lambda: rn.spectral_norms([a] * 10**4, num_threads=1))
""",
    "large matrices one by one": """
a = rng.standard_normal((6000, 5000), dtype=np.float32)
call(lambda: [rn.leading_triplet(a) for _ in range(10**3)])
""",
    "power steps on a tiny matrix": """
a = rng.standard_normal((20, 20))
call(lambda: rn.power_iteration(a, n_power_iterations=10**9))
""",
    "power steps, one thread": """
a = rng.standard_normal((500, 500), dtype=np.float32)
call(lambda: rn.spectral_normalize(a, n_power_iterations=10**7, num_threads=1))
""",
    "factorisation": """
a = rng.standard_normal((6000, 5000))
call(lambda: [rn.spectral_bounds(a, kind="rigorous") for _ in range(10**3)])
""",
}

PROGRAM = """
import numpy as np, rsspecnorm as rn
rng = np.random.default_rng(0)

def call(function):
    print("ready", flush=True)
    try:
        function()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("finished", flush=True)

"""


@pytest.mark.parametrize("name", LONG_CALLS)
def test_ctrl_c_ends_long_call_within_a_second(name):
    command = [sys.executable, "-c", PROGRAM + LONG_CALLS[name]]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - sent < PATIENCE
        finally:
            process.kill()


class StopError(Exception):
    """Raised by a signal handler of a test."""


def raise_stopped(_number, _frame):
    raise StopError


@pytest.fixture
def _usr1_raises():
    before = signal.signal(signal.SIGUSR1, raise_stopped)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_usr1_raises")
def test_exception_of_signal_handler_leaves_the_call():
    arrays = [random(1000, 1000)] * 10_000
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(StopError):
        spectral_norms(arrays)
    timer.join()


@pytest.mark.usefixtures("_usr1_raises")
def test_call_after_interrupted_call_is_right():
    a = random(300, 200)
    expected = spectral_norm(a)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(StopError):
        spectral_norms([random(1000, 1000)] * 10_000)
    timer.join()
    assert spectral_norm(a) == expected


@pytest.mark.parametrize("num_threads", [1, 2])
def test_other_thread_runs_during_call(num_threads):
    arrays = [random(600, 500)] * 40
    ticks, stop = 0, threading.Event()

    def count():
        nonlocal ticks
        while not stop.wait(0.001):
            ticks += 1

    counter = threading.Thread(target=count)
    counter.start()
    before = ticks
    spectral_norms(arrays, num_threads=num_threads)
    during = ticks - before
    stop.set()
    counter.join()
    # A call that kept the interpreter would let it go at most once or twice, at its ends.
    assert during > 5


def test_call_off_the_main_thread_works():
    a = np.stack([random(200, 200)] * 30)
    results = []
    worker = threading.Thread(target=lambda: results.append(spectral_norm(a)))
    worker.start()
    worker.join()
    assert np.array_equal(results[0], spectral_norm(a))
