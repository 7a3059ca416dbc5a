"""One bpf(2) call: its attr, copied and checked as Linux does, and the way back into the caller's buffer."""

import ctypes
import errno
import os
from typing import Any

from pyebpf import native
from pyebpf.errors import Error
from pyebpf.runtime.state import Runtime
from pyebpf.spec.attr import ATTR_SIZE, PAGE_SIZE, Layout
from pyebpf.spec.kinds import OBJ_NAME_LEN, Cmd

_NAME_BYTES = frozenset(b"_." + bytes(c for c in range(256) if chr(c).isalnum() and (c < 128 or c >= 0xC0)))
"""Linux's isalnum takes Latin-1."""

CAPS = ("all", "bpf", "none")


class AttrBuffer:
    """The caller's attr: a buffer, a ctypes byref/pointer to one, or an address.

    A buffer is bounded by its own length; an address is read and written as the kernel would.
    """

    def __init__(self, attr: Any, size: int | None) -> None:
        self._keep, self._address, limit = _locate(attr)
        if size is None:
            if limit is None:
                raise Error(errno.EINVAL, "attr is an address: its size must be given")
            size = limit
        self.size = size
        self._limit = limit

    @property
    def address(self) -> int:
        """For the Linux syscall, which checks it itself; EFAULT when `size` is more than the buffer has."""
        if self._limit is not None and self.size > self._limit:
            raise Error(errno.EFAULT, f"attr has {self._limit} bytes, size says {self.size}")
        return self._address

    def read(self) -> bytearray:
        """sizeof(union bpf_attr) bytes, zero-filled; E2BIG, EFAULT."""
        if not 0 <= self.size <= PAGE_SIZE:
            raise Error(errno.E2BIG, f"attr is {self.size} bytes, expected at most {PAGE_SIZE}")
        if self._limit is None:
            data = native.copy_from_user(self._address, self.size)
        else:
            data = ctypes.string_at(self.address, self.size)
        if data.count(0, ATTR_SIZE) < len(data) - ATTR_SIZE:
            raise Error(errno.E2BIG, f"attr has non-zero bytes behind the {ATTR_SIZE} that are known")
        return bytearray(data[:ATTR_SIZE].ljust(ATTR_SIZE, b"\0"))

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` into the caller's attr; EFAULT when it has no room or is read-only."""
        if self._limit is None:
            native.copy_to_user(self._address + offset, data)
        elif offset + len(data) > self._limit or isinstance(self._keep, ctypes.Array):
            raise Error(errno.EFAULT, f"attr has no writable {len(data)} bytes at {offset}")
        else:
            ctypes.memmove(self._address + offset, data, len(data))


def _locate(attr: Any) -> tuple[object, int, int | None]:
    """What keeps the memory alive (a ctypes array if it is our copy of a read-only one), address, length."""
    if hasattr(attr, "_obj"):  # ctypes.byref(x)
        attr = attr._obj
    if isinstance(attr, ctypes._Pointer):
        return attr, ctypes.addressof(attr.contents), None
    if isinstance(attr, ctypes.c_void_p):
        return attr, attr.value or 0, None
    if isinstance(attr, int):
        return attr, attr, None
    view = memoryview(attr)
    if not view.contiguous:
        raise Error(errno.EFAULT, "attr is not contiguous")
    if view.readonly:
        copy = ctypes.create_string_buffer(view.tobytes(), max(view.nbytes, 1))
        return copy, ctypes.addressof(copy), view.nbytes
    if not view.nbytes:
        return view, 0, 0
    return view, ctypes.addressof(ctypes.c_char.from_buffer(attr)), view.nbytes


class Call:
    """A command and its attr. `call["name"]` reads an integer member."""

    def __init__(self, rt: Runtime, cmd: Cmd, layout: Layout, user: AttrBuffer, attr: bytearray, caps: str) -> None:
        self.rt = rt
        self.cmd = cmd
        self.caps = caps
        self.user = user
        self._layout = layout
        self._attr = attr
        if attr.count(0, layout.end) != ATTR_SIZE - layout.end:
            raise Error(errno.EINVAL, f"{cmd.name}: attr has non-zero bytes behind its last member (byte {layout.end})")

    def __getitem__(self, name: str) -> int:
        return self._layout.read(self._attr, name)

    def invalid(self, seen: str, wanted: str) -> Error:
        """EINVAL, to be raised."""
        return Error(errno.EINVAL, f"{self.cmd.name}: {seen}, expected {wanted}")

    def name(self, member: str) -> str:
        """An object's name: letters, digits, _ and ., NUL-terminated within 16 bytes; EINVAL."""
        place = self._layout.members[member]
        raw = bytes(self._attr[place.offset : place.offset + OBJ_NAME_LEN])
        text, nul, _rest = raw.partition(b"\0")
        if not nul:
            raise self.invalid(f"{member} has {OBJ_NAME_LEN} bytes and no NUL", "at most 15 bytes")
        if not all(c in _NAME_BYTES for c in text):
            raise self.invalid(f"{member} {text!r}", "letters, digits, _ and .")
        return text.decode("latin-1")

    def put(self, member: str, value: int) -> None:
        """Write an integer member back; EFAULT."""
        place = self._layout.members[member]
        assert place.codec is not None
        self.user.write(place.offset, place.codec.pack(value))

    def no_token(self, fd: int) -> Error:
        """For a BPF token that the caller names: EINVAL for a file that is none, EBADF for no file. There are none."""
        try:
            os.fstat(fd)
        except OSError:
            return Error(errno.EBADF, f"{self.cmd.name}: token fd {fd} is not open")
        return Error(errno.EINVAL, f"{self.cmd.name}: fd {fd} is no BPF token, and there are none in a process")

    def need(self, capability: str) -> None:
        """EPERM unless the caller has "bpf" (CAP_BPF) or "all"."""
        if CAPS.index(self.caps) > CAPS.index(capability):
            wanted = "CAP_BPF" if capability == "bpf" else "CAP_SYS_ADMIN"
            raise Error(errno.EPERM, f"{self.cmd.name} needs {wanted}, the caller has caps={self.caps!r}")

    def path(self, address: int) -> str:
        """A path in the caller's memory; EFAULT, ENAMETOOLONG."""
        raw = native.string_from_user(address, 4096)
        if len(raw) == 4096:
            raise Error(errno.ENAMETOOLONG, f"{self.cmd.name}: the path has no end within 4096 bytes")
        return raw.decode("utf-8", "surrogateescape")
