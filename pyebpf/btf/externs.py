"""Extern declarations in BTF, made into what Linux takes: it knows no extern functions and no sections
without size, so that kernel functions become global, kernel variables ints, and both get places, as in libbpf."""

import struct

from pyebpf.btf.layout import align_of, size_of
from pyebpf.btf.reader import Btf
from pyebpf.btf.types import INT_BOOL, TYPE_SIZE, Kind, Linkage, SectionVar, Type

KCONFIG, KSYMS = ".kconfig", ".ksyms"
DUMMY = "dummy_ksym"

_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_TRIPLE = struct.Struct("<III")
_HEADER = struct.Struct("<HBBIIIII")


def settle(btf: Btf) -> Btf:
    """BTF whose extern sections Linux takes; the same when it has none."""
    sections = {s.name: s for s in btf.of_kind(Kind.DATASEC) if s.name in (KCONFIG, KSYMS)}
    if not sections:
        return btf
    ksyms, kconfig = sections.get(KSYMS), sections.get(KCONFIG)
    dummy = 0
    if ksyms is not None and any(btf.type(v.type).kind is Kind.FUNC for v in ksyms.vars):
        btf, dummy = _with_dummy(btf)
    raw = bytearray(btf.raw)
    if ksyms is not None:
        _settle_ksyms(btf, raw, ksyms, dummy)
    if kconfig is not None:
        _settle_kconfig(btf, raw, kconfig)
    return Btf(raw)


def _int_type(btf: Btf) -> int:
    """The first 32-bit int, 0 if there is none."""
    ints = (t.id for t in btf.of_kind(Kind.INT) if t.bits == 32 and t.size == 4 and not t.encoding & INT_BOOL)
    return next(ints, 0)


def _with_dummy(btf: Btf) -> tuple[Btf, int]:
    """BTF with one more type, an int variable that stands for kernel functions in .ksyms."""
    magic, version, flags, hdr_len, type_off, type_len, str_off, str_len = _HEADER.unpack_from(btf.raw)
    types = btf.raw[hdr_len + type_off : hdr_len + type_off + type_len]
    strings = btf.raw[hdr_len + str_off : hdr_len + str_off + str_len]
    types += _TRIPLE.pack(len(strings), Kind.VAR << 24, _int_type(btf)) + _U32.pack(Linkage.GLOBAL)
    strings += DUMMY.encode() + b"\0"
    head = _HEADER.pack(magic, version, flags, _HEADER.size, 0, len(types), len(types), len(strings))
    return Btf(head + types + strings), len(btf)


def _settle_ksyms(btf: Btf, raw: bytearray, section: Type, dummy: int) -> None:
    """Four bytes for each symbol."""
    int_type = _int_type(btf)
    entries = []
    for i, entry in enumerate(section.vars):
        symbol = btf.type(entry.type)
        at = btf.offset_of(entry.type)
        stands_for = entry.type
        if symbol.kind is Kind.FUNC:
            _U32.pack_into(raw, at + 4, Kind.FUNC << 24 | Linkage.GLOBAL)
            _name_params(btf, raw, symbol.type, dummy)
            stands_for = dummy
        elif symbol.kind is Kind.VAR:
            _PAIR.pack_into(raw, at + 8, int_type, Linkage.GLOBAL)
        entries.append(SectionVar(stands_for, 4 * i, 4))
    _write(btf, raw, section, entries, 4 * len(entries))


def _name_params(btf: Btf, raw: bytearray, proto: int, dummy: int) -> None:
    """Linux wants parameters of a function named."""
    if btf.type(proto).kind is not Kind.FUNC_PROTO:
        return
    (name,) = _U32.unpack_from(raw, btf.offset_of(dummy))
    for i, param in enumerate(btf.type(proto).params):
        if param.type and not param.name:
            _U32.pack_into(raw, btf.offset_of(proto) + TYPE_SIZE + 8 * i, name)


def _settle_kconfig(btf: Btf, raw: bytearray, section: Type) -> None:
    """Values side by side, those of the largest alignment first, then the smaller."""
    wanted = [
        (align_of(btf, btf.type(v.type).type), size_of(btf, v.type), btf.type(v.type).name, v) for v in section.vars
    ]
    wanted.sort(key=lambda w: (-w[0], w[1], w[2]))
    entries, end = [], 0
    for align, size, _, entry in wanted:
        start = (end + align - 1) // align * align
        entries.append(SectionVar(entry.type, start, size))
        end = start + size
        var = btf.type(entry.type)
        if var.kind is Kind.VAR:
            _U32.pack_into(raw, btf.offset_of(entry.type) + TYPE_SIZE, Linkage.GLOBAL)
    _write(btf, raw, section, entries, end)


def _write(btf: Btf, raw: bytearray, section: Type, entries: list[SectionVar], size: int) -> None:
    at = btf.offset_of(section.id)
    _U32.pack_into(raw, at + 8, size & 0xFFFFFFFF)
    for i, entry in enumerate(entries):
        _TRIPLE.pack_into(raw, at + TYPE_SIZE + 12 * i, *entry)
