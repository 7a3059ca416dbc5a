"""Puts programs together: main first, then each function it calls, where the call is first met, depth first.

This is libbpf's order, and the numbers of instructions in Linux's messages depend on it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.btf.ext import FUNC_INFO, LINE_INFO, BtfExt
from pyebpf.errors import ObjectError
from pyebpf.isa.insn import INSN_SIZE
from pyebpf.relo.functions import Function, Functions

MAX_PROGRAMS = 4096
MAX_INSNS = 1 << 21
"""Instructions (and line records) of all programs of an object; a function is copied into each that calls it."""

Records = NDArray[Any]


@dataclass(frozen=True)
class Assembled:
    """A program's instructions, with map references as spec/collection.py says. maps: indices of the collection's."""

    main: Function
    insns: NDArray[Any]
    maps: tuple[int, ...]
    functions: tuple[tuple[int, str], ...]
    func_info: Records | None
    line_info: Records | None
    problem: str


def mains(functions: Functions) -> list[Function]:
    """The functions that are programs: global ones in sections of their own, or the only one of .text."""
    outside = [f for f in functions.all if f.section.name != ".text"]
    if not outside and len(functions.all) == 1:
        return functions.all
    found = [f for f in outside if f.is_global]
    if len(found) > MAX_PROGRAMS:
        raise ObjectError(f"{len(found)} programs, expected at most {MAX_PROGRAMS}", section=found[0].section.name)
    return found


class Assembler:
    """Assembles the programs of one object."""

    def __init__(self, ext: BtfExt | None) -> None:
        self.ext = ext or BtfExt()
        self._places: dict[int, NDArray[Any]] = {}
        self.left = MAX_INSNS

    def assemble(self, main: Function) -> Assembled:
        """One program."""
        starts = self._order(main)
        parts = list(starts)
        insns = np.concatenate([f.insns for f in parts])
        imm = insns["imm"]
        for function, start in starts.items():
            if function.calls:
                at = np.array([c[0] for c in function.calls]) + start
                imm[at] = np.array([starts[c[1]] for c in function.calls]) - at - 1
        maps = self._number_maps(starts, insns)
        problem = next((f.problem for f in parts if f.problem), "")
        named = tuple((start, f.name) for f, start in starts.items())
        funcs = self._rebase(self.ext.func_info, starts, FUNC_INFO)
        lines = self._rebase(self.ext.line_info, starts, LINE_INFO)
        return Assembled(main, insns, maps, named, funcs, lines, problem)

    def _order(self, main: Function) -> dict[Function, int]:
        """Each function of the program and where it starts in it."""
        starts = {main: 0}
        total = len(main)
        stack = [iter(main.calls)]
        while stack:
            for _, callee in stack[-1]:
                if callee not in starts:
                    starts[callee] = total
                    total += len(callee)
                    stack.append(iter(callee.calls))
                    break
            else:
                stack.pop()
        self._spend(main, total)
        return starts

    def _spend(self, function: Function, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ObjectError(
                f"programs have more than {MAX_INSNS} instructions", section=function.section.name, offset=0
            )

    @staticmethod
    def _number_maps(starts: dict[Function, int], insns: NDArray[Any]) -> tuple[int, ...]:
        """Give the program's maps numbers in the order of their first use, in the imm of each reference."""
        numbers: dict[int, int] = {}
        imm = insns["imm"]
        for function, start in starts.items():
            for at in sorted(function.map_refs):
                imm[start + at] = numbers.setdefault(function.map_refs[at], len(numbers))
        return tuple(numbers)

    def _offsets(self, records: Records) -> NDArray[Any]:
        """Instruction offsets of a section's records, side by side so that they can be searched fast."""
        found = self._places.get(id(records))
        if found is None:
            found = self._places[id(records)] = np.ascontiguousarray(records["insn_off"])
        return found

    def _rebase(
        self, by_section: dict[str, Records], starts: dict[Function, int], form: "np.dtype[Any]"
    ) -> Records | None:
        """Records of the program's functions, counted in its instructions; None unless each function has some."""
        out = []
        for function, start in starts.items():
            records = by_section.get(function.section.name)
            if records is None:
                return None
            places = self._offsets(records)
            first = np.searchsorted(places, function.start * INSN_SIZE)
            last = np.searchsorted(places, (function.start + len(function)) * INSN_SIZE)
            if first == last:
                return None
            self._spend(function, int(last - first))
            own = records[first:last].copy()
            own["insn_off"] = own["insn_off"] // INSN_SIZE - function.start + start
            out.append(own)
        return np.concatenate(out).astype(form, copy=False)


def hidden_functions(functions: Functions) -> set[str]:
    """Names of global functions nobody outside the object sees; Linux verifies them as it does static ones."""
    return {f.name for f in functions.all if f.is_global and f.is_hidden}
