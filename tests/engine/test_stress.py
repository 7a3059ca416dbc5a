"""The C stress of runs, vCPUs and programs that come and go, under the sanitizers."""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.mark.slow  # compiles the whole core
@pytest.mark.nosan  # builds its own, with sanitizers of its own
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_runs_are_exact_and_silent_under(sanitizer: str, tmp_path: pathlib.Path) -> None:
    compiler = os.environ.get("CC") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    program = tmp_path / "runs"
    sources = [str(HERE / "c" / "runs.c"), *map(str, sorted((ROOT / "csrc").glob("*.c")))]
    includes = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests' / 'maps' / 'c'}"]
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-fsanitize={sanitizer}"]
    subprocess.run([compiler, *flags, *includes, *sources, "-o", str(program), "-lpthread"], check=True)
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    env |= {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66", "ASAN_OPTIONS": "detect_leaks=1"}
    done = subprocess.run([program, "2"], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("runs: ")
