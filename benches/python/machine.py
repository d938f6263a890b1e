"""What a record says of the machine and the software, so that a number can be judged."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import scipy
from threadpoolctl import threadpool_info

import rsspecnorm

ROOT = Path(__file__).resolve().parents[2]
CPU_KEYS = ("model name", "cpu family", "model", "stepping")
THREAD_VARIABLES = (
    "RSSPECNORM_NUM_THREADS",
    "RSSPECNORM_LEVEL",
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def cpu() -> dict[str, str]:
    """What the system calls the first CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", 1)[0]
    except OSError:
        return {"model name": platform.processor() or platform.machine()}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in pairs}
    named = {key: found[key] for key in CPU_KEYS if key in found}
    return {"model name": platform.machine(), **named}


def cpu_slug() -> str:
    """The CPU's name as a part of a file's name."""
    name = re.sub(r"\((?:r|tm)\)|@.*|\b(?:cpu|processor)\b", " ", cpu()["model name"].lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "unknown"


def usable_cpus() -> int:
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


def caches() -> str:
    """Sizes of the caches that the first CPU sees."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def blas() -> list[str]:
    """The BLAS libraries in this process: NumPy and SciPy may each bring one."""
    return [
        f"{each['internal_api']} {each['version']}"
        f" ({each.get('architecture', 'unknown')} kernels), {each['num_threads']} threads"
        for each in threadpool_info()
        if each["user_api"] == "blas"
    ]


def commit() -> str:
    """The state of the sources."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe() -> list[tuple[str, str]]:
    """What is worth knowing, as pairs of a name and a value."""
    processor, build = cpu(), rsspecnorm.build_info()
    details = ", ".join(f"{key} {processor[key]}" for key in CPU_KEYS[1:] if key in processor)
    settings = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    return [
        ("date", today()),
        ("CPU", processor["model name"] + (f" ({details})" if details else "")),
        ("cores this process may use", str(usable_cpus())),
        ("caches", caches()),
        ("system", f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("NumPy, SciPy", f"{np.__version__}, {scipy.__version__}"),
        ("BLAS", "; ".join(blas()) or "unknown"),
        ("safetensors (for the NumPy script)", installed("safetensors")),
        ("rsspecnorm", f"{build['version']}, commit {commit()}"),
        ("its SIMD tier", build["level"]),
        ("its threads", str(build["num_threads"])),
        ("settings in the environment", ", ".join(settings) or "none"),
    ]


def in_short() -> str:
    """One line for the head of a table."""
    build = rsspecnorm.build_info()
    return (
        f"rsspecnorm {build['version']} ({build['level']}, {build['num_threads']} threads), "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}, BLAS: {'; '.join(blas())}"
    )
