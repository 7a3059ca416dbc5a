"""Programs of every size: beyond 65,535 instructions, jumps beyond 32 KiB and 16 bits, a million instructions."""

import ctypes
import time

import pytest

from pyebpf.isa import ctors as c
from pyebpf.isa.insn import Nested, encode
from pyebpf.native import NativeProg
from pyebpf.spec.kinds import ProgType
from tests.jit.machine import JIT, disassemble

MASK = (1 << 64) - 1


def build(*insns: Nested, flags: int = 0, engine: int = JIT) -> NativeProg:
    return NativeProg(encode(insns), type=ProgType.SYSCALL, flags=flags, engine=engine)


def call(prog: NativeProg, r1: int = 0, r2: int = 0) -> int:
    """One bare run."""
    fn = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)(prog.entry_raw)
    return int(fn(r1, r2))


def steps(n: int) -> list[Nested]:
    """n instructions of which none can be left out: r0 = r0 * 5 + 1, in turns."""
    one = [c.ALU64_IMM(c.MUL, 0, 5), c.ALU64_IMM(c.ADD, 0, 1)]
    return list(one * (n // 2))


def stepped(n: int, r0: int = 0) -> int:
    for _ in range(n // 2):
        r0 = (r0 * 5 + 1) & MASK
    return r0


def test_more_instructions_than_16_bits_can_count() -> None:
    prog = build(c.MOV64_IMM(0, 0), steps(100_000), c.EXIT())
    assert call(prog) == stepped(100_000)


def test_the_longest_conditional_jumps() -> None:
    """16-bit offsets, forward and back: their targets lie more than 32 KiB of machine code away."""
    n = 32_000
    prog = build(
        c.MOV64_IMM(0, 0),
        c.MOV64_IMM(6, 0),
        c.JMP_IMM(c.JEQ, 1, 1, n),  # skips all steps
        steps(n),
        c.ALU64_IMM(c.ADD, 6, 1),
        c.JMP_IMM(c.JLT, 6, 3, -n - 2),  # not to the jump, which r1 might take
        c.EXIT(),
    )
    assert len(prog.jited) > 3 * 32768
    assert call(prog, r1=1) == stepped(2 * n)
    assert call(prog, r1=0) == stepped(3 * n)


def test_long_jumps() -> None:
    """gotol over more than 16 bits can say, forward and back."""
    n = 70_000
    prog = build(
        c.MOV64_IMM(0, 0),
        c.JMP32_A(n + 1),  # to the comparison
        steps(n),
        c.EXIT(),
        c.JMP_IMM(c.JEQ, 1, 7, 1),
        c.EXIT(),
        c.JMP32_A(-n - 4),  # to the steps
    )
    assert call(prog, r1=7) == stepped(n)
    assert call(prog, r1=8) == 0


@pytest.mark.parametrize("n", range(26, 46))
def test_jumps_grow_from_2_bytes_exactly_where_they_must(n: int) -> None:
    """An add of 4 bytes n times and one of 7: distances around 127 and 128, forward and back."""
    for odd in (c.ALU64_IMM(c.ADD, 0, 1), c.ALU64_IMM(c.ADD, 0, 1000)):
        body = [c.ALU64_IMM(c.ADD, 0, 1)] * n + [odd]
        prog = build(c.MOV64_REG(0, 2), c.JMP_IMM(c.JEQ, 1, 0, n + 1), body, c.EXIT())
        total = n + odd.imm
        assert call(prog, r1=1, r2=5) == 5 + total
        assert call(prog, r1=0, r2=5) == 5
        jump = next(line for line in disassemble(prog.jited) if line.startswith("je"))
        distance = 4 * n + (4 if odd.imm == 1 else 7)
        assert int(jump.split()[1], 16) == 6 + (2 if distance <= 127 else 6) + distance  # behind two of 3 bytes
        prog = build(
            c.MOV64_REG(0, 2),
            c.MOV64_IMM(6, 0),
            body,
            c.ALU64_IMM(c.ADD, 6, 1),
            c.JMP_IMM(c.JLT, 6, 2, -n - 3),
            c.EXIT(),
        )
        assert call(prog, r2=5) == 5 + 2 * total


def test_a_ladder_of_jumps_that_grow_each_other() -> None:
    """Each jump is short only if the next one is."""
    n = 3000
    insns: list[Nested] = [c.MOV64_IMM(0, 0)]
    for k in range(n):
        insns += [c.JMP_IMM(c.JEQ, 1, k, min(24, 2 * (n - 1 - k))), c.ALU64_IMM(c.ADD, 0, 1)]
    prog = build(insns, c.EXIT())
    for r1 in (0, 1, n // 2, n - 1, n + 5):
        skipped = 0 if r1 >= n else min(24, 2 * (n - 1 - r1)) // 2
        assert call(prog, r1=r1) == n - skipped


@pytest.mark.slow
def test_a_million_instructions() -> None:
    insns = encode([c.MOV64_IMM(0, 0), steps(999_998), c.EXIT()])
    start = time.process_time()
    prog = NativeProg(insns, type=ProgType.SYSCALL, engine=JIT)
    assert time.process_time() - start < 10  # seconds: quadratic passes would take hours
    assert call(prog) == stepped(999_998)
