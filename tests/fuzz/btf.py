"""Fuzzes the BTF readers: `python -m tests.fuzz.btf --seconds N --seed S`.

A case is [ length of .BTF:u32 ] .BTF .BTF.ext, so that both are damaged together.
"""

import struct
import sys

import pyebpf
from pyebpf import btf
from pyebpf.btf import ext, fixup, layout
from pyebpf.elf import reader
from tests.fuzz import driver
from tests.objects import build

ERRORS = (pyebpf.BtfError,)


def seeds() -> list[bytes]:
    """The BTF of the tests' objects."""
    out = []
    for name in ("count", "many", "calls", "externs", "types"):
        elf = reader.read(build.zig(name, "v3", "-g", "-Wno-unused"))
        types, records = elf.section(".BTF"), elf.section(".BTF.ext")
        assert types
        out.append(struct.pack("<I", types.size) + bytes(types.data) + bytes(records.data if records else b""))
    return out


def run(data: bytes) -> None:
    """Read types and records, and ask every question of every type."""
    length = int.from_bytes(data[:4], "little")
    types = btf.Btf(data[4 : 4 + length])
    for question in (btf.size_of, btf.align_of, btf.c_name, btf.dtype):
        for type_id in range(len(types)):
            try:
                question(types, type_id)
            except pyebpf.BtfError:
                continue
    layout.check(types)
    sections = list(types.of_kind(btf.Kind.DATASEC))
    sizes = {s.name: s.size or 64 for s in sections}
    places = {s.name: {types.type(v.type).name: 8 * i for i, v in enumerate(s.vars)} for s in sections}
    fixed = fixup.fix_up(types, sizes, places, {"leaf"})
    assert len(fixed.raw) == len(types.raw)
    if data[4 + length :]:
        ext.read(data[4 + length :], types)


if __name__ == "__main__":
    sys.exit(driver.main("btf", seeds(), run, ERRORS))
