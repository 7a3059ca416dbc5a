"""Reads map definitions: BTF-defined ones in .maps, and `struct bpf_map_def` in the older maps section.

A BTF-defined map is a variable whose struct type *is* the definition: a member `type` that points to
an array of as many ints as the number says, a member `key` that points to the key's type.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

from pyebpf.btf.layout import size_of
from pyebpf.btf.reader import Btf
from pyebpf.btf.types import Kind, Member, Type
from pyebpf.elf.model import STT_NOTYPE, STT_OBJECT, ElfFile, Section
from pyebpf.errors import BtfError, ObjectError
from pyebpf.spec import kinds
from pyebpf.spec.collection import PIN_BY_NAME, PIN_NONE, MapSpec
from pyebpf.spec.kinds import MapType

SECTION = ".maps"
LEGACY_SECTION = "maps"
OF_MAPS = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
POINTER_SIZE = 8
LEGACY_SIZE = 20
MAX_MAPS = 4096


@dataclass(frozen=True)
class Definition:
    """A map and its place. values_at: bytes from there to the slots of `values`, -1 without."""

    spec: MapSpec
    section: int
    offset: int
    size: int
    values_at: int = -1


@dataclass
class _Draft:
    """A definition while its members are read."""

    name: str
    numbers: dict[str, int]
    key_type: int = 0
    value_type: int = 0
    inner: MapSpec | None = None
    values_at: int = -1


def read_btf_maps(elf: ElfFile, btf: Btf | None) -> list[Definition]:
    """The maps of section .maps, in the order of its DATASEC."""
    section = elf.section(SECTION)
    if section is None or not section.size:
        return []
    datasec = btf.find(SECTION, Kind.DATASEC) if btf else None
    if btf is None or datasec is None:
        raise ObjectError("maps are defined but BTF does not describe them: compile with -g", section=SECTION)
    if len(datasec.vars) > MAX_MAPS:
        raise ObjectError(f"{len(datasec.vars)} maps, expected at most {MAX_MAPS}", section=SECTION)
    out = []
    for entry in datasec.vars:
        var = btf.type(entry.type)
        if var.kind is not Kind.VAR or not var.name:
            raise BtfError(
                f"entry {entry.type} of DATASEC {SECTION!r} is {var.kind.name}, expected a named VAR", section=".BTF"
            )
        definition = btf.resolve(var.type)
        if definition.kind is not Kind.STRUCT:
            raise ObjectError(f"map {var.name!r} is a {definition.kind.name}, expected a STRUCT", section=SECTION)
        if entry.offset + definition.size > section.size or entry.size < definition.size:
            raise ObjectError(
                f"map {var.name!r} ends at {entry.offset + definition.size:#x}, the section at {section.size:#x}",
                section=SECTION,
                offset=entry.offset,
            )
        draft = _read_struct(btf, definition, var.name, is_inner=False)
        spec = replace(_finish(btf, draft), section=SECTION)
        out.append(Definition(spec, section.index, entry.offset, entry.size, draft.values_at))
    return out


def _read_struct(btf: Btf, definition: Type, name: str, *, is_inner: bool) -> _Draft:
    draft = _Draft(name, {})
    for member in definition.members:
        read = _MEMBERS.get(member.name)
        if read is None:
            raise ObjectError(f"map {name!r} has an unknown member {member.name!r}", section=SECTION)
        if is_inner and member.name in ("pinning", "values"):
            raise ObjectError(f"inner map {name!r} has a member {member.name!r}", section=SECTION)
        read(btf, draft, member)
    if "type" not in draft.numbers:
        raise ObjectError(f"map {name!r} has no type", section=SECTION)
    return draft


def _number(btf: Btf, draft: _Draft, member: Member) -> int:
    """The number a member stands for: a pointer to an array of that many, or an enum of one value."""
    t = btf.resolve(member.type)
    if t.kind in (Kind.ENUM, Kind.ENUM64) and len(t.values) == 1:
        return t.values[0].value
    if t.kind is Kind.PTR:
        array = btf.resolve(t.type)
        if array.kind is Kind.ARRAY:
            return array.count
    raise ObjectError(
        f"member {member.name!r} of map {draft.name!r} is {t.kind.name}, expected __uint() or __ulong()",
        section=SECTION,
    )


def _set(btf: Btf, draft: _Draft, member: Member) -> None:
    draft.numbers[member.name] = _number(btf, draft, member)


def _set_size(btf: Btf, draft: _Draft, member: Member) -> None:
    _agree(draft, member.name, _number(btf, draft, member))


def _agree(draft: _Draft, name: str, size: int) -> None:
    if draft.numbers.setdefault(name, size) != size:
        raise ObjectError(f"map {draft.name!r} has {name} {draft.numbers[name]} and {size}", section=SECTION)


def _pointed(btf: Btf, draft: _Draft, member: Member) -> int:
    t = btf.resolve(member.type)
    if t.kind is not Kind.PTR:
        raise ObjectError(
            f"member {member.name!r} of map {draft.name!r} is {t.kind.name}, expected __type()", section=SECTION
        )
    return t.type


def _set_key(btf: Btf, draft: _Draft, member: Member) -> None:
    draft.key_type = _pointed(btf, draft, member)
    _agree(draft, "key_size", size_of(btf, draft.key_type))


def _set_value(btf: Btf, draft: _Draft, member: Member) -> None:
    draft.value_type = _pointed(btf, draft, member)
    _agree(draft, "value_size", size_of(btf, draft.value_type))


def _set_values(btf: Btf, draft: _Draft, member: Member) -> None:
    """`values`: the slots of a map of maps (with its inner map's definition) or of programs."""
    map_type = draft.numbers.get("type", 0)
    array = btf.resolve(member.type)
    pointer = btf.resolve(array.type) if array.kind is Kind.ARRAY and not array.count else None
    if pointer is None or pointer.kind is not Kind.PTR:
        raise ObjectError(f"`values` of map {draft.name!r} is not a flexible array of pointers", section=SECTION)
    target = btf.resolve(pointer.type)
    if map_type in OF_MAPS and target.kind is Kind.STRUCT:
        inner = _read_struct(btf, target, f"{draft.name}.inner", is_inner=True)
        draft.inner = _finish(btf, inner)
    elif not (map_type == MapType.PROG_ARRAY and target.kind is Kind.FUNC_PROTO):
        raise ObjectError(f"`values` of map {draft.name!r} fits neither a map of maps nor of programs", section=SECTION)
    _agree(draft, "value_size", 4)
    draft.values_at = member.bit_offset // 8


_MEMBERS: dict[str, Callable[[Btf, _Draft, Member], None]] = {
    "type": _set,
    "max_entries": _set,
    "map_flags": _set,
    "numa_node": _set,
    "map_extra": _set,
    "pinning": _set,
    "key_size": _set_size,
    "value_size": _set_size,
    "key": _set_key,
    "value": _set_value,
    "values": _set_values,
}


def map_type(number: int, name: str, section: str) -> MapType:
    """The MapType of a number; ObjectError for one Linux does not have."""
    try:
        return MapType(number)
    except ValueError:
        raise ObjectError(f"map {name!r} has type {number}, expected 1 to {max(MapType):d}", section=section) from None


def _finish(btf: Btf, draft: _Draft) -> MapSpec:
    n = draft.numbers
    kind = map_type(n["type"], draft.name, SECTION)
    pinning = n.get("pinning", PIN_NONE)
    if pinning not in (PIN_NONE, PIN_BY_NAME):
        raise ObjectError(f"map {draft.name!r} has pinning {pinning}, expected 0 or 1", section=SECTION)
    if kind in OF_MAPS or kind is MapType.PROG_ARRAY:
        n.setdefault("key_size", 4)
        n.setdefault("value_size", 4)
    return MapSpec(
        draft.name,
        kind,
        n.get("key_size", 0),
        n.get("value_size", 0),
        n.get("max_entries", 0),
        n.get("map_flags", 0),
        n.get("map_extra", 0),
        n.get("numa_node", 0),
        pinning,
        draft.key_type,
        draft.value_type,
        draft.inner,
        kernel_name=draft.name[: kinds.OBJ_NAME_LEN - 1],
        btf=btf,
    )


def read_legacy_maps(elf: ElfFile) -> list[Definition]:
    """The maps of sections "maps" and "TYPE/maps": definitions of one size, at least type, sizes, entries and flags."""
    out: list[Definition] = []
    for section in elf.sections:
        if section.size and (section.name == LEGACY_SECTION or section.name.endswith("/" + LEGACY_SECTION)):
            out += _legacy_section(elf, section)
    return out


def _legacy_section(elf: ElfFile, section: Section) -> list[Definition]:
    symbols = [s for s in elf.symbols_in(section) if s.type in (STT_OBJECT, STT_NOTYPE) and s.name]
    symbols.sort(key=lambda s: s.value)
    if len(symbols) > MAX_MAPS:
        raise ObjectError(f"{len(symbols)} maps, expected at most {MAX_MAPS}", section=section.name)
    if not symbols or section.size % len(symbols) or len(section.data) != section.size:
        raise ObjectError(f"{section.size} bytes for {len(symbols)} maps", section=section.name, offset=0)
    size = section.size // len(symbols)
    return [_legacy(section, size, s.name, s.value) for s in symbols]


def _legacy(section: Section, size: int, name: str, offset: int) -> Definition:
    if size < LEGACY_SIZE - 4 or offset % size or offset + size > section.size:
        raise ObjectError(
            f"map {name!r} has {size} bytes, expected {LEGACY_SIZE} or more", section=section.name, offset=offset
        )
    raw = section.data[offset : offset + size].tobytes().ljust(LEGACY_SIZE, b"\0")
    kind, key_size, value_size, max_entries, flags = struct.unpack_from("<5I", raw)
    if any(raw[LEGACY_SIZE:]):
        raise ObjectError(
            f"map {name!r} has non-zero bytes behind its flags", section=section.name, offset=offset + LEGACY_SIZE
        )
    spec = MapSpec(
        name,
        map_type(kind, name, section.name),
        key_size,
        value_size,
        max_entries,
        flags,
        section=section.name,
        kernel_name=name[: kinds.OBJ_NAME_LEN - 1],
    )
    return Definition(spec, section.index, offset, size)


def with_slots(elf: ElfFile, definitions: list[Definition], programs: set[str]) -> list[Definition]:
    """Fill in what `values` of .maps put where, from the section's relocations."""
    section = elf.section(SECTION)
    if section is None or section.index not in elf.relocations:
        return definitions
    known = programs | {d.spec.name for d in definitions}
    places = sorted((d.offset, i) for i, d in enumerate(definitions) if d.section == section.index)
    slots: dict[int, list[tuple[int, str]]] = {}
    for reloc in elf.relocations[section.index]:
        symbol = elf.symbol_of(section, reloc)
        at = bisect_right(places, (reloc.offset, len(definitions))) - 1
        holder = places[at][1] if at >= 0 else -1
        inside = reloc.offset - _values_start(definitions, holder)
        if holder < 0 or inside < 0 or inside % POINTER_SIZE:
            raise ObjectError(
                f"relocation against {symbol.name!r} is in no map's `values`", section=SECTION, offset=reloc.offset
            )
        if symbol.name not in known:
            raise ObjectError(
                f"`values` names {symbol.name!r}, no map or program", section=SECTION, offset=reloc.offset
            )
        slots.setdefault(holder, []).append((inside // POINTER_SIZE, symbol.name))
    return [
        replace(d, spec=replace(d.spec, slots=tuple(slots[i]))) if i in slots else d for i, d in enumerate(definitions)
    ]


def _values_start(definitions: list[Definition], index: int) -> int:
    """Where the slots of a map begin in the section; beyond it for one that has none."""
    if index < 0 or definitions[index].values_at < 0:
        return 1 << 64
    return definitions[index].offset + definitions[index].values_at
