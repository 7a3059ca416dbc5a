"""The engine stands alone: with captures, sockets and trace points deleted, the rest builds and passes its tests.

What goes is what reads events. What stays is what programs are run with: the contexts of program types (packet.c),
helpers (trace_printk's pipe among them) and maps.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
EVENTS = (
    "csrc/ingest*",
    "csrc/sock_source.*",
    "csrc/frame_queue.*",
    "csrc/pump.*",
    "csrc/perf_ring.*",
    "pyebpf/_core_sources.pxi",
    "pyebpf/_core_ingest.pxi",
    "pyebpf/sources",
    "pyebpf/data/*.pcap*",
    "pyebpf/cli/run.py",
    "pyebpf/cli/demo.py",
    "examples",
    "tests/sources",
    "tests/packets",
)
"""Every file of captures, sockets and trace points, and who is built on them."""
FREE = ("isa", "verify", "engine", "jit", "maps")
"""Parts whose tests pass without them."""


def tracked() -> list[str]:
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if out.returncode:
        pytest.skip("not a git checkout: which files belong to the tree is unknown")
    return [name for name in out.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def copy_without_events(to: pathlib.Path) -> list[str]:
    """The tracked tree without EVENTS; what was left out."""
    left_out = []
    for name in tracked():
        path = pathlib.PurePath(name)
        if any(parent.match(pattern) for pattern in EVENTS for parent in (path, *path.parents[:-1])):
            left_out.append(name)
            continue
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return left_out


def command(tree: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in that tree alone, whatever is installed."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PYEBPF_PURE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=tree, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_engine_builds_and_passes_without_captures_sockets_and_trace_points(tmp_path: pathlib.Path) -> None:
    left_out = copy_without_events(tmp_path)
    for pattern in EVENTS:
        if not any(c in pattern for c in "*."):
            assert not (tmp_path / pattern).exists()
    assert {"csrc/pump.c", "csrc/ingest.c", "pyebpf/sources/targets.py", "pyebpf/_core_ingest.pxi"} <= set(left_out)

    built = command(tmp_path, "setup.py", "-q", "build_ext", "--inplace")
    assert built.returncode == 0, built.stderr[-4000:]

    where = "import pyebpf, pyebpf.native as n; print(pyebpf.__file__, hasattr(n, 'NativePump'))"
    out = command(tmp_path, "-c", where)
    assert out.stdout.split() == [str(tmp_path / "pyebpf" / "__init__.py"), "False"], out.stderr

    folders = [f"tests/{name}" for name in FREE if (tmp_path / "tests" / name).is_dir()]
    arguments = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *folders]
    tests = command(tmp_path, "-m", "pytest", *arguments)
    assert tests.returncode == 0, tests.stdout[-8000:] + tests.stderr[-4000:]
