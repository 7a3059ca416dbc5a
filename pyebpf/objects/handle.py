"""A map behind its fd, on either back end: bytes in, bytes out, bpf(2) errors.

UserMap calls the map object of this process without a detour through bpf_attr; KernelMap asks Linux.
"""

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyebpf import syscall
from pyebpf.errors import Error
from pyebpf.runtime import cmd_map, linux
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr
from pyebpf.spec.kinds import MapType


@dataclass(frozen=True, slots=True)
class MapFacts:
    """What bpf_map_info says."""

    type: MapType
    id: int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class MapHandle(Protocol):
    """What Map needs of a back end. Missing elements: lookup, next_key and lookup_and_delete give None."""

    fd: int
    facts: MapFacts
    backend: str
    cpus: int

    @property
    def runnable(self) -> bool:
        """Whether programs over the map can run."""

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value."""

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set an element."""

    def delete(self, key: bytes) -> None:
        """Remove an element; ENOENT."""

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after `key`."""

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """Remove an element and give its value."""

    def freeze(self) -> None:
        """No more writes from user space."""

    def set_prog(self, key: bytes, prog_fd: int) -> None:
        """Put a program into a PROG_ARRAY."""

    def pin(self, path: str) -> None:
        """Give the map a name."""

    def close(self) -> None:
        """Close the fd; twice is no error."""


class _Fd:
    """Owns an fd of either back end."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock = threading.Lock()

    def _take(self) -> int:
        with self._lock:
            fd, self.fd = self.fd, -1
        return fd


class UserMap(_Fd):
    """A map of this process."""

    backend = "user"

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._obj, self._file = runtime().fds.peek(fd, MapObj)
        obj = self._obj
        self.facts = MapFacts(obj.type, obj.id, obj.name, obj.key_size, obj.value_size, obj.max_entries, obj.flags)
        self.cpus = obj.cpus

    @property
    def obj(self) -> MapObj:
        """The map itself; EBADF once the fd is closed."""
        if self.fd < 0:
            raise Error(errno.EBADF, f"map {self.facts.name or self.facts.id} is closed")
        return self._obj

    @property
    def runnable(self) -> bool:
        """Whether programs over the map can run."""
        return self._obj.runnable

    def _writable(self) -> MapObj:
        obj = self.obj
        cmd_map.check_writable(obj, self._file)
        return obj

    def _readable(self) -> MapObj:
        obj = self.obj
        if not self._file.readable:
            raise Error(errno.EPERM, f"map {obj.name or obj.id} was opened write-only")
        return obj

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value."""
        return self._readable().lookup(key, flags)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set an element."""
        self._writable().update(key, value, flags)

    def delete(self, key: bytes) -> None:
        """Remove an element; ENOENT."""
        self._writable().delete(key)

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after `key`."""
        return self._readable().next_key(key)

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """Remove an element and give its value."""
        self._readable()
        return self._writable().lookup_and_delete(key, flags)

    def freeze(self) -> None:
        """No more writes from user space."""
        syscall.bpf_map_freeze(self.fd)

    def set_prog(self, key: bytes, prog_fd: int) -> None:
        """Put a program into a PROG_ARRAY."""
        syscall.bpf_update_elem(self.fd, key, prog_fd.to_bytes(4, "little"))

    def pin(self, path: str) -> None:
        """Give the map a name in this process."""
        syscall.bpf_obj_pin(self.fd, path)

    def close(self) -> None:
        """Close the fd; twice is no error."""
        fd = self._take()
        if fd >= 0:
            runtime().fds.close(fd)


class KernelMap(_Fd):
    """A map of the running kernel."""

    backend = "kernel"
    runnable = True

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        info = syscall.bpf_obj_get_info(fd, attr.MAP_INFO, backend="kernel")
        number = {name: value for name, value in info.items() if isinstance(value, int)}
        name = info["name"]
        assert isinstance(name, bytes)
        self.facts = MapFacts(
            MapType(number["type"]),
            number["id"],
            name.rstrip(b"\0").decode(),
            number["key_size"],
            number["value_size"],
            number["max_entries"],
            number["map_flags"],
        )
        self.cpus = linux.possible_cpus()

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value."""
        return _none_if_missing(syscall.bpf_lookup_elem, self.fd, key, flags)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set an element."""
        syscall.bpf_update_elem(self.fd, key, value, flags, backend="kernel")

    def delete(self, key: bytes) -> None:
        """Remove an element; ENOENT."""
        syscall.bpf_delete_elem(self.fd, key, backend="kernel")

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after `key`."""
        return _none_if_missing(syscall.bpf_get_next_key, self.fd, key)

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """Remove an element and give its value."""
        return _none_if_missing(syscall.bpf_lookup_and_delete_elem, self.fd, key, flags)

    def freeze(self) -> None:
        """No more writes from user space."""
        syscall.bpf_map_freeze(self.fd, backend="kernel")

    def set_prog(self, key: bytes, prog_fd: int) -> None:
        """Put a program into a PROG_ARRAY."""
        self.update(key, prog_fd.to_bytes(4, "little"))

    def pin(self, path: str) -> None:
        """Give the map a name in bpffs."""
        syscall.bpf_obj_pin(self.fd, path, backend="kernel")

    def close(self) -> None:
        """Close the fd; twice is no error."""
        linux.close(self._take())


def _none_if_missing(call: Callable[..., bytes], *args: object) -> bytes | None:
    try:
        return call(*args, backend="kernel")
    except Error as exc:
        if exc.errno != errno.ENOENT:
            raise
        return None


def open_map(fd: int, backend: str) -> "UserMap | KernelMap":
    """The handle of an fd; takes the fd over, also when it fails."""
    try:
        return UserMap(fd) if backend == "user" else KernelMap(fd)
    except BaseException:
        close_fd(fd, backend)
        raise


def close_fd(fd: int, backend: str) -> None:
    """Close an fd of either back end."""
    if backend == "user":
        runtime().fds.close(fd)
    else:
        linux.close(fd)
