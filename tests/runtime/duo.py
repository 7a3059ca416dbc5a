"""The same calls on both back ends: a script runs once here and once in Linux, and its steps must agree."""

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

import pyebpf.syscall as sc
from pyebpf.errors import ENOTSUPP
from pyebpf.spec.attr import ATTR
from pyebpf.spec.kinds import Cmd
from tests import require

BAD_POINTER = 0x10
"""An address in the first page, which nobody maps."""


class Side:
    """One back end. Steps are appended to `steps`; buffers live as long as it does."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.steps: list[tuple[str, Any]] = []
        self._keep: list[object] = []
        self._fds: list[int] = []

    def mem(self, content: bytes | int) -> int:
        """Address of a buffer: a copy of bytes, or that many zeros."""
        raw = bytes(content)
        buffer = ctypes.create_string_buffer(raw, max(len(raw), 1))
        self._keep.append(buffer)
        return ctypes.addressof(buffer)

    def call(self, cmd: Cmd | int, **members: int | bytes) -> tuple[int, bytearray]:
        """Result (fd, 0 or -errno) and the attr as it came back."""
        attr = bytearray(ATTR[Cmd(cmd)].pack(**members).ljust(168, b"\0"))
        return self.raw(cmd, attr), attr

    def raw(self, cmd: int, attr: bytearray, size: int | None = None) -> int:
        """Result (fd, 0 or -errno) of given bytes."""
        try:
            fd = sc.bpf(cmd, attr, size, backend=self.backend)
        except OSError as exc:
            return -(exc.errno or 0)
        if fd:
            self._fds.append(fd)
        return fd

    def fd(self, cmd: Cmd, **members: int | bytes) -> int:
        """A call that must give an fd."""
        fd, _ = self.call(cmd, **members)
        assert fd > 0, f"{self.backend}: {cmd.name} {members}: {name(fd)}"
        return fd

    def step(self, label: str, cmd: Cmd | int, **members: int | bytes) -> bytearray:
        """Record a call's outcome."""
        result, attr = self.call(cmd, **members)
        self.note(label, result)
        return attr

    def note(self, label: str, result: Any) -> None:
        """Record an outcome: an fd counts as "fd", a negative number as its errno."""
        if isinstance(result, int):
            result = name(result)
        self.steps.append((label, result))

    def close(self, fd: int) -> None:
        """Close one of its fds."""
        self._fds.remove(fd)
        self._close(fd)

    def _close(self, fd: int) -> None:
        if self.backend == "user":
            sc.close(fd)
        else:
            os.close(fd)

    def close_all(self) -> None:
        """Close what the script left open."""
        for fd in self._fds:
            self._close(fd)
        self._fds.clear()


def name(result: int) -> str:
    """ok, fd or the errno's name."""
    if result >= 0:
        return "fd" if result else "ok"
    return "ENOTSUPP" if -result == ENOTSUPP else errno.errorcode.get(-result, str(-result))


def run(script: Callable[[Side], None], backend: str) -> list[tuple[str, Any]]:
    """The script's steps on one back end."""
    side = Side(backend)
    try:
        script(side)
    finally:
        side.close_all()
    return side.steps


def same(script: Callable[[Side], None]) -> list[tuple[str, Any]]:
    """Both back ends agree on every step; the steps."""
    require.linux()
    ours, linux = run(script, "user"), run(script, "kernel")
    differences = [f"{a[0]}: here {a[1]}, Linux {b[1]}" for a, b in zip(ours, linux, strict=True) if a != b]
    assert not differences, "\n".join(differences)
    return ours


U32 = b"\1\0\0\0"


def create(side: Side, **members: int | bytes) -> int:
    """A HASH of 4:8, or what `members` say."""
    default: dict[str, int | bytes] = {"map_type": 1, "key_size": 4, "value_size": 8, "max_entries": 4}
    return side.fd(Cmd.MAP_CREATE, **{**default, **members})


RETURN_2 = bytes.fromhex("b7000000020000009500000000000000")


def load(side: Side, insns: bytes = RETURN_2, prog_type: int = 1, **members: int | bytes) -> int:
    """A socket filter that returns 2, or what is given."""
    return side.fd(
        Cmd.PROG_LOAD,
        prog_type=prog_type,
        insn_cnt=len(insns) // 8,
        insns=side.mem(insns),
        license=side.mem(b"GPL\0"),
        **members,
    )
