"""Instruction constructors, named as the macros of 2014's user-space examples and Linux's filter.h.

    [MOV64_REG(R6, R1), LD_ABS(B, 23), STX_MEM(W, R10, R0, -4), LD_MAP_FD(R1, fd), CALL(map_lookup_elem), EXIT()]

Each gives an Insn, LD_IMM64 and its relatives a pair of them: `encode` and everything that takes instructions
accept nested sequences, and jump distances count slots, as in C. Constants may be given signed or unsigned.
"""

from typing import Final

from pyebpf.isa import table
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)
B, H, W, DW = table.B, table.H, table.W, table.DW

ADD, SUB, MUL, DIV, OR, AND, LSH, RSH = (table.ALU_OPS[k] for k in "add sub mul div or and lsh rsh".split())
MOD, XOR, ARSH = (table.ALU_OPS[k] for k in ("mod", "xor", "arsh"))
JEQ, JGT, JGE, JSET, JNE, JSGT = (table.JMP_OPS[k] for k in "jeq jgt jge jset jne jsgt".split())
JSGE, JLT, JLE, JSLT, JSLE = (table.JMP_OPS[k] for k in "jsge jlt jle jslt jsle".split())
FETCH: Final = table.FETCH
XCHG, CMPXCHG = table.ATOMIC_OPS["atomic_xchg"], table.ATOMIC_OPS["atomic_cmpxchg"]
LOAD_ACQ, STORE_REL = table.LOAD_ACQ, table.STORE_REL
Wide = tuple[Insn, Insn]


def _wrap(value: int, bits: int, what: str) -> int:
    """A signed or unsigned value of `bits` bits as the signed one."""
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise ValueError(f"{what} {value} does not fit {bits} bits")
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def RAW_INSN(code: int, dst: int, src: int, off: int, imm: int) -> Insn:
    """Any encoding; registers 0..15."""
    if not (0 <= dst < 16 and 0 <= src < 16):
        raise ValueError(f"registers {dst}, {src} do not fit 4 bits")
    return Insn(code, dst, src, _wrap(off, 16, "offset"), _wrap(imm, 32, "constant"))


def ALU64_REG(op: int, dst: int, src: int, off: int = 0) -> Insn:
    """dst op= src; off 1: signed DIV and MOD."""
    return RAW_INSN(table.ALU64 | op | table.X, dst, src, off, 0)


def ALU32_REG(op: int, dst: int, src: int, off: int = 0) -> Insn:
    """The same on the low halves; the upper one becomes 0."""
    return RAW_INSN(table.ALU | op | table.X, dst, src, off, 0)


def ALU64_IMM(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    """dst op= imm, which is sign-extended."""
    return RAW_INSN(table.ALU64 | op | table.K, dst, 0, off, imm)


def ALU32_IMM(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    """The same on the low half; the upper one becomes 0."""
    return RAW_INSN(table.ALU | op | table.K, dst, 0, off, imm)


def NEG64(dst: int) -> Insn:
    """dst = -dst."""
    return RAW_INSN(table.BY_NAME["NEG64"].opcode, dst, 0, 0, 0)


def NEG32(dst: int) -> Insn:
    """dst = -dst on the low half; the upper one becomes 0."""
    return RAW_INSN(table.BY_NAME["NEG32"].opcode, dst, 0, 0, 0)


def MOV64_REG(dst: int, src: int) -> Insn:
    """dst = src."""
    return RAW_INSN(table.BY_NAME["MOV64_X"].opcode, dst, src, 0, 0)


def MOV32_REG(dst: int, src: int) -> Insn:
    """dst = (u32)src."""
    return RAW_INSN(table.BY_NAME["MOV32_X"].opcode, dst, src, 0, 0)


def MOV64_IMM(dst: int, imm: int) -> Insn:
    """dst = imm, sign-extended."""
    return RAW_INSN(table.BY_NAME["MOV64_K"].opcode, dst, 0, 0, imm)


def MOV32_IMM(dst: int, imm: int) -> Insn:
    """dst = (u32)imm."""
    return RAW_INSN(table.BY_NAME["MOV32_K"].opcode, dst, 0, 0, imm)


def MOVSX64_REG(dst: int, src: int, bits: int) -> Insn:
    """dst = the low `bits` (8, 16, 32) of src, sign-extended."""
    return RAW_INSN(table.BY_NAME["MOV64_X"].opcode, dst, src, bits, 0)


def MOVSX32_REG(dst: int, src: int, bits: int) -> Insn:
    """dst = the low `bits` (8, 16) of src, sign-extended to 32; the upper half becomes 0."""
    return RAW_INSN(table.BY_NAME["MOV32_X"].opcode, dst, src, bits, 0)


def ENDIAN_LE(dst: int, bits: int) -> Insn:
    """To little-endian: dst truncated to `bits` (16, 32, 64)."""
    return RAW_INSN(table.BY_NAME["LE16"].opcode, dst, 0, 0, bits)


def ENDIAN_BE(dst: int, bits: int) -> Insn:
    """To big-endian: the low `bits` (16, 32, 64) swapped, the others 0."""
    return RAW_INSN(table.BY_NAME["BE16"].opcode, dst, 0, 0, bits)


def BSWAP(dst: int, bits: int) -> Insn:
    """The low `bits` (16, 32, 64) swapped, the others 0."""
    return RAW_INSN(table.BY_NAME["BSWAP16"].opcode, dst, 0, 0, bits)


def LD_ABS(size: int, imm: int) -> Insn:
    """R0 = packet field at imm, in host order; leaves the program if it is not there."""
    return RAW_INSN(table.LD | table.ABS | size, 0, 0, 0, imm)


def LD_IND(size: int, src: int, imm: int) -> Insn:
    """R0 = packet field at src + imm, in host order; leaves the program if it is not there."""
    return RAW_INSN(table.LD | table.IND | size, 0, src, 0, imm)


def LDX_MEM(size: int, dst: int, src: int, off: int) -> Insn:
    """dst = *(size *)(src + off)."""
    return RAW_INSN(table.LDX | table.MEM | size, dst, src, off, 0)


def LDX_MEMSX(size: int, dst: int, src: int, off: int) -> Insn:
    """dst = *(signed size *)(src + off), sign-extended; B, H or W."""
    return RAW_INSN(table.LDX | table.MEMSX | size, dst, src, off, 0)


def STX_MEM(size: int, dst: int, src: int, off: int) -> Insn:
    """*(size *)(dst + off) = src."""
    return RAW_INSN(table.STX | table.MEM | size, dst, src, off, 0)


def ST_MEM(size: int, dst: int, off: int, imm: int) -> Insn:
    """*(size *)(dst + off) = imm."""
    return RAW_INSN(table.ST | table.MEM | size, dst, 0, off, imm)


def ATOMIC_OP(size: int, op: int, dst: int, src: int, off: int) -> Insn:
    """One of ADD, AND, OR, XOR, each perhaps | FETCH, XCHG, CMPXCHG, on *(size *)(dst + off) with src; W or DW.

    LOAD_ACQ: dst = *(size *)(src + off); STORE_REL: *(size *)(dst + off) = src; any size.
    """
    return RAW_INSN(table.STX | table.ATOMIC | size, dst, src, off, op)


def STX_XADD(size: int, dst: int, src: int, off: int) -> Insn:
    """ATOMIC_OP(size, ADD, ...) under its name of 2014."""
    return ATOMIC_OP(size, ADD, dst, src, off)


def JMP_REG(op: int, dst: int, src: int, off: int) -> Insn:
    """If dst op src, skip `off` slots."""
    return RAW_INSN(table.JMP | op | table.X, dst, src, off, 0)


def JMP_IMM(op: int, dst: int, imm: int, off: int) -> Insn:
    """If dst op imm (sign-extended), skip `off` slots."""
    return RAW_INSN(table.JMP | op | table.K, dst, 0, off, imm)


def JMP32_REG(op: int, dst: int, src: int, off: int) -> Insn:
    """JMP_REG on the low halves."""
    return RAW_INSN(table.JMP32 | op | table.X, dst, src, off, 0)


def JMP32_IMM(op: int, dst: int, imm: int, off: int) -> Insn:
    """JMP_IMM on the low half."""
    return RAW_INSN(table.JMP32 | op | table.K, dst, 0, off, imm)


def JMP_A(off: int) -> Insn:
    """Skip `off` slots."""
    return RAW_INSN(table.BY_NAME["JA"].opcode, 0, 0, off, 0)


def JMP32_A(imm: int) -> Insn:
    """Skip `imm` slots: the jump of 32 bits."""
    return RAW_INSN(table.BY_NAME["JA_LONG"].opcode, 0, 0, 0, imm)


def MAY_GOTO(off: int) -> Insn:
    """Skip `off` slots, at a time of the engine's choosing but in bounded time."""
    return RAW_INSN(table.BY_NAME["MAY_GOTO"].opcode, 0, 0, off, 0)


def LD_IMM64_RAW(dst: int, src: int, low: int, high: int = 0) -> Wide:
    """The two slots of a 64-bit constant with a pseudo source (table.PSEUDO_*) and both halves."""
    return RAW_INSN(table.BY_NAME["LD_IMM64"].opcode, dst, src, 0, low), RAW_INSN(0, 0, 0, 0, high)


def LD_IMM64(dst: int, imm: int) -> Wide:
    """dst = imm, 64 bits."""
    value = _wrap(imm, 64, "constant") & (1 << 64) - 1
    return LD_IMM64_RAW(dst, 0, value & 0xFFFFFFFF, value >> 32)


def LD_MAP_FD(dst: int, fd: int) -> Wide:
    """dst = the map behind a file descriptor, for helpers."""
    return LD_IMM64_RAW(dst, table.PSEUDO_MAP_FD, fd)


def LD_MAP_VALUE(dst: int, fd: int, off: int) -> Wide:
    """dst = address of byte `off` in the only value of an ARRAY."""
    return LD_IMM64_RAW(dst, table.PSEUDO_MAP_VALUE, fd, off)


def LD_FUNC(dst: int, distance: int) -> Wide:
    """dst = the function that starts `distance` slots after the first of these two and one more."""
    return LD_IMM64_RAW(dst, table.PSEUDO_FUNC, distance)


def CALL(helper: int | str) -> Insn:
    """R0 = helper(R1..R5): its number, or its name with or without "bpf_"."""
    number = HELPER_IDS[helper.removeprefix("bpf_")] if isinstance(helper, str) else helper
    return RAW_INSN(table.BY_NAME["CALL_HELPER"].opcode, 0, 0, 0, number)


def CALL_REL(distance: int) -> Insn:
    """R0 = the function `distance` slots after the next instruction (R1..R5)."""
    return RAW_INSN(table.BY_NAME["CALL_LOCAL"].opcode, 0, table.PSEUDO_CALL, 0, distance)


def CALL_KFUNC(btf_id: int, fd_index: int = 0) -> Insn:
    """R0 = a kernel function by its BTF id."""
    return RAW_INSN(table.BY_NAME["CALL_KFUNC"].opcode, 0, table.PSEUDO_KFUNC_CALL, fd_index, btf_id)


def EXIT() -> Insn:
    """Return R0."""
    return RAW_INSN(table.BY_NAME["EXIT"].opcode, 0, 0, 0, 0)
