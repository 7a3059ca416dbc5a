"""Assembly text to instructions: the forms of Linux's verifier log and of llvm-objdump, freely mixed.

    start:  r1 = counts ll              a map of `maps`; counts[0]+8 ll: the address of its value
            r2 = callback ll            a label: the address of a function
            if r3 == 0 goto out         labels or distances (+2, pc+2)
            call bpf_map_lookup_elem    or map_lookup_elem, bpf_map_lookup_elem#1, 1, a label, pc+5
    out:    exit                        ; comments: ; // # /* */

A line may start with the number and opcode that Linux's log has (`4: (61) r2 = ...`): the number is not looked at,
the opcode must be right. A label goes before a helper of the same name. Errors are AsmError with line and column.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NoReturn

from pyebpf.errors import AsmError
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn
from pyebpf.isa.statements import S16, S32, Reference, Statement, parse
from pyebpf.isa.table import BY_NAME
from pyebpf.isa.tokens import Cursor

_LOG_PREFIX: Final = re.compile(r"\s*(?:\d+:)?\s*(?:\(([0-9a-f]{2})\)(?=\s))?")
_LABEL: Final = re.compile(r"\s*([A-Za-z_.$][\w.$]*)\s*:")
_CALL_LOCAL: Final = BY_NAME["CALL_LOCAL"].opcode


class _Assembler:
    """One program: slots so far, where labels are, and which slots wait for one."""

    def __init__(self, maps: Mapping[str, int]) -> None:
        self.maps = maps
        self.slots: list[Insn] = []
        self.labels: dict[str, int] = {}
        self.waiting: list[tuple[int, Reference, int]] = []

    def line(self, text: str, number: int) -> None:
        """A line: labels, then perhaps one instruction."""
        start = 0
        while (match := _LABEL.match(text, start)) is not None:
            if match[1] in self.labels:
                raise AsmError(f"label {match[1]!r} is already defined", line=number, column=match.start(1) + 1)
            self.labels[match[1]] = len(self.slots)
            start = match.end()
        prefix = _LOG_PREFIX.match(text, start)
        assert prefix is not None
        cursor = Cursor(text, number, prefix.end())
        if cursor.next.kind != "end":
            self.add(parse(cursor, self.maps, int(prefix[1], 16) if prefix[1] else None), number)

    def add(self, statement: Statement, number: int) -> None:
        """Append the slots of a statement."""
        if statement.reference is not None:
            self.waiting.append((len(self.slots), statement.reference, number))
        self.slots += statement.slots

    def resolve(self) -> list[Insn]:
        """Put distances for the names; the program."""
        for index, reference, line in self.waiting:
            name = reference.name.text
            insn = self.slots[index]
            if name in self.labels:
                self.slots[index] = self.with_distance(insn, reference, self.labels[name] - index - 1, line)
            elif insn.opcode == _CALL_LOCAL and name.removeprefix("bpf_") in HELPER_IDS:
                self.slots[index] = replace(insn, src=0, imm=HELPER_IDS[name.removeprefix("bpf_")])
            else:
                what = "helper or label" if insn.opcode == _CALL_LOCAL else "label"
                self.fail(f"no {what} {name!r}", reference, line)
        return self.slots

    def with_distance(self, insn: Insn, reference: Reference, distance: int, line: int) -> Insn:
        """The instruction, going `distance` on from the next one."""
        low, high = S16 if reference.field == "off" else S32
        if not low <= distance <= high:
            self.fail(f"{reference.name.text!r} is {distance} instructions away, at most {high}", reference, line)
        return replace(insn, off=distance) if reference.field == "off" else replace(insn, imm=distance)

    def fail(self, message: str, reference: Reference, line: int) -> NoReturn:
        """AsmError at a reference."""
        raise AsmError(message, line=line, column=reference.name.column)


def assemble(text: str, maps: Mapping[str, int] | None = None) -> list[Insn]:
    """The instructions of `text`; a 64-bit constant takes two slots. `maps`: fds by name."""
    assembler = _Assembler(maps or {})
    for number, line in enumerate(text.splitlines(), 1):
        assembler.line(line, number)
    return assembler.resolve()
