"""Running Python in a process of its own, for what a process fixes once and for all."""

import os
import subprocess
import sys

OWN_VARIABLES = (
    "RSSPECNORM_LEVEL",
    "RSSPECNORM_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
)


def clean_environment(**variables):
    """Return the environment with no settings of ours but these."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    return kept | variables


def run_python(code, *, timeout=60, **variables):
    """Run a program and return what it did; a hang is `subprocess.TimeoutExpired`."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output_of(code, *, timeout=60, **variables):
    """Run a program that must succeed and return what it printed."""
    done = run_python(code, timeout=timeout, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
