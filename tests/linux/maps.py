"""Maps of the running kernel."""

import errno
import os
import pathlib
import re
from collections.abc import Iterator

from pyebpf.spec.kinds import Cmd, MapType
from tests.linux.sys import Buffer, Fd, attr, bpf, member

PERCPU = {
    MapType.PERCPU_HASH,
    MapType.PERCPU_ARRAY,
    MapType.LRU_PERCPU_HASH,
    MapType.PERCPU_CGROUP_STORAGE,
}


def _possible_cpus() -> int:
    return int(re.split("[-,]", pathlib.Path("/sys/devices/system/cpu/possible").read_text())[-1]) + 1


class LinuxMap(Fd):
    """A map. Keys and values are bytes of its sizes, or ints packed little-endian."""

    def __init__(self, fd: int, type: int, key_size: int, value_size: int, max_entries: int) -> None:
        super().__init__(fd)
        self.type, self.key_size, self.value_size, self.max_entries = type, key_size, value_size, max_entries
        self.user_size = (value_size + 7) // 8 * 8 * _possible_cpus() if type in PERCPU else value_size
        """Bytes a lookup gives: of per-CPU maps one value for each possible CPU, each rounded up to 8."""
        if type in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS, MapType.PROG_ARRAY):
            self.user_size = 4

    def _elem(self, cmd: Cmd, key: Buffer | None, value: int = 0, flags: int = 0) -> None:
        bpf(cmd, attr("iIQQQ", self.fd, 0, key.addr if key else 0, value, flags))

    def _key(self, key: bytes | int) -> Buffer:
        return Buffer(key.to_bytes(self.key_size, "little") if isinstance(key, int) else key)

    def lookup(self, key: bytes | int, flags: int = 0) -> bytes | None:
        """The value, or None if there is none."""
        out = Buffer(self.user_size)
        try:
            self._elem(Cmd.MAP_LOOKUP_ELEM, self._key(key), out.addr, flags)
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise
        return out.raw

    def update(self, key: bytes | int, value: bytes | int, flags: int = 0) -> None:
        """Set a value (of `user_size` bytes); flags BPF_ANY, BPF_NOEXIST or BPF_EXIST."""
        data = Buffer(value.to_bytes(self.user_size, "little") if isinstance(value, int) else value)
        self._elem(Cmd.MAP_UPDATE_ELEM, self._key(key), data.addr, flags)

    def delete(self, key: bytes | int) -> None:
        """Remove a key; OSError ENOENT if it is not there."""
        self._elem(Cmd.MAP_DELETE_ELEM, self._key(key))

    def next_key(self, key: bytes | int | None) -> bytes | None:
        """The key after `key`, the first one for None; None at the end."""
        out = Buffer(self.key_size)
        try:
            self._elem(Cmd.MAP_GET_NEXT_KEY, None if key is None else self._key(key), out.addr)
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise
        return out.raw

    def freeze(self) -> None:
        """No more writes from user space."""
        bpf(Cmd.MAP_FREEZE, attr("i", self.fd))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All (key, value); keys that go meanwhile are left out."""
        key = self.next_key(None)
        while key is not None:
            value = self.lookup(key)
            if value is not None:
                yield key, value
            key = self.next_key(key)


def create_map(
    type: MapType | int | str,
    key_size: int,
    value_size: int,
    max_entries: int,
    flags: int = 0,
    *,
    name: str = "",
    inner: Fd | None = None,
    extra: int = 0,
    btf: Fd | None = None,
    btf_key: int = 0,
    btf_value: int = 0,
) -> LinuxMap:
    """MAP_CREATE; `inner` is the model map of a map of maps."""
    kind = member(MapType, type)
    fds = inner.fd if inner else 0, btf.fd if btf else 0
    head = kind, key_size, value_size, max_entries, flags, fds[0], 0, os.fsencode(name)
    fd = bpf(Cmd.MAP_CREATE, attr("IIIIIII16sIIIIIQ", *head, 0, fds[1], btf_key, btf_value, 0, extra))
    return LinuxMap(fd, kind, key_size, value_size, max_entries)
