"""Programs compiled from assembly, and what a disassembler sees in the result."""

import pathlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import capstone

from pyebpf.isa.asm import assemble
from pyebpf.isa.insn import Insn, encode
from pyebpf.isa.table import PSEUDO_MAP_FD, PSEUDO_MAP_IDX
from pyebpf.native import NativeMap, NativeProg
from pyebpf.spec.kinds import ProgType
from pyebpf.spec.verified import NO_MAP, FactFlag
from tests.engine.runners import subprogs

JIT = 1
DEAD = FactFlag(0)
"""In `facts`: no path executes the instruction."""


def cpu_has(*features: str) -> bool:
    """Does /proc/cpuinfo name all of them?"""
    flags = next(line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    return set(features) <= set(flags.split())


def facts_of(insns: Sequence[Insn], flags: Mapping[int, FactFlag]) -> bytes:
    """Fact records: everything seen but what `flags` calls DEAD, and more flags by instruction."""

    def record(idx: int) -> bytes:
        more = flags.get(idx, FactFlag.SEEN)
        return struct.pack("<BBHi", int(more | FactFlag.SEEN if more else more), 0, NO_MAP, 0)

    return b"".join(record(i) for i in range(len(insns)))


def compile_text(
    text: str,
    maps: Mapping[str, NativeMap] | None = None,
    *,
    flags: int = 0,
    facts: Mapping[int, FactFlag] | None = None,
    engine: int = JIT,
    type: ProgType = ProgType.SYSCALL,
    name: str = "",
) -> NativeProg:
    """The program of an assembly text; its maps by name."""
    maps = maps or {}
    insns = assemble(text, {name: n for n, name in enumerate(maps)})
    insns = [replace(i, src=PSEUDO_MAP_IDX) if i.opcode == 0x18 and i.src == PSEUDO_MAP_FD else i for i in insns]
    return NativeProg(
        encode(insns),
        None if facts is None else facts_of(insns, facts),
        type=type,
        flags=flags,
        subprogs=subprogs(insns),
        maps=list(maps.values()),
        engine=engine,
        name=name,
    )


def disassemble(code: bytes) -> list[str]:
    """The instructions of machine code, all of it."""
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    insns = list(machine.disasm_lite(code, 0))
    assert sum(size for _, size, _, _ in insns) == len(code), "bytes that are no instruction"
    return [f"{mnemonic} {operands}".strip() for _, _, mnemonic, operands in insns]


def emitted(text: str, maps: Mapping[str, NativeMap] | None = None, **options: object) -> list[str]:
    """What the JIT makes of an assembly text."""
    return disassemble(compile_text(text, maps, **options).jited)  # type: ignore[arg-type]
