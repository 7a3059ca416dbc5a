"""The one door to pyelftools: an object's bytes in, an ElfFile or an ObjectError out.

pyelftools is asked only after header.py has checked every size, offset, count and link, and only for
the container: section headers and names. Symbols and relocations are fixed-size records, read here
in one pass, since an object may have tens of thousands of them.
"""

import io
import struct
from collections.abc import Sequence

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from pyebpf.elf import header as checked
from pyebpf.elf import model
from pyebpf.elf.header import SectionHeader
from pyebpf.elf.model import ElfFile, Relocation, Section, Symbol
from pyebpf.errors import ObjectError

MAX_FILE = 64 << 20
MAX_NAMES = 32 << 20
MAX_SYMBOLS = 1 << 17
MAX_RELOCATIONS = 1 << 16
"""Bounds on what a hostile file can cost: bytes of a file and of all names, records of it that are read."""

_SYMBOL = struct.Struct("<IBBHQQ")
_REL = struct.Struct("<QQ")


def read(data: bytes | bytearray | memoryview) -> ElfFile:
    """The sections, symbols and relocations of a BPF object; ObjectError says what is wrong where."""
    if len(data) > MAX_FILE:
        raise ObjectError(f"file has {len(data)} bytes, expected at most {MAX_FILE}")
    raw = data if isinstance(data, bytes) else bytes(data)
    view = memoryview(raw)
    headers = checked.read_headers(view)
    sections = tuple(_section(view, i, h, name) for i, (h, name) in enumerate(zip(headers, _names(raw), strict=True)))
    tables = [s for s in sections if s.type == model.SHT_SYMTAB]
    if len(tables) > 1:
        raise ObjectError(f"{len(tables)} symbol tables, expected one", section=tables[1].name)
    symbols = _symbols(tables[0], sections) if tables else ()
    return ElfFile(sections, symbols, _relocations(sections))


def _section(view: memoryview, index: int, h: SectionHeader, name: str) -> Section:
    stored = h.type not in (model.SHT_NULL, model.SHT_NOBITS)
    if stored and h.flags & model.SHF_COMPRESSED and h.flags & model.SHF_ALLOC:
        raise ObjectError("section is compressed, expected plain bytes", section=name)
    data = view[h.offset : h.offset + h.size] if stored else view[:0]
    return Section(index, name, h.type, h.flags, h.size, data, h.link, h.info, h.entsize)


def _names(raw: bytes) -> list[str]:
    """The section names, by pyelftools from headers that were checked."""
    try:
        return [section.name for section in ELFFile(io.BytesIO(raw)).iter_sections()]
    except (ELFError, UnicodeError, ValueError, LookupError, AttributeError, AssertionError) as error:
        raise ObjectError(f"section headers cannot be read: {error}", section=checked.TABLE) from error


def _string(table: Section, offset: int, place: Section, at: int) -> str:
    """The NUL-terminated name at `offset`; `place` and `at` say who wants it."""
    raw = table.data[offset : offset + checked.MAX_NAME].tobytes()
    end = raw.find(0)
    if end < 0:
        raise ObjectError(
            f"name at {offset:#x} of {table.name} has no end within {len(raw)} bytes", section=place.name, offset=at
        )
    return raw[:end].decode("utf-8", "backslashreplace")


def _symbols(table: Section, sections: Sequence[Section]) -> tuple[Symbol, ...]:
    count = len(table.data) // checked.SYMBOL_SIZE
    if count > MAX_SYMBOLS:
        raise ObjectError(f"{count} symbols, expected at most {MAX_SYMBOLS}", section=table.name)
    strings = sections[table.link]
    out = []
    total = 0
    for index, (name_at, info, other, shndx, value, size) in enumerate(_SYMBOL.iter_unpack(table.data)):
        at = index * checked.SYMBOL_SIZE
        if model.SHN_LORESERVE > shndx >= len(sections):
            raise ObjectError(
                f"symbol {index} is in section {shndx}, expected below {len(sections)}",
                section=table.name,
                offset=at + 6,
            )
        name = _string(strings, name_at, table, at) if name_at else ""
        total += len(name)
        if total > MAX_NAMES:
            raise ObjectError(f"names of more than {MAX_NAMES} bytes in all", section=table.name, offset=at)
        out.append(Symbol(name, value, size, info >> 4, info & 15, other & 3, shndx))
    return tuple(out)


def _relocations(sections: Sequence[Section]) -> dict[int, tuple[Relocation, ...]]:
    """Relocations of sections that are loaded; those of debug information and BTF have no use here."""
    out: dict[int, tuple[Relocation, ...]] = {}
    for section in sections:
        if section.type not in (model.SHT_REL, model.SHT_RELA):
            continue
        if section.info >= len(sections):
            raise ObjectError(f"relocates section {section.info}, expected below {len(sections)}", section=section.name)
        target = sections[section.info]
        if not target.flags & model.SHF_ALLOC:
            continue
        if section.type == model.SHT_RELA:
            raise ObjectError("relocations are of type SHT_RELA, expected SHT_REL", section=section.name)
        count = len(section.data) // checked.REL_SIZE
        if count + sum(map(len, out.values())) > MAX_RELOCATIONS:
            raise ObjectError(f"{count} relocations, expected at most {MAX_RELOCATIONS}", section=section.name)
        found = [Relocation(offset, info & 0xFFFFFFFF, info >> 32) for offset, info in _REL.iter_unpack(section.data)]
        out[target.index] = tuple(sorted([*out.get(target.index, ()), *found], key=lambda r: r.offset))
    return out
