"""The constructors make the instructions that their text says, and Linux accepts the 2014 example made of them."""

import pytest

import pyebpf.isa
from pyebpf.isa import *  # noqa: F403
from pyebpf.isa import (
    ADD,
    ALU32_IMM,
    ALU32_REG,
    ALU64_IMM,
    ALU64_REG,
    AND,
    ARSH,
    ATOMIC_OP,
    BSWAP,
    CALL,
    CALL_KFUNC,
    CALL_REL,
    CMPXCHG,
    DIV,
    DW,
    ENDIAN_BE,
    ENDIAN_LE,
    EXIT,
    FETCH,
    JEQ,
    JMP32_A,
    JMP32_IMM,
    JMP32_REG,
    JMP_A,
    JMP_IMM,
    JMP_REG,
    JNE,
    JSET,
    JSLE,
    LD_ABS,
    LD_FUNC,
    LD_IMM64,
    LD_IND,
    LD_MAP_FD,
    LD_MAP_VALUE,
    LDX_MEM,
    LDX_MEMSX,
    LOAD_ACQ,
    MAY_GOTO,
    MOD,
    MOV32_IMM,
    MOV32_REG,
    MOV64_IMM,
    MOV64_REG,
    MOVSX32_REG,
    MOVSX64_REG,
    NEG32,
    NEG64,
    R0,
    R1,
    R2,
    R3,
    R6,
    R10,
    RAW_INSN,
    ST_MEM,
    STORE_REL,
    STX_MEM,
    STX_XADD,
    SUB,
    XCHG,
    XOR,
    B,
    H,
    Insn,
    W,
    assemble,
    encode,
    map_lookup_elem,
)  # fmt: skip
from tests import linux, require

CASES = {
    "r1 += r2": ALU64_REG(ADD, R1, R2), "w1 ^= w2": ALU32_REG(XOR, R1, R2), "r1 -= -5": ALU64_IMM(SUB, R1, -5),
    "w1 &= 0xf0000000": ALU32_IMM(AND, R1, 0xF0000000), "r1 s/= r2": ALU64_REG(DIV, R1, R2, 1),
    "w1 s%= 3": ALU32_IMM(MOD, R1, 3, 1), "r1 s>>= 4": ALU64_IMM(ARSH, R1, 4), "r1 = -r1": NEG64(R1),
    "w1 = -w1": NEG32(R1), "r6 = r1": MOV64_REG(R6, R1), "w6 = w1": MOV32_REG(R6, R1), "r6 = -1": MOV64_IMM(R6, -1),
    "w6 = 7": MOV32_IMM(R6, 7), "r1 = (s8)r2": MOVSX64_REG(R1, R2, 8), "w1 = (s16)w2": MOVSX32_REG(R1, R2, 16),
    "r1 = le32 r1": ENDIAN_LE(R1, 32), "r1 = be64 r1": ENDIAN_BE(R1, 64), "r1 = bswap16 r1": BSWAP(R1, 16),
    "r0 = *(u8 *)skb[23]": LD_ABS(B, 23), "r0 = *(u16 *)skb[r1 + 2]": LD_IND(H, R1, 2),
    "r1 = *(u32 *)(r2 + 4)": LDX_MEM(W, R1, R2, 4), "r1 = *(s8 *)(r2 - 4)": LDX_MEMSX(B, R1, R2, -4),
    "*(u64 *)(r10 - 8) = r1": STX_MEM(DW, R10, R1, -8), "*(u8 *)(r10 - 8) = 5": ST_MEM(B, R10, -8, 5),
    "lock *(u64 *)(r0 + 0) += r1": STX_XADD(DW, R0, R1, 0),
    "w1 = atomic_fetch_add((u32 *)(r0 + 8), w1)": ATOMIC_OP(W, ADD | FETCH, R0, R1, 8),
    "r1 = atomic64_xchg((u64 *)(r0 + 8), r1)": ATOMIC_OP(DW, XCHG, R0, R1, 8),
    "r0 = atomic64_cmpxchg((u64 *)(r2 + 8), r0, r1)": ATOMIC_OP(DW, CMPXCHG, R2, R1, 8),
    "r1 = load_acquire((u64 *)(r2 + 8))": ATOMIC_OP(DW, LOAD_ACQ, R1, R2, 8),
    "store_release((u8 *)(r1 + 8), w2)": ATOMIC_OP(B, STORE_REL, R1, R2, 8),
    "if r1 == r2 goto +3": JMP_REG(JEQ, R1, R2, 3), "if r1 & 7 goto -3": JMP_IMM(JSET, R1, 7, -3),
    "if w1 != w2 goto +3": JMP32_REG(JNE, R1, R2, 3), "if w1 s<= -7 goto +3": JMP32_IMM(JSLE, R1, -7, 3),
    "goto +5": JMP_A(5), "gotol +70000": JMP32_A(70000), "may_goto +2": MAY_GOTO(2), "call 1": CALL(map_lookup_elem),
    "call ktime_get_ns": CALL("ktime_get_ns"), "call pc-4": CALL_REL(-4), "call kfunc#9@1": CALL_KFUNC(9, 1),
    "exit": EXIT(), "r3 = 0xffffffff00000000 ll": LD_IMM64(R3, 0xFFFFFFFF00000000), "r3 = -2 ll": LD_IMM64(R3, -2),
    "r1 = m ll": LD_MAP_FD(R1, 9), "r1 = m[0]+4 ll": LD_MAP_VALUE(R1, 9, 4), "r1 = subprog[+4]": LD_FUNC(R1, 4),
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_constructor_makes_the_instruction_its_text_says(text: str) -> None:
    insn = CASES[text]
    assert ([insn] if isinstance(insn, Insn) else list(insn)) == assemble(text, {"m": 9})


def test_values_beyond_their_field_are_refused() -> None:
    for bad in (
        lambda: MOV64_IMM(R1, 1 << 32),
        lambda: MOV64_IMM(R1, -(1 << 31) - 1),
        lambda: LDX_MEM(W, R1, R2, 1 << 16),
        lambda: LD_IMM64(R1, 1 << 64),
        lambda: RAW_INSN(0, 16, 0, 0, 0),
    ):
        with pytest.raises(ValueError, match="not fit"):
            bad()


def test_a_name_that_is_no_helper_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no_such_helper"):
        _ = pyebpf.isa.no_such_helper


def test_every_constructor_is_exported_and_documented() -> None:
    functions = [n for n in pyebpf.isa.__all__ if callable(getattr(pyebpf.isa, n))]
    assert {"MOV64_REG", "LD_MAP_FD", "EXIT", "Insn", "assemble"} <= set(functions)
    assert [n for n in functions if not getattr(pyebpf.isa, n).__doc__] == []


def test_example_of_2014_counts_protocols_on_linux() -> None:
    require.linux()
    with linux.create_map("hash", 4, 8, 256) as counts:
        counts.update(6, 0)
        program = [
            MOV64_REG(R6, R1), LD_ABS(B, 14 + 9), STX_MEM(W, R10, R0, -4), MOV64_REG(R2, R10), ALU64_IMM(ADD, R2, -4),
            LD_MAP_FD(R1, counts.fd), CALL(map_lookup_elem), JMP_IMM(JEQ, R0, 0, 2), MOV64_IMM(R1, 1),
            STX_XADD(DW, R0, R1, 0), MOV64_IMM(R0, 0), EXIT(),
        ]  # fmt: skip
        assert len(encode(program)) == 8 * 13
        with linux.prog_load(encode(program), "socket_filter") as prog:
            for _ in range(3):  # PROG_TEST_RUN hands a socket filter the packet without its Ethernet header
                prog.test_run(bytes(14 + 23) + b"\6" + bytes(40))
        assert counts.lookup(6) == (3).to_bytes(8, "little")
