"""Programs that exercise one table row each: many operand values, and every pair of registers.

A case reads its operands from the context (r1 of a syscall program, or r7 once a case has moved it) and writes its
results back there, so that no verifier and no compiler can know them beforehand. What should come out is the
model's business (tests.engine.model), and Linux's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from pyebpf.isa import ctors as c
from pyebpf.isa.insn import Insn
from pyebpf.isa.table import OPS, PSEUDO_MAP_IDX_VALUE, Op

VALUES = [
    0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x80000001,
    0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001, 0xFFFFFFFF7FFFFFFF,
    0xFFFFFFFF80000000, 0xFFFFFFFFFFFFFFFF, 0x123456789ABCDEF0, 0xFEDCBA9876543210, 0xDEADBEEFCAFEBABE,
]  # fmt: skip
"""Where widths, signs and shift counts change."""
IMMEDIATES = [0, 1, 2, 7, -1, -2, 31, 32, 63, 127, 128, -128, -129, 255, 0x7FFF, 0x7FFFFFFF, -0x80000000, 0x12345678]
SHIFTS = {"lsh", "rsh", "arsh"}
DIVISIONS = {"div", "mod", "sdiv", "smod"}
MAP_BYTES = 66000


@dataclass(frozen=True)
class Case:
    """A program, its context, and the values of the one-element arrays it names by index."""

    name: str
    insns: tuple[Insn, ...]
    ctx: bytes
    maps: tuple[bytes, ...] = ()


def _u64s(values: list[int]) -> bytes:
    return b"".join(v.to_bytes(8, "little") for v in values)


def _finish(body: list[Insn]) -> tuple[Insn, ...]:
    return (*body, c.MOV64_IMM(0, 0), c.EXIT())


def _with(op: Op, dst: int, src: int = 0, imm: int = 0, off: int = 0) -> Insn:
    return Insn(
        op.opcode,
        dst,
        src if "s" in op.uses else 0,
        op.off if op.off is not None else off if "o" in op.uses else 0,
        op.imm if op.imm is not None else imm if "i" in op.uses else 0,
    )


def immediates(op: Op) -> list[int]:
    """The constants a verifier allows: no shift beyond the width, no division by 0."""
    if op.kind in SHIFTS:
        return [n for n in (0, 1, 7, 8, 31, 32, 63) if n < 8 * op.nbytes]
    return [n for n in IMMEDIATES if n != 0 or op.kind not in DIVISIONS]


def alu_values(op: Op) -> Case:
    """dst op= src, or op= imm, for every pair of values; one op for those with one operand."""
    others = VALUES if "s" in op.uses else immediates(op) if "i" in op.uses else [0]
    body, ctx = [], []
    for index, (a, b) in enumerate(product(VALUES, others)):
        at = 16 * index
        ctx += [a, b & (1 << 64) - 1]
        body += [c.LDX_MEM(c.DW, 2, 1, at), c.LDX_MEM(c.DW, 3, 1, at + 8), _with(op, 2, 3, b if "i" in op.uses else 0)]
        body.append(c.STX_MEM(c.DW, 1, 2, at))
    return Case(f"{op.name} values", _finish(body), _u64s(ctx))


def _around(insns: list[Insn], base: int, at: int) -> list[Insn]:
    """All registers but `base` loaded from the context at `at`, `insns`, all stored again: `base` must survive."""
    others = [r for r in range(10) if r != base]
    loads = [c.LDX_MEM(c.DW, r, base, at + 8 * i) for i, r in enumerate(others)]
    stores = [c.STX_MEM(c.DW, base, r, at + 8 * i) for i, r in enumerate(others)]
    return [c.LDX_MEM(c.DW, base, 10, -8), *loads, *insns, *stores]


def _registers(index: int) -> list[int]:
    return [VALUES[(7 * index + 5 * r) % len(VALUES)] for r in range(9)]


def alu_registers(op: Op) -> Case:
    """The operation on every pair of registers, with the others full: none but dst may change."""
    body, ctx = [c.STX_MEM(c.DW, 10, 1, -8)], []
    sources = range(10) if "s" in op.uses else (0,)
    for index, (dst, src) in enumerate(product(range(10), sources)):
        free = [r for r in range(10) if r != dst and ("s" not in op.uses or r != src)]
        imm = immediates(op)[index % len(immediates(op))] if "i" in op.uses else 0
        body += _around([_with(op, dst, src, imm)], free[index % len(free)], 72 * index)
        ctx += _registers(index)
    return Case(f"{op.name} registers", _finish(body), _u64s(ctx))


def jump_values(op: Op) -> Case:
    """A byte of 1 for a jump taken, 0 for one not taken, for every pair of values."""
    others = VALUES if "s" in op.uses else immediates(op)
    body, ctx = [], []
    for index, (a, b) in enumerate(product(VALUES, others)):
        at = 16 * index
        ctx += [a, b & (1 << 64) - 1]
        body += [c.LDX_MEM(c.DW, 2, 1, at), c.LDX_MEM(c.DW, 3, 1, at + 8), c.MOV64_IMM(4, 1)]
        body += [_with(op, 2, 3, b if "i" in op.uses else 0, off=1), c.MOV64_IMM(4, 0), c.STX_MEM(c.B, 1, 4, at)]
    return Case(f"{op.name} values", _finish(body), _u64s(ctx))


def jump_registers(op: Op) -> Case:
    """The jump on every pair of registers, the others full: none may change."""
    body, ctx = [c.STX_MEM(c.DW, 10, 1, -8)], []
    sources = range(10) if "s" in op.uses else (0,)
    for index, (dst, src) in enumerate(product(range(10), sources)):
        free = [r for r in range(10) if r != dst and ("s" not in op.uses or r != src)]
        base = free[index % len(free)]
        imm = immediates(op)[index % len(immediates(op))] if "i" in op.uses else 0
        at = 80 * index
        mark = [_with(op, dst, src, imm, off=1), c.ST_MEM(c.DW, base, at + 72, 1)]
        body += _around(mark, base, at)
        ctx += [*_registers(index), 0]
    return Case(f"{op.name} registers", _finish(body), _u64s(ctx))


def _map_value(dst: int, at: int) -> list[Insn]:
    return list(c.LD_IMM64_RAW(dst, PSEUDO_MAP_IDX_VALUE, 0, at))


PATTERN = bytes((i * 37 + (i >> 8)) & 0xFF for i in range(MAP_BYTES))
OFFSETS = [0, 1, 5, 8, 127, 128, -1, -128, -129, 255, 4096, 32767, -32768]


def memory_offsets(op: Op) -> Case:
    """The access at near and far offsets of both signs, unaligned ones too, in a map's value."""
    body, ctx = [], [0] * (2 * len(OFFSETS))
    atomic = op.kind.startswith("atomic") or op.kind in ("load_acq", "store_rel")
    for index, off in enumerate(OFFSETS):
        aligned = off - off % op.nbytes if atomic else off
        body += _map_value(2, 32776)
        body += [c.LDX_MEM(c.DW, 3, 1, 16 * index + 8), c.MOV64_IMM(0, 77)]
        load = op.kind in ("ldx", "ldxsx", "load_acq")
        body.append(_with(op, 3 if load else 2, 2 if load else 3, IMMEDIATES[index], max(aligned, -32768)))
        body += [c.STX_MEM(c.DW, 1, 3, 16 * index), c.STX_MEM(c.DW, 1, 0, 16 * index + 8)]
        ctx[2 * index + 1] = VALUES[-1 - index]
    return Case(f"{op.name} offsets", _finish(body), _u64s(ctx), (PATTERN,))


def memory_registers(op: Op) -> Case:
    """The access through every pair of registers, the frame pointer included, others full."""
    body, ctx = [c.STX_MEM(c.DW, 10, 1, -8)], []
    load = op.kind in ("ldx", "ldxsx", "load_acq")
    immediate = "i" in op.uses
    pairs = [(p, v) for p in (*range(10), 10) for v in range(10) if not (immediate and v)]
    pairs = [(p, v) for p, v in pairs if load or immediate or p != v]  # a pointer is not to be stored
    if op.kind == "atomic_cmpxchg":
        pairs = [(p, v) for p, v in pairs if p != 0 and v != 0]
    for index, (pointer, value) in enumerate(pairs):
        free = [r for r in range(10) if r not in (pointer, value) and not (r == 0 and op.kind == "atomic_cmpxchg")]
        base = free[index % len(free)]
        point = _map_value(pointer, 64 * index) if pointer < 10 else []
        initial = [] if pointer < 10 else [c.LDX_MEM(c.DW, free[0], 10, -8), c.LDX_MEM(c.DW, free[1], free[0], 0)]
        if pointer == 10:
            initial.append(c.STX_MEM(c.DW, 10, free[1], -16))
        registers = (value, pointer) if load else (pointer, value)
        access = _with(op, *registers, 0x12345678 + index, -16 if pointer == 10 else 8)
        after = [c.MOV64_IMM(pointer, 1)] if pointer < 10 and not (load and pointer == value) else []
        body += initial + _around([*point, access, *after], base, 72 * index)
        if pointer == 10 and not load:
            body += [c.LDX_MEM(c.DW, base, 10, -8), c.LDX_MEM(c.DW, free[-1], 10, -16)]
            body += [c.STX_MEM(c.DW, base, free[-1], 72 * index)] if base != free[-1] else []
        ctx += _registers(index)
    return Case(f"{op.name} registers", _finish(body), _u64s(ctx), (PATTERN[:16384],))


def atomic_values(op: Op) -> Case:
    """The atomic on every pair of old value and operand; cmpxchg both with and without a match."""
    body, ctx = [], []
    size = c.DW if op.nbytes == 8 else c.W
    for index, (old, operand) in enumerate(product(VALUES, VALUES[:: 3 if op.kind == "atomic_cmpxchg" else 2])):
        at = 24 * index
        expected = old if index % 2 else operand
        ctx += [old, operand, expected]
        body += [c.LDX_MEM(c.DW, 4, 1, at), c.STX_MEM(c.DW, 10, 4, -16)]
        body += [c.LDX_MEM(c.DW, 3, 1, at + 8), c.LDX_MEM(c.DW, 0, 1, at + 16), _with(op, 10, 3, 0, -16)]
        body += [c.LDX_MEM(c.DW, 4, 10, -16), c.STX_MEM(c.DW, 1, 4, at)]
        body += [c.STX_MEM(c.DW, 1, 3, at + 8), c.STX_MEM(c.DW, 1, 0, at + 16)]
        body += [c.LDX_MEM(size, 4, 10, -16)]
    return Case(f"{op.name} values", _finish(body), _u64s(ctx))


def constants() -> Case:
    """64-bit constants into every register."""
    body, at = [c.STX_MEM(c.DW, 10, 1, -8)], 0
    for index, value in enumerate(VALUES):
        dst = index % 10
        base = (dst + 1) % 10
        body += [c.LDX_MEM(c.DW, base, 10, -8), *c.LD_IMM64(dst, value), c.STX_MEM(c.DW, base, dst, at)]
        at += 8
    return Case("LD_IMM64 values", _finish(body), bytes(at))


def cases() -> Iterator[Case]:
    """All of them, row by row."""
    yield constants()
    for op in OPS:
        if op.cls in (4, 7):
            yield alu_values(op)
            yield alu_registers(op)
        elif op.kind.startswith("j") and op.nbytes:
            yield jump_values(op)
            yield jump_registers(op)
        elif op.kind in ("ldx", "ldxsx", "st", "stx", "load_acq", "store_rel") or op.kind.startswith("atomic"):
            yield memory_offsets(op)
            yield memory_registers(op)
            if op.kind.startswith("atomic"):
                yield atomic_values(op)
