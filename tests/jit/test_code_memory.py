"""Memory for machine code: never writable and executable, guarded, given back, refused with a reason."""

import gc
import os
import pathlib
import subprocess
import sys
import textwrap
import threading

import pytest

from pyebpf.native import NativeProg
from tests.jit.machine import compile_text

TEXT = "r0 = r1\nr0 += 14\nexit"


def mappings() -> list[tuple[int, int, str]]:
    """(start, end, permissions) of this process."""
    rows = []
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        span, permissions = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        rows.append((start, end, permissions))
    return rows


def in_child(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_code_is_executable_and_not_writable_between_guard_pages() -> None:
    prog = compile_text(TEXT)
    address = prog.entry_raw
    rows = mappings()
    assert not [row for row in rows if "w" in row[2] and "x" in row[2]]
    index = next(n for n, (start, end, _) in enumerate(rows) if start <= address < end)
    start, end, permissions = rows[index]
    assert permissions == "r-xp"
    assert rows[index - 1][1] == start and rows[index - 1][2] == "---p"
    assert rows[index + 1][0] == end and rows[index + 1][2] == "---p"


def test_code_of_freed_programs_is_given_back() -> None:
    before = None
    for n in range(3000):
        compile_text(TEXT)
        if n == 500:
            gc.collect()
            before = len(mappings())
    gc.collect()
    assert before is not None
    assert len(mappings()) <= before + 8


def test_many_programs_live_at_once() -> None:
    progs = [compile_text(f"r0 = {n}\nexit") for n in range(500)]
    assert [prog.run_raw() for prog in progs] == list(range(500))


def test_threads_compile_at_once() -> None:
    wrong: list[int] = []

    def work(first: int) -> None:
        for n in range(first, first + 200):
            if compile_text(f"r0 = {n}\nexit").run_raw() != n:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_machine_that_forbids_executable_memory_is_an_error_that_says_so() -> None:
    """PR_SET_MDWE (Linux 6.3) forbids memory to become executable."""
    child = in_child("""
        import ctypes, errno
        from pyebpf import Error
        from pyebpf.native import NativeProg
        from tests.jit.machine import compile_text
        if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):
            print("no MDWE")
            raise SystemExit
        try:
            compile_text("r0 = 1\\nexit")
        except Error as error:
            print(errno.errorcode[error.errno], error)
        print(compile_text("r0 = 7\\nexit", engine=0).run_raw())
    """)
    assert child.returncode == 0, child.stderr
    if child.stdout.startswith("no MDWE"):
        pytest.skip("this kernel has no PR_SET_MDWE")
    refused, ran = child.stdout.splitlines()
    assert refused.startswith("EACCES") and "executable memory is refused" in refused and "interpreter" in refused
    assert ran == "7"


PERF = """
    import os, pathlib
    from tests.jit.machine import compile_text
    prog = compile_text("r0 = 1\\nexit", name="counts")
    path = pathlib.Path(f"/tmp/perf-{os.getpid()}.map")
    print(hex(prog.entry_raw))
    if path.exists() and not path.is_symlink():
        print(path.read_text(), end="")
        path.unlink()
"""


def test_perf_learns_names_when_asked() -> None:
    address, line = in_child(PERF, PYEBPF_PERF_MAP="1").stdout.splitlines()
    start, nbytes, name = line.split()
    assert (int(start, 16), name) == (int(address, 16), "bpf_prog_counts")
    assert int(nbytes, 16) == len(compile_text("r0 = 1\nexit").jited)


def test_perf_is_told_nothing_unasked() -> None:
    assert len(in_child(PERF).stdout.splitlines()) == 1


def test_a_link_in_place_of_the_perf_map_is_not_followed(tmp_path: pathlib.Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    head = f'import os\nos.symlink("{victim}", f"/tmp/perf-{{os.getpid()}}.map")\n'
    tail = '\nos.unlink(f"/tmp/perf-{os.getpid()}.map")\n'
    child = in_child(head + textwrap.dedent(PERF) + tail, PYEBPF_PERF_MAP="1")
    assert child.returncode == 0, child.stderr
    assert victim.read_text() == "precious"


def test_jited_is_what_runs() -> None:
    prog: NativeProg = compile_text(TEXT)
    import ctypes

    assert ctypes.string_at(prog.entry_raw, len(prog.jited)) == prog.jited
