"""Fuzzes CollectionSpec.load and what a spec answers: `python -m tests.fuzz.elf --seconds N --seed S`."""

import struct
import sys

import pyebpf
from pyebpf.elf import header, model, reader
from tests.fuzz import driver
from tests.objects import build

ERRORS = (pyebpf.ObjectError,)
SOURCES = ("count", "many", "calls", "legacy", "externs", "kconfig", "sections", "static_maps")


def without_dwarf(raw: bytes) -> bytes:
    """The object with its DWARF sections empty, so that damage falls on what is read."""
    elf = reader.read(raw)
    entries = bytearray()
    body = bytearray(raw[: header.HEADER_SIZE])
    (start,) = struct.unpack_from("<Q", raw, 40)
    for section in elf.sections:
        entry = bytearray(raw[start + 64 * section.index : start + 64 * section.index + 64])
        if section.type not in (model.SHT_NULL, model.SHT_NOBITS):
            data = b"" if ".debug" in section.name or section.name in (".rel.BTF", ".rel.BTF.ext") else section.data
            body += bytes(-len(body) % 8)
            struct.pack_into("<QQ", entry, 24, len(body), len(data))
            body += data
        entries += entry
    body += bytes(-len(body) % 8)
    struct.pack_into("<Q", body, 40, len(body))
    return bytes(body + entries)


def seeds() -> list[bytes]:
    """Objects with and without debug information."""
    quiet = ("-Wno-unused",)
    out = [build.zig(name, "v3", "-g", *quiet) for name in SOURCES]
    out += [build.zig(name, "v3", "-g0", *quiet) for name in ("legacy", "calls")]
    return [without_dwarf(raw) for raw in out]


def run(data: bytes) -> None:
    """Load an object and ask everything of what it gave."""
    spec = pyebpf.CollectionSpec.load(data, name="fuzz")
    for prog in spec.programs.values():
        try:
            prog.require_loadable()
        except pyebpf.ObjectError:
            continue
        prog.funcs()
        prog.lines()
        assert len(prog.insns) % 8 == 0
        assert prog.functions[0] == (0, prog.name)
        assert set(prog.maps) <= set(spec.maps)
    for m in spec.maps.values():
        assert m.key_dtype is None or m.key_dtype.itemsize >= 0
        assert m.value_dtype is None or m.value_dtype.itemsize >= 0
        assert m.contents is None or len(m.contents) <= m.value_size
    for variable in spec.variables.values():
        assert isinstance(variable.c_type, str)
        assert variable.dtype is None or variable.dtype.itemsize >= 0
        assert variable.offset + variable.size <= spec.maps[variable.map].value_size
    hash(spec.btf)


if __name__ == "__main__":
    sys.exit(driver.main("elf", seeds(), run, ERRORS))
