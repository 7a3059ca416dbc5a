"""Makes a compiler's BTF into what BPF_BTF_LOAD takes: data sections get the sizes and places that the
compiler left to the linker, and hidden functions become static, as libbpf does before it loads BTF."""

import struct
from collections.abc import Collection, Mapping

from pyebpf.btf.reader import SECTION, Btf
from pyebpf.btf.types import TYPE_SIZE, Kind, Linkage, SectionVar, Type
from pyebpf.errors import BtfError

_U32 = struct.Struct("<I")
_TRIPLE = struct.Struct("<III")


def fix_up(
    btf: Btf, sizes: Mapping[str, int], places: Mapping[str, Mapping[str, int]], hidden: Collection[str] = ()
) -> Btf:
    """BTF as Linux wants it.

    sizes: bytes of each ELF section.  places: section -> global symbol -> offset in it.
    hidden: names of functions with hidden visibility, which become static.
    """
    raw = bytearray(btf.raw)
    for section in btf.of_kind(Kind.DATASEC):
        if section.name in sizes:
            _fix_section(btf, raw, section, sizes[section.name], places.get(section.name, {}))
    if hidden:
        for func in btf.of_kind(Kind.FUNC):
            if func.name in hidden and func.linkage == Linkage.GLOBAL:
                at = btf.offset_of(func.id) + 4
                _U32.pack_into(raw, at, Kind.FUNC << 24 | Linkage.STATIC)
    return Btf(raw) if raw != btf.raw else btf


def _fix_section(btf: Btf, raw: bytearray, section: Type, size: int, places: Mapping[str, int]) -> None:
    at = btf.offset_of(section.id)
    if section.size and section.size != size:
        raise BtfError(
            f"DATASEC {section.name!r} has {section.size} bytes, the section {size}", section=SECTION, offset=at + 8
        )
    if size >> 32:
        raise BtfError(
            f"section {section.name!r} has {size} bytes, more than a DATASEC can", section=SECTION, offset=at
        )
    _U32.pack_into(raw, at + 8, size)
    fixed = sorted((_place(btf, section, v, places) for v in section.vars), key=lambda v: v.offset)
    for i, v in enumerate(fixed):
        _TRIPLE.pack_into(raw, at + TYPE_SIZE + 12 * i, *v)


def _place(btf: Btf, section: Type, entry: SectionVar, places: Mapping[str, int]) -> SectionVar:
    """An entry with its offset: a static variable's is right already, a global one's is its symbol's."""
    var = btf.type(entry.type)
    if var.kind is not Kind.VAR or var.linkage == Linkage.STATIC:
        return entry
    offset = places.get(var.name)
    if offset is None:
        if var.linkage == Linkage.EXTERN:
            return entry
        raise BtfError(f"variable {var.name!r} of {section.name!r} has no symbol", section=SECTION)
    if offset >> 32:
        raise BtfError(f"variable {var.name!r} is at {offset:#x} of {section.name!r}", section=SECTION)
    return entry._replace(offset=offset)
