"""What a test needs of its machine: missing, it is a skip; named in PYEBPF_REQUIRE, a failure.

PYEBPF_REQUIRE is a comma-separated list of linux (bpf(2) works), netns (namespaces, veth and raw
sockets work) and clang (clang-19 or newer with the BPF target is on PATH).
"""

import functools
import os
import shutil
import subprocess

import pytest

REQUIRED = frozenset(filter(None, os.environ.get("PYEBPF_REQUIRE", "").split(",")))


def need(name: str, reason: str | None) -> None:
    """Skip the calling test because of `reason` (None: nothing is missing), or fail it if `name` is required."""
    if reason is None:
        return
    if name in REQUIRED:
        pytest.fail(f"PYEBPF_REQUIRE={name}, but {reason}")
    pytest.skip(reason)


@functools.cache
def _linux_reason() -> str | None:
    import ctypes
    import errno

    libc = ctypes.CDLL(None, use_errno=True)
    attr = ctypes.create_string_buffer(128)
    attr[0:20] = (2).to_bytes(4, "little") + (4).to_bytes(4, "little") * 2 + (1).to_bytes(4, "little") + bytes(4)
    fd = libc.syscall(321, 0, attr, 128)
    if fd < 0:
        return f"bpf(2) is refused: {errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno())}"
    os.close(fd)
    return None


@functools.cache
def _netns_reason() -> str | None:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "ip (iproute2) is not installed"
    made = subprocess.run(["unshare", "-n", "ip", "link", "add", "type", "veth"], capture_output=True, check=False)
    return None if made.returncode == 0 else f"a veth pair in a namespace is refused: {made.stderr.decode().strip()}"


@functools.cache
def clang_path() -> str | None:
    """clang with the BPF target, newest first; None when there is none."""
    return next(filter(None, map(shutil.which, ("clang-21", "clang-20", "clang-19"))), None)


def linux() -> None:
    """The test asks the running kernel's bpf(2)."""
    need("linux", _linux_reason())


def netns() -> None:
    """The test makes network namespaces and veth pairs."""
    need("netns", _netns_reason())


def clang() -> str:
    """The test compiles C with clang; its path."""
    need("clang", None if clang_path() else "clang-19 is not installed")
    path = clang_path()
    assert path is not None
    return path
