"""Splits code sections into functions, and reads what each refers to: maps, data and other functions.

Nothing here depends on which program a function ends up in; assemble.py puts programs together.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.elf import model
from pyebpf.elf.model import ElfFile, Section, Symbol
from pyebpf.errors import ObjectError
from pyebpf.isa import table
from pyebpf.isa.insn import INSN_SIZE
from pyebpf.relo.externs import Externs

INSN = np.dtype([("code", "u1"), ("regs", "u1"), ("off", "<i2"), ("imm", "<i4")])
CALL = table.BY_NAME["CALL_LOCAL"].opcode
LD_IMM64 = table.BY_NAME["LD_IMM64"].opcode

MAX_FUNCTIONS = 1 << 14
MAX_INSNS = 1 << 21
"""Bounds on the functions of an object and, since symbols may name the same code twice, on their instructions."""


@dataclass(eq=False)
class Function:
    """A function of the object, `start` instructions into its section.

    calls: (instruction, function called or whose address is taken), in order.
    map_refs: instruction -> index of the collection's map; `insns` has the source register and, for
    data, the offset already.
    problem: why a program with this function cannot be loaded.
    """

    name: str
    section: Section
    start: int
    insns: NDArray[Any]
    is_global: bool
    is_hidden: bool
    calls: list[tuple[int, "Function"]] = field(default_factory=list)
    map_refs: dict[int, int] = field(default_factory=dict)
    problem: str = ""

    def __len__(self) -> int:
        return len(self.insns)


@dataclass(frozen=True)
class MapPlaces:
    """Which map a relocation means.

    definitions: section -> offset -> map index.  data: section -> map index.
    config: index of the map of configuration values, -1 without.
    """

    definitions: Mapping[int, Mapping[int, int]]
    data: Mapping[int, int]
    config: int = -1


class Functions:
    """All functions of an object, by section and place."""

    def __init__(self, elf: ElfFile) -> None:
        self.elf = elf
        self.all: list[Function] = []
        self._starts: dict[int, list[int]] = {}
        self._in_section: dict[int, list[Function]] = {}
        for section in elf.sections:
            if section.is_code:
                self._split(section)

    def _split(self, section: Section) -> None:
        if section.size % INSN_SIZE:
            raise ObjectError(
                f"{section.size} bytes of code, expected a multiple of {INSN_SIZE}", section=section.name, offset=0
            )
        code = np.frombuffer(section.data, INSN)
        symbols = self.elf.symbols_in(section)
        named = [s for s in symbols if s.type == model.STT_FUNC] or _untyped(section, symbols)
        if len(self.all) + len(named) > MAX_FUNCTIONS:
            raise ObjectError(f"more than {MAX_FUNCTIONS} functions", section=section.name)
        found = [_function(section, code, s) for s in named]
        if sum(map(len, found)) + sum(map(len, self.all)) > MAX_INSNS:
            raise ObjectError(f"functions have more than {MAX_INSNS} instructions", section=section.name)
        for f in found:
            f.insns = f.insns.copy()
        found.sort(key=lambda f: f.start)
        self.all += found
        self._in_section[section.index] = found
        self._starts[section.index] = [f.start for f in found]

    def containing(self, section: int, insn_idx: int) -> Function | None:
        """The function an instruction of a section belongs to."""
        at = bisect_right(self._starts.get(section, ()), insn_idx) - 1
        if at < 0:
            return None
        found = self._in_section[section][at]
        return found if insn_idx < found.start + len(found) else None

    def starting(self, section: int, insn_idx: int, place: Function, at: int) -> Function:
        """The function that starts at an instruction; `place` and `at` say who calls it."""
        found = self.containing(section, insn_idx)
        if found is None or found.start != insn_idx:
            where = self.elf.sections[section].name if 0 < section < len(self.elf.sections) else f"section {section}"
            raise ObjectError(
                f"no function starts at instruction {insn_idx} of {where!r}, which {place.name!r} calls",
                section=place.section.name,
                offset=(place.start + at) * INSN_SIZE,
            )
        return found

    def resolve(self, maps: MapPlaces, externs: Externs) -> None:
        """Apply the relocations of every function to its instructions, and find whom it calls."""
        for section_index, relocs in self.elf.relocations.items():
            section = self.elf.sections[section_index]
            if not section.is_code:
                continue
            resolver = _Resolver(self, section, maps, externs)
            for reloc in relocs:
                resolver.apply(reloc)
        for function in self.all:
            self._find_calls(function)

    def _find_calls(self, function: Function) -> None:
        """Calls without a relocation, which count from their own place in the section; all in order."""
        insns = function.insns
        related = {at for at, _ in function.calls}
        local = (insns["code"] == CALL) & (insns["regs"] >> 4 == table.PSEUDO_CALL)
        for at in np.flatnonzero(local).tolist():
            if at not in related:
                target = function.start + at + int(insns["imm"][at]) + 1
                function.calls.append((at, self.starting(function.section.index, target, function, at)))
        function.calls.sort(key=lambda c: c[0])
        source = insns["regs"] >> 4
        raw = (insns["code"] == LD_IMM64) & (source != 0)
        for at in np.flatnonzero(raw).tolist():
            if at not in function.map_refs and at not in related and not function.problem:
                function.problem = f"insn {at}: ld_imm64 with source {source[at]} has no relocation"


def _untyped(section: Section, symbols: Sequence[Symbol]) -> list[Symbol]:
    """Functions of compilers before LLVM 9, whose symbols have no type or size: each ends where the next starts."""
    found = [
        s for s in symbols if s.type == model.STT_NOTYPE and not s.size and s.name and not s.name.startswith("LBB")
    ]
    found.sort(key=lambda s: s.value)
    ends = [*(s.value for s in found[1:]), section.size]
    return [s._replace(size=max(end - s.value, 0)) for s, end in zip(found, ends, strict=False)]


def _function(section: Section, code: NDArray[Any], symbol: Symbol) -> Function:
    if symbol.value % INSN_SIZE or symbol.size % INSN_SIZE or not symbol.size:
        raise ObjectError(
            f"function {symbol.name!r} has {symbol.size} bytes, expected whole instructions",
            section=section.name,
            offset=symbol.value,
        )
    if symbol.value + symbol.size > section.size:
        raise ObjectError(
            f"function {symbol.name!r} ends at {symbol.value + symbol.size:#x}, the section at {section.size:#x}",
            section=section.name,
            offset=symbol.value,
        )
    start, count = symbol.value // INSN_SIZE, symbol.size // INSN_SIZE
    return Function(
        symbol.name,
        section,
        start,
        code[start : start + count],
        symbol.bind != model.STB_LOCAL,
        symbol.visibility in (model.STV_HIDDEN, model.STV_INTERNAL),
    )


class _Resolver:
    """Applies the relocations of one section."""

    def __init__(self, functions: Functions, section: Section, maps: MapPlaces, externs: Externs) -> None:
        self.functions = functions
        self.elf = functions.elf
        self.section = section
        self.maps = maps
        self.externs = externs

    def fail(self, offset: int, message: str) -> ObjectError:
        return ObjectError(message, section=self.section.name, offset=offset)

    def apply(self, reloc: model.Relocation) -> None:
        """One relocation; one in no function is of a weak function that was overridden."""
        if reloc.offset % INSN_SIZE or reloc.offset >= self.section.size:
            raise self.fail(reloc.offset, f"relocation is at no instruction of {self.section.size} bytes of code")
        symbol = self.elf.symbol_of(self.section, reloc)
        function = self.functions.containing(self.section.index, reloc.offset // INSN_SIZE)
        if function is None:
            return
        at = reloc.offset // INSN_SIZE - function.start
        code = int(function.insns["code"][at])
        if code == CALL:
            self._call(function, at, symbol, reloc.offset)
        elif code == LD_IMM64:
            if at + 1 >= len(function):
                raise self.fail(reloc.offset, "ld_imm64 is cut short by the end of its function")
            self._load(function, at, symbol, reloc.offset)
        else:
            raise self.fail(reloc.offset, f"relocation of opcode {code:#04x}, expected a call or ld_imm64")

    def _target_section(self, symbol: Symbol, offset: int) -> Section:
        if not 0 < symbol.section < len(self.elf.sections):
            raise self.fail(offset, f"relocation against {symbol.name!r} in special section {symbol.section:#x}")
        return self.elf.sections[symbol.section]

    def _call(self, function: Function, at: int, symbol: Symbol, offset: int) -> None:
        if symbol.section == model.SHN_UNDEF:
            self._problem(function, self.externs.call(symbol))
            function.insns["regs"][at] &= 0x0F  # no call within the program
            return
        target = self._target_section(symbol, offset)
        if int(function.insns["regs"][at]) >> 4 != table.PSEUDO_CALL or not target.is_code or symbol.value % INSN_SIZE:
            raise self.fail(offset, f"call of {symbol.name!r} in {target.name!r}, expected a function")
        # A global function's call has imm -1; a static one is its section's symbol and its place in imm.
        insn_idx = symbol.value // INSN_SIZE + int(function.insns["imm"][at]) + 1
        function.calls.append((at, self.functions.starting(target.index, insn_idx, function, at)))

    def _load(self, function: Function, at: int, symbol: Symbol, offset: int) -> None:
        insns = function.insns
        if symbol.section == model.SHN_UNDEF:
            value, problem = self.externs.address(symbol)
            config = self.externs.config_offset(symbol)
            if config is not None and self.maps.config >= 0:
                self._set(function, at, table.PSEUDO_MAP_IDX_VALUE, config & 0x7FFFFFFF)
                function.map_refs[at] = self.maps.config
                self._problem(function, problem)
                return
            insns["imm"][at], insns["imm"][at + 1] = value & 0x7FFFFFFF, 0
            self._problem(function, problem)
            return
        target = self._target_section(symbol, offset)
        place = symbol.value + int(insns["imm"][at])
        if target.is_code:
            if place % INSN_SIZE:
                raise self.fail(offset, f"address of {target.name!r}+{place:#x} is at no instruction")
            callee = self.functions.starting(target.index, place // INSN_SIZE, function, at)
            self._set(function, at, table.PSEUDO_FUNC, 0)
            function.calls.append((at, callee))
        elif target.index in self.maps.data:
            if not 0 <= place <= 0x7FFFFFFF:
                raise self.fail(offset, f"address {place:#x} in {target.name!r}, expected 0 to 0x7fffffff")
            self._set(function, at, table.PSEUDO_MAP_IDX_VALUE, place)
            function.map_refs[at] = self.maps.data[target.index]
        elif target.index in self.maps.definitions:
            index = self.maps.definitions[target.index].get(place)
            if index is None:
                raise self.fail(offset, f"no map is at {target.name!r}+{place:#x}, which {symbol.name!r} means")
            self._set(function, at, table.PSEUDO_MAP_IDX, 0)
            function.map_refs[at] = index
        else:
            raise self.fail(
                offset, f"relocation against {symbol.name!r} in {target.name!r}, which holds no map or data"
            )

    @staticmethod
    def _set(function: Function, at: int, source: int, second: int) -> None:
        insns = function.insns
        insns["regs"][at] = int(insns["regs"][at]) & 0x0F | source << 4
        insns["imm"][at], insns["imm"][at + 1] = 0, second

    @staticmethod
    def _problem(function: Function, problem: str) -> None:
        if problem and not function.problem:
            function.problem = problem
