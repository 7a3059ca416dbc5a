"""The same map operations here and in the running kernel, each giving its value or Linux's errno name."""

import errno
import re
from collections.abc import Callable
from typing import Any

from pyebpf.errors import ENOTSUPP
from pyebpf.native import NativeMap
from pyebpf.spec.kinds import Cmd
from tests.linux.maps import LinuxMap, create_map
from tests.linux.sys import Buffer, attr, bpf

Outcome = Any
"""A value, or the name of an errno."""


def outcome(call: Callable[[], Any]) -> Outcome:
    """What `call` returns, or the name of the errno it raises."""
    try:
        return call()
    except OSError as e:
        assert e.errno is not None
        return "ENOTSUPP" if e.errno == ENOTSUPP else errno.errorcode[e.errno]


class Ours:
    """A NativeMap."""

    def __init__(self, *args: int) -> None:
        self.map = NativeMap(*args)
        self.user_size = self.map.user_value_size

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        return self.map.lookup(key, flags)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        self.map.update(key, value, flags)

    def delete(self, key: bytes) -> None:
        self.map.erase(key)

    def take(self, key: bytes, flags: int = 0) -> bytes | None:
        return self.map.lookup_and_erase(key, flags)

    def next_key(self, key: bytes | None) -> bytes | None:
        return self.map.next_key(key)

    def freeze(self) -> None:
        self.map.freeze()


class Linux:
    """A map of the kernel; `take` returns None where the key is not there, as Ours does."""

    def __init__(self, *args: int) -> None:
        self.map: LinuxMap = create_map(*args)
        self.user_size = self.map.user_size

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        return self.map.lookup(key, flags)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        self.map.update(key, value, flags)

    def delete(self, key: bytes) -> None:
        self.map.delete(key)

    def take(self, key: bytes, flags: int = 0) -> bytes | None:
        out, k = Buffer(self.user_size), Buffer(key)
        try:
            bpf(Cmd.MAP_LOOKUP_AND_DELETE_ELEM, attr("iIQQQ", self.map.fd, 0, k.addr, out.addr, flags))
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise
        return out.raw

    def next_key(self, key: bytes | None) -> bytes | None:
        return self.map.next_key(key)

    def freeze(self) -> None:
        self.map.freeze()


def keys(m: Ours | Linux) -> list[bytes]:
    """All keys in the map's order."""
    found, key = [], m.next_key(None)
    while key is not None:
        found.append(key)
        assert len(found) < 100000
        key = m.next_key(key)
    return found


def release() -> tuple[int, int]:
    """The running kernel's version."""
    import os

    seen = re.match(r"(\d+)\.(\d+)", os.uname().release)
    assert seen
    return int(seen[1]), int(seen[2])
