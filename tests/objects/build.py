"""Compiles the tests' C: by clang, or by the ziglang wheel, which is always there."""

import functools
import pathlib
import subprocess
import sys

from tests import require

FOLDER = pathlib.Path(__file__).parent / "c"
INCLUDE = pathlib.Path(__file__).parents[2] / "pyebpf" / "include"
ZIG = (sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding", "-fno-unwind-tables")


def _compile(command: tuple[str, ...], name: str, cpu: str, *options: str) -> bytes:
    args = [*command, "-O2", f"-mcpu={cpu}", "-Wall", "-Werror", f"-I{INCLUDE}", *options, "-c", name + ".c", "-o", "-"]
    done = subprocess.run(args, cwd=FOLDER, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@functools.cache
def clang(name: str, cpu: str = "v3", *options: str) -> bytes:
    """The object of tests/objects/c/NAME.c by clang; skips or fails without it."""
    return _compile((require.clang(), "-target", "bpf"), name, cpu, *(options or ("-g",)))


@functools.cache
def zig(name: str, cpu: str = "v3", *options: str) -> bytes:
    """The same by ziglang, which cannot write to a pipe."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "x.o"
        command = (*ZIG, "-fno-asynchronous-unwind-tables")
        args = [
            *command,
            "-O2",
            f"-mcpu={cpu}",
            f"-I{INCLUDE}",
            *(options or ("-g",)),
            "-c",
            name + ".c",
            "-o",
            str(out),
        ]
        done = subprocess.run(args, cwd=FOLDER, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return out.read_bytes()
