"""The system call, its attribute buffer and file descriptors that close themselves."""

import ctypes
import os
import platform
import struct
from enum import IntEnum
from typing import Self, TypeVar

from pyebpf.spec.kinds import Cmd

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
ATTR_SIZE = 168
_libc = ctypes.CDLL(None, use_errno=True)
E = TypeVar("E", bound=IntEnum)


def bpf(cmd: int, attr: bytearray) -> int:
    """bpf(cmd, attr, len(attr)); results are written back into `attr`. OSError with Linux's errno."""
    buf = (ctypes.c_char * len(attr)).from_buffer(attr)
    ret = int(_libc.syscall(SYS_BPF, int(cmd), buf, len(attr)))
    if ret < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf({Cmd(cmd).name}): {os.strerror(code)}")
    return ret


def attr(layout: str, *values: object) -> bytearray:
    """The fields of `layout` (a struct format without padding), zero-filled to ATTR_SIZE."""
    return bytearray(struct.pack("=" + layout, *values).ljust(ATTR_SIZE, b"\0"))


class Buffer:
    """Bytes at a fixed address: `addr` for an attribute, `raw` for its contents. Empty: address 0."""

    def __init__(self, data: bytes | bytearray | memoryview | int) -> None:
        size = data if isinstance(data, int) else len(data)
        self._mem = (ctypes.c_char * size)() if isinstance(data, int) else (ctypes.c_char * size).from_buffer_copy(data)
        self.addr = ctypes.addressof(self._mem) if size else 0

    @property
    def raw(self) -> bytes:
        """What is in it now."""
        return bytes(self._mem)

    def head(self, nbytes: int) -> bytes:
        """The first `nbytes`, without copying the rest."""
        return ctypes.string_at(self._mem, min(nbytes, len(self._mem)))


def member(enum: type[E], value: E | int | str) -> int:
    """The number of an enum member given as such, as a number or as a name in any case."""
    return enum[value.upper()].value if isinstance(value, str) else int(value)


class Fd:
    """A file descriptor that is closed once, by `with`, `close()` or the garbage collector."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        """The number."""
        return self.fd

    def close(self) -> None:
        """Close it; again is harmless."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
