"""Thread counts: who decides them, and that sharing arrays between threads is safe."""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from matrices import random
from processes import output_of
from rsspecnorm import (
    get_num_threads,
    set_num_threads,
    spectral_norm,
    spectral_normalize,
    spectral_norms,
    thread_limit,
)

PRINT_THREADS = "import rsspecnorm; print(rsspecnorm.get_num_threads())"


def test_set_threads_holds_until_unset():
    default = get_num_threads()
    set_num_threads(default + 5)
    assert get_num_threads() == default + 5
    set_num_threads(None)
    assert get_num_threads() == default


@pytest.mark.parametrize("n", [0, -1])
def test_set_threads_to_no_thread_raises(n):
    with pytest.raises(ValueError, match="positive"):
        set_num_threads(n)
    with pytest.raises(ValueError, match="positive"), thread_limit(n):
        pass


@pytest.mark.parametrize("n", [2**64, 2**70])
def test_set_threads_beyond_any_count_raises(n):
    with pytest.raises(ValueError, match=rf"^n must be below 2\*\*64, got {n}"):
        set_num_threads(n)
    with pytest.raises(ValueError, match=rf"^n must be below 2\*\*64, got {n}"), thread_limit(n):
        pass


@pytest.mark.parametrize("n", [1.5, "2"])
def test_set_threads_to_no_int_raises(n):
    with pytest.raises(TypeError, match=r"^n must be an int"):
        set_num_threads(n)
    with pytest.raises(TypeError, match=r"^n must be an int"), thread_limit(n):
        pass


def test_thread_limits_nest_and_end():
    set_num_threads(2)
    with thread_limit(5):
        assert get_num_threads() == 5
        with thread_limit(3):
            assert get_num_threads() == 3
        assert get_num_threads() == 5
        set_num_threads(4)
        assert get_num_threads() == 5
    assert get_num_threads() == 4


def test_thread_limit_ends_on_error():
    default = get_num_threads()
    with pytest.raises(KeyError), thread_limit(default + 1):
        raise KeyError
    assert get_num_threads() == default


def test_thread_limit_is_not_seen_by_other_threads():
    default = get_num_threads()
    with thread_limit(default + 1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_num_threads).result() == default


def test_calls_obey_any_setting():
    a = random(400, 300)
    expected = spectral_norm(a)
    for n in (1, 2, 33):
        set_num_threads(n)
        assert spectral_norm(a) == expected
        assert spectral_norm(a, num_threads=n + 1) == expected
        with thread_limit(n + 2):
            assert spectral_norm(a) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RSSPECNORM_NUM_THREADS": "3", "RAYON_NUM_THREADS": "4", "OMP_NUM_THREADS": "5"}, 3),
        ({"RAYON_NUM_THREADS": "4", "OMP_NUM_THREADS": "5"}, 4),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"RSSPECNORM_NUM_THREADS": "0", "RAYON_NUM_THREADS": "4"}, 4),
        ({"RSSPECNORM_NUM_THREADS": "-1", "OMP_NUM_THREADS": "5"}, 5),
        ({"RSSPECNORM_NUM_THREADS": "many", "RAYON_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
    ],
)
def test_environment_decides_in_order(variables, expected):
    assert int(output_of(PRINT_THREADS, **variables)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="affinity is Linux only")
def test_affinity_decides_without_environment():
    count = int(output_of(PRINT_THREADS))
    assert 1 <= count <= len(os.sched_getaffinity(0))
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + PRINT_THREADS
    assert int(output_of(one)) == 1


def test_set_threads_goes_before_environment():
    code = "import rsspecnorm; rsspecnorm.set_num_threads(7);" + PRINT_THREADS
    assert int(output_of(code, RSSPECNORM_NUM_THREADS="3")) == 7


def test_threads_share_one_array():
    arrays = [random(150, 130, seed=i) for i in range(6)]
    expected = spectral_norms(arrays)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: spectral_norms(arrays), range(40)))
    assert all(np.array_equal(sigma, expected) for sigma in results)


def test_threads_start_together_on_large_matrix():
    a = random(1200, 900)
    barrier = threading.Barrier(4)

    def together(_):
        barrier.wait()
        return spectral_norm(a, num_threads=2)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(together, range(4)))) == 1


def test_more_threads_than_are_of_use_are_not_started():
    a = random(600, 600)
    assert spectral_norm(a, num_threads=2**40) == spectral_norm(a, num_threads=1)


def test_a_matrix_that_another_call_writes_to_is_named():
    a = random(2000, 2000)
    out = np.zeros_like(a)

    def write():
        while True:
            with suppress(ValueError):  # where a read came first
                spectral_normalize(a, n_power_iterations=100, out=out)
                return
            time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    reads = {
        r"^a must not overlap": lambda: spectral_norm(out[:50, :50]),
        r"^arrays\[1\] must not overlap": lambda: spectral_norms([a[:9, :9], out[:50, :50]]),
    }
    seen = set()
    while thread.is_alive():
        time.sleep(0.005)
        for read in reads.values():
            try:
                read()
            except ValueError as error:
                seen.add(str(error))
    thread.join()
    for pattern in reads:
        assert any(re.match(pattern, message) for message in seen), seen
