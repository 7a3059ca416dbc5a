"""A map behind its fd, on either back end: bytes in, bytes out, bpf(2) errors.

UserMap calls the map object of this process without a detour through bpf_attr; KernelMap asks Linux.
"""

import ctypes
import errno
import mmap
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pyebpf import native, syscall
from pyebpf.btf import Btf
from pyebpf.errors import Error
from pyebpf.runtime import cmd_map, linux
from pyebpf.runtime.btfobj import BtfObj
from pyebpf.runtime.mapobj import MapObj
from pyebpf.runtime.state import runtime
from pyebpf.spec import attr, kinds
from pyebpf.spec.kinds import Cmd, MapType


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

    def lookup_many(self, keys: bytes) -> tuple[bytearray, bytearray]:
        """Packed values of packed keys, and a byte each that says whether it was found."""
        return native.lookup_many(self._readable().elements(), keys)

    def update_batch(self, keys: bytes, values: bytes, flags: int) -> int:
        """Set packed elements; how many."""
        return self._writable().elements().update_batch(keys, values, flags)

    def delete_batch(self, keys: bytes) -> int:
        """Remove packed keys; how many."""
        return self._writable().elements().delete_batch(keys)

    def read_all(self, *, drain: bool) -> tuple[bytearray, bytearray]:
        """Packed keys and values of all elements, in one native call where their number does not grow meanwhile."""
        elements = (self._writable() if drain else self._readable()).elements()
        walk = elements.drain if drain else elements.lookup_batch
        keys, values = bytearray(), bytearray()
        cursor, got = 0, 1
        while got:
            wanted = max(len(elements), 1) + 1
            some_keys, some_values, cursor, got = walk(cursor, wanted)
            keys += some_keys
            values += some_values
            if got < wanted:
                break
        return keys, values

    def peek(self, offset: int, nbytes: int) -> bytes:
        """Bytes of value 0 of an ARRAY: a global variable."""
        address = self._readable().elements().value_address
        return ctypes.string_at(address + offset, nbytes)

    def poke(self, offset: int, content: bytes) -> None:
        """Set bytes of value 0 of an ARRAY and no others."""
        address = self._writable().elements().value_address
        ctypes.memmove(address + offset, content, len(content))

    def close(self) -> None:
        """Close the fd; twice is no error."""
        fd = self._take()
        if fd >= 0:
            runtime().fds.close(fd)


class KernelMap(_Fd):
    """A map of the running kernel. A closed one has fd -1, which Linux answers with EBADF."""

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

    def lookup_many(self, keys: bytes) -> tuple[bytearray, bytearray]:
        """Packed values of packed keys, and a byte each that says whether it was found."""
        values, found = bytearray(), bytearray()
        size, missing = self.facts.key_size, bytes(linux.map_sizes(self.fd)[1])
        for at in range(0, len(keys), size):
            value = self.lookup(keys[at : at + size])
            found.append(value is not None)
            values += missing if value is None else value
        return values, found

    def update_batch(self, keys: bytes, values: bytes, flags: int) -> int:
        """Set packed elements; how many."""
        return syscall.bpf_map_update_batch(self.fd, keys, values, flags, backend="kernel")

    def delete_batch(self, keys: bytes) -> int:
        """Remove packed keys; how many."""
        return syscall.bpf_map_delete_batch(self.fd, keys, backend="kernel")

    def read_all(self, *, drain: bool) -> tuple[bytes, bytes]:
        """Packed keys and values of all elements."""
        cmd = Cmd.MAP_LOOKUP_AND_DELETE_BATCH if drain else Cmd.MAP_LOOKUP_BATCH
        return syscall.read_batches(cmd, self.fd, self.facts.max_entries, backend="kernel")

    def peek(self, offset: int, nbytes: int) -> bytes:
        """Bytes of value 0 of an ARRAY: a global variable."""
        return syscall.bpf_lookup_elem(self.fd, bytes(4), backend="kernel")[offset : offset + nbytes]

    def poke(self, offset: int, content: bytes) -> None:
        """Set bytes of value 0 of an ARRAY; mapped, no others are written."""
        if self.facts.flags & kinds.BPF_F_MMAPABLE:
            length = (self.facts.value_size + 4095) & ~4095
            try:
                with mmap.mmap(self.fd, length) as memory:
                    memory[offset : offset + len(content)] = content
            except OSError as exc:
                raise Error(exc.errno or errno.EPERM, f"map {self.facts.name}: {exc.strerror}") from None
            return
        value = bytearray(syscall.bpf_lookup_elem(self.fd, bytes(4), backend="kernel"))
        value[offset : offset + len(content)] = content
        self.update(bytes(4), bytes(value))

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


def load_btf(btf: Btf, backend: str) -> int:
    """An fd of types that are parsed already; the caller closes it."""
    if backend == "user":
        rt = runtime()
        return rt.fds.install(rt.btfs.add(BtfObj(btf)))
    return syscall.bpf_btf_load(btf.raw, backend=backend)


def close_fd(fd: int, backend: str) -> None:
    """Close an fd of either back end."""
    if backend == "user":
        runtime().fds.close(fd)
    else:
        linux.close(fd)
