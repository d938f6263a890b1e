"""Runs the Rust tests once per SIMD tier that this CPU has, on one build of the test programs.

The installed package says which tiers there are. A tier whose run executes no test counts as
skipped, and a skipped tier fails the run: silence must not look like success. With an argument,
only the tests whose name has it are run, on the tier of the environment.
"""

import os
import re
import subprocess
import sys

TEST_COMMAND = ("cargo", "test", "--locked", "-p", "rsspecnorm")
PASSED = re.compile(r"^test result: ok\. (\d+) passed")


def levels_available() -> list[str]:
    """Tiers this CPU has, narrowest first, asked in a fresh process under no forced tier."""
    question = "import rsspecnorm; print(*rsspecnorm.build_info()['levels_available'])"
    free = {name: value for name, value in os.environ.items() if name != "RSSPECNORM_LEVEL"}
    command = [sys.executable, "-P", "-c", question]
    answer = subprocess.run(command, env=free, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.split()


def run_tests(*arguments: str, level: str | None = None) -> int:
    """Run one selection of tests; how many passed, or an exit with the run's own status."""
    forced = {"RSSPECNORM_LEVEL": level} if level else {}
    command = [*TEST_COMMAND, *arguments]
    passed = 0
    with subprocess.Popen(
        command, env={**os.environ, **forced}, stdout=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            match = PASSED.match(line)
            passed += int(match[1]) if match else 0
    if run.returncode:
        sys.exit(run.returncode)
    return passed


def run_tiers() -> dict[str, int]:
    """All tests on every tier; how many passed on each."""
    levels = levels_available()
    if "portable" not in levels:
        sys.exit(f"every CPU has the portable tier, but build_info() lists {levels}")
    return {level: run_tests("--lib", "--test", "*", level=level) for level in levels}


def main(arguments: list[str]) -> int:
    """Run what is asked for and say how much of it there was."""
    if arguments:
        passed = {arguments[0]: run_tests("--lib", "--test", "*", arguments[0])}
    else:
        passed = run_tiers()
        # These are compiled anew each time, so on one tier only.
        print(f"rust documentation examples: {run_tests('--doc')} passed")
    for selection, count in passed.items():
        print(f"rust tests on {selection}: {count} passed")
    skipped = [selection for selection, count in passed.items() if count == 0]
    if skipped:
        print(f"no test was executed on: {', '.join(skipped)}", file=sys.stderr)
    return 1 if skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
