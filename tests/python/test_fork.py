"""A forked child computes as its parent does, whatever ran before the fork."""

import multiprocessing
import sys

import pytest

from processes import output_of

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)

# Several threads and both ways to share work, so that the parent's pool exists and is needed.
PRELUDE = """
import multiprocessing, os, warnings
import numpy as np
import rsspecnorm

warnings.simplefilter("ignore", DeprecationWarning)
large = np.random.default_rng(0).standard_normal((1200, 900)).astype(np.float32)
many = [large[:150 + i, :140] for i in range(20)]

def work(_=None):
    one = rsspecnorm.spectral_norm(large, num_threads=3)
    return one.hex(), rsspecnorm.spectral_norms(many, num_threads=3).tobytes().hex()


def forked(function, n):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(function, range(n))
"""


def last_line(code):
    return output_of(PRELUDE + code, timeout=60).splitlines()[-1]


def test_fork_after_use_gives_same_bits():
    assert last_line("expected = work(); print(set(forked(work, 6)) == {expected})") == "True"


def test_fork_before_use_gives_same_bits():
    assert last_line("children = forked(work, 4); print(set(children) == {work()})") == "True"


def test_parent_works_on_after_fork():
    code = "first = work(); forked(work, 2); print(work() == first)"
    assert last_line(code) == "True"


def test_grandchild_after_use_gives_same_bits():
    # A Pool's workers are daemons, which may not fork by this module; plain os.fork may.
    code = """
expected = work()

def fork_down(depth):
    pid = os.fork()
    if pid == 0:
        same = work() == expected
        below = fork_down(depth - 1) if depth else True
        os._exit(0 if same and below else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

print(fork_down(2))
"""
    assert last_line(code) == "True"


def test_fork_while_other_thread_computes_does_not_hang():
    code = """
import threading
stop = threading.Event()
expected = work()

def keep_busy():
    while not stop.is_set():
        work()

busy = threading.Thread(target=keep_busy)
busy.start()
children = [forked(work, 2) for _ in range(3)]
stop.set()
busy.join()
print(all(child == expected for pair in children for child in pair))
"""
    assert last_line(code) == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="forkserver is tested where it is default")
def test_forkserver_gives_same_bits(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        PRELUDE + "\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('forkserver').Pool(1) as pool:\n"
        "        print(pool.map(work, range(2)) == [work()] * 2)\n"
    )
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    assert output_of(code, timeout=60).splitlines()[-1] == "True"
