"""The smallest BTF that lets a program have callbacks: a static function type for each of its functions."""

import struct

from tests.linux.progs import btf_load
from tests.linux.sys import Fd

FIRST_FUNC = 3
MAX_FUNCS = 32


def functions_blob(count: int = MAX_FUNCS) -> bytes:
    """Types: 1 `long long`, 2 `long long (void)`, then `count` static functions f0, f1, ... of that type."""
    strings = b"\0long\0" + b"".join(b"f%d\0" % n for n in range(count))
    types = struct.pack("<IIII", 1, 1 << 24, 8, 1 << 24 | 64)
    types += struct.pack("<III", 0, 13 << 24, 1)
    at = 6
    for n in range(count):
        types += struct.pack("<III", at, 12 << 24, 2)
        at += len(b"f%d\0" % n)
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return head + types + strings


def load_functions() -> Fd:
    """That BTF, loaded."""
    return btf_load(functions_blob())


def func_info(starts: list[int]) -> list[tuple[int, int]]:
    """func_info of functions that start there."""
    return [(start, FIRST_FUNC + n) for n, start in enumerate(starts)]
