"""What an ELF relocatable object holds, as values: sections, symbols, relocations."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from pyebpf.errors import ObjectError

# Section types and flags (ELF specification, "Section header")
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 0, 1, 2, 3, 4, 8, 9
SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 0x2, 0x4, 0x800

# Special section indices
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00

# Symbol bindings, types and visibilities
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION = 0, 1, 2, 3
STV_INTERNAL, STV_HIDDEN = 1, 2

# Relocation types of BPF (LLVM's names)
R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_ABS32, R_BPF_64_NODYLD32, R_BPF_64_32 = 1, 2, 3, 4, 10


class Symbol(NamedTuple):
    """A symbol table entry. value: bytes from the start of section number `section`."""

    name: str
    value: int
    size: int
    bind: int
    type: int
    visibility: int
    section: int

    @property
    def is_extern(self) -> bool:
        """Wanted from elsewhere: a kernel variable, function or configuration value."""
        return self.section == SHN_UNDEF and self.bind != STB_LOCAL and self.type == STT_NOTYPE


class Relocation(NamedTuple):
    """offset: bytes from the start of the section it patches. symbol: index into the symbol table."""

    offset: int
    type: int
    symbol: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section. data: its bytes in the file, empty for SHT_NOBITS, whose `size` counts zeros not stored."""

    index: int
    name: str
    type: int
    flags: int
    size: int
    data: memoryview = field(repr=False)
    link: int = 0
    info: int = 0
    entsize: int = 0

    @property
    def is_code(self) -> bool:
        """Holds instructions."""
        return self.type == SHT_PROGBITS and bool(self.flags & SHF_EXECINSTR) and self.size > 0


@dataclass(frozen=True)
class ElfFile:
    """A checked little-endian 64-bit BPF object.

    relocations: section number -> its relocations in offset order, for sections that have any.
    """

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return self._by_name.get(name)

    def symbols_in(self, section: Section) -> tuple[Symbol, ...]:
        """The symbols defined in a section, in the table's order."""
        return self._by_section.get(section.index, ())

    def symbol_of(self, section: Section, reloc: Relocation) -> Symbol:
        """The symbol a relocation of `section` is against."""
        if reloc.symbol >= len(self.symbols):
            raise ObjectError(
                f"relocation against symbol {reloc.symbol}, expected one of {len(self.symbols)}",
                section=section.name,
                offset=reloc.offset,
            )
        return self.symbols[reloc.symbol]

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {s.name: s for s in reversed(self.sections)}

    @cached_property
    def _by_section(self) -> dict[int, tuple[Symbol, ...]]:
        groups: dict[int, list[Symbol]] = {}
        for symbol in self.symbols:
            groups.setdefault(symbol.section, []).append(symbol)
        return {index: tuple(group) for index, group in groups.items()}
