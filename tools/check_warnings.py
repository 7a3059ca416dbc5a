"""Compiles csrc with gcc and with clang (the system's, else ziglang's), every warning an error; -fsyntax-only."""

import pathlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from warning_flags import C_WARNINGS  # noqa: E402  (the path above comes first)


def compilers() -> list[list[str]]:
    """gcc, and a clang."""
    clang = next(filter(None, map(shutil.which, ("clang-19", "clang"))), None)
    return [["gcc"], [clang] if clang else [sys.executable, "-m", "ziglang", "cc"]]


def main() -> int:
    """Print every diagnostic; 1 if there is any."""
    jobs = [
        [*cc, "-std=gnu11", "-O2", *C_WARNINGS, "-Werror", "-fsyntax-only", str(path)]
        for cc in compilers()
        for path in sorted((ROOT / "csrc").glob("*.c"))
    ]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda job: subprocess.run(job, capture_output=True, text=True, check=False), jobs))
    for run in runs:
        sys.stdout.write(run.stderr)
    return 1 if any(run.returncode for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
