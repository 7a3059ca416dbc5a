"""Checks an ELF header and section header table before a library is asked to trust them."""

import struct
from typing import NamedTuple

from pyebpf.elf import model
from pyebpf.errors import ObjectError

HEADER = "ELF header"
TABLE = "section header table"

HEADER_SIZE, ENTRY_SIZE, SYMBOL_SIZE, REL_SIZE, RELA_SIZE = 64, 64, 24, 16, 24
MAX_NAME = 1024
MAX_SECTIONS = 4096
"""More than any compiler makes of one source; bounds the time a hostile table can cost."""

ET_REL, EM_NONE, EM_BPF = 1, 0, 247
_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "S390", 40: "ARM", 62: "x86-64", 183: "AArch64"}
_KINDS = {0: "ET_NONE", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}

#                          ident type machine version entry phoff shoff flags ehsize ph* sh*
_HEADER = struct.Struct("<16s   H    H       I       Q     Q     Q     I     H      HH  HHH")
_ENTRY = struct.Struct("<IIQQQQIIQQ")


class SectionHeader(NamedTuple):
    """An Elf64_Shdr."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


_PLAIN_TYPES = frozenset({0, 1, 2, 3, 4, 7, 8, 9, 14, 15, 16, 17})
_LLVM_TYPES = range(0x6FFF4C00, 0x6FFF4D00)
"""Section types of relocatable objects. Those of dynamic linking (hash tables, versions, dynamic
symbols) have no place in one, and parsers follow their links."""


def check_ident(data: memoryview) -> None:
    """The magic, class and byte order: only little-endian ELF64 holds a BPF object that runs here."""
    if len(data) < HEADER_SIZE:
        raise ObjectError(f"file has {len(data)} bytes, expected at least {HEADER_SIZE}", section=HEADER, offset=0)
    if bytes(data[:4]) != b"\x7fELF":
        raise ObjectError(f"magic is {bytes(data[:4])!r}, expected b'\\x7fELF'", section=HEADER, offset=0)
    if data[4] != 2:
        seen = "ELFCLASS32, a 32-bit file" if data[4] == 1 else str(data[4])
        raise ObjectError(f"class is {seen}, expected ELFCLASS64", section=HEADER, offset=4)
    if data[5] != 1:
        seen = "ELFDATA2MSB, big-endian" if data[5] == 2 else str(data[5])
        raise ObjectError(f"byte order is {seen}, expected ELFDATA2LSB (compile for bpfel)", section=HEADER, offset=5)
    if data[6] != 1:
        raise ObjectError(f"version is {data[6]}, expected 1", section=HEADER, offset=6)


def read_headers(data: memoryview) -> list[SectionHeader]:
    """The section headers, each lying within the file; ObjectError if anything is out of place."""
    check_ident(data)
    _, kind, machine, version, _, _, shoff, _, ehsize, _, _, shentsize, shnum, shstrndx = _HEADER.unpack_from(data)
    if kind != ET_REL:
        seen = _KINDS.get(kind, "unknown")
        raise ObjectError(f"type is {kind} ({seen}), expected {ET_REL} (ET_REL)", section=HEADER, offset=16)
    if machine not in (EM_BPF, EM_NONE):
        seen = _MACHINES.get(machine, "unknown")
        raise ObjectError(f"machine is {machine} ({seen}), expected {EM_BPF} (EM_BPF)", section=HEADER, offset=18)
    if version != 1:
        raise ObjectError(f"version is {version}, expected 1", section=HEADER, offset=20)
    if ehsize < HEADER_SIZE:
        raise ObjectError(f"header size is {ehsize}, expected {HEADER_SIZE}", section=HEADER, offset=52)
    if shentsize != ENTRY_SIZE:
        raise ObjectError(f"section header size is {shentsize}, expected {ENTRY_SIZE}", section=HEADER, offset=58)
    if not 0 < shnum <= MAX_SECTIONS:
        raise ObjectError(f"{shnum} sections, expected 1 to {MAX_SECTIONS}", section=HEADER, offset=60)
    if shoff < HEADER_SIZE or shoff + shnum * ENTRY_SIZE > len(data):
        raise ObjectError(
            f"section headers at {shoff:#x} end at {shoff + shnum * ENTRY_SIZE:#x}, the file at {len(data):#x}",
            section=HEADER,
            offset=40,
        )
    if shstrndx >= shnum:
        raise ObjectError(f"name table is section {shstrndx}, expected below {shnum}", section=HEADER, offset=62)
    table = data[shoff : shoff + shnum * ENTRY_SIZE]
    headers = [SectionHeader(*fields) for fields in _ENTRY.iter_unpack(table)]
    for index, header in enumerate(headers):
        _check_section(index, header, headers, len(data))
    if headers[shstrndx].type != model.SHT_STRTAB:
        seen = f"{headers[shstrndx].type:#x}"
        raise ObjectError(
            f"name table has type {seen}, expected {model.SHT_STRTAB}", section=TABLE, offset=64 * shstrndx
        )
    _check_names(data, headers, headers[shstrndx])
    stored = sum(h.size for h in headers if h.type not in (model.SHT_NULL, model.SHT_NOBITS))
    if stored > len(data):
        raise ObjectError(
            f"sections have {stored:#x} bytes, the file {len(data):#x}: they overlap", section=TABLE, offset=0
        )
    return headers


def _check_names(data: memoryview, headers: list[SectionHeader], table: SectionHeader) -> None:
    """Every section's name ends within the name table, after at most MAX_NAME bytes."""
    names = data[table.offset : table.offset + table.size]
    for index, header in enumerate(headers):
        if 0 not in names[header.name : header.name + MAX_NAME].tobytes():
            raise ObjectError(
                f"name of section {index} at {header.name:#x} of a table of {table.size:#x} bytes has no end",
                section=TABLE,
                offset=index * ENTRY_SIZE,
            )


def _check_section(index: int, header: SectionHeader, headers: list[SectionHeader], length: int) -> None:
    """Bounds, links and entry sizes of one section."""
    at = index * ENTRY_SIZE
    if header.type not in _PLAIN_TYPES and header.type not in _LLVM_TYPES:
        raise ObjectError(
            f"section {index} has type {header.type:#x}, which no relocatable object has", section=TABLE, offset=at + 4
        )
    if header.type in (model.SHT_NULL, model.SHT_NOBITS):
        return
    if header.offset + header.size > length:
        raise ObjectError(
            f"section {index} at {header.offset:#x} has {header.size:#x} bytes, the file ends at {length:#x}",
            section=TABLE,
            offset=at + 24,
        )
    if header.link >= len(headers):
        raise ObjectError(
            f"section {index} links to section {header.link}, expected below {len(headers)}",
            section=TABLE,
            offset=at + 40,
        )
    wanted = {model.SHT_SYMTAB: SYMBOL_SIZE, model.SHT_REL: REL_SIZE, model.SHT_RELA: RELA_SIZE}.get(header.type)
    if wanted is None:
        return
    if header.entsize != wanted or header.size % wanted:
        raise ObjectError(
            f"section {index} has {header.size} bytes in entries of {header.entsize}, expected entries of {wanted}",
            section=TABLE,
            offset=at + 56,
        )
    target = headers[header.link].type
    linked = model.SHT_STRTAB if header.type == model.SHT_SYMTAB else model.SHT_SYMTAB
    if target != linked:
        raise ObjectError(
            f"section {index} links to a section of type {target:#x}, expected {linked}", section=TABLE, offset=at + 40
        )
