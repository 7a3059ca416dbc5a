"""The instruction table: one row for each instruction of RFC 9669 and legacy LD_ABS/LD_IND.

A row is an instruction, not an opcode byte: signed division, sign-extending moves, byte swaps,
atomics, calls and 64-bit constants share opcode bytes and are told apart by `off`, `imm` or `src`.
The assembler, disassembler, verifier and the C headers (csrc/gen/opcodes.h) read these rows.

    byte 0   opcode:  [ op:4 | source:1 | class:3 ]   or   [ mode:3 | size:2 | class:3 ]
    byte 1   [ src:4 | dst:4 ]
    byte 2-3 off, signed        byte 4-7 imm, signed        (little-endian)
"""

from dataclasses import dataclass
from typing import Final

# Instruction classes (RFC 9669, 3.)
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)

# Operand source
K: Final = 0x00
X: Final = 0x08

# Sizes and modes of memory instructions
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
IMM, ABS, IND, MEM, MEMSX, ATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xC0

SIZE_BYTES: Final = {W: 4, H: 2, B: 1, DW: 8}
SIZE_NAMES: Final = {W: "W", H: "H", B: "B", DW: "DW"}

# `src` of ld_imm64 (RFC 9669, 5.4) and of call (5.3)
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID = 1, 2, 3
PSEUDO_FUNC, PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE = 4, 5, 6
PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2

FETCH: Final = 0x01


@dataclass(frozen=True, slots=True)
class Op:
    """One instruction.

    name: C enumerator without the OP_ prefix.  kind: what it does ("add", "jeq", "ldx", "call", ...).
    uses: the fields that carry operands, of "dsoi"; the others must be 0, or equal the discriminator.
    off, imm, src: the discriminator values that select this row among those of its opcode; None: free.
    nbytes: width of the operation (ALU, jumps) or of the memory access, in bytes; 0 where it has none.
    cpu: the first -mcpu version that has it.
    """

    name: str
    opcode: int
    kind: str
    uses: str
    nbytes: int = 0
    off: int | None = None
    imm: int | None = None
    src: int | None = None
    cpu: int = 1

    @property
    def cls(self) -> int:
        """Instruction class, the low three bits."""
        return self.opcode & 7


ALU_OPS: Final = {
    "add": 0x00, "sub": 0x10, "mul": 0x20, "div": 0x30, "or": 0x40, "and": 0x50, "lsh": 0x60,
    "rsh": 0x70, "mod": 0x90, "xor": 0xA0, "mov": 0xB0, "arsh": 0xC0,
}  # fmt: skip

JMP_OPS: Final = {
    "jeq": 0x10, "jgt": 0x20, "jge": 0x30, "jset": 0x40, "jne": 0x50, "jsgt": 0x60, "jsge": 0x70,
    "jlt": 0xA0, "jle": 0xB0, "jslt": 0xC0, "jsle": 0xD0,
}  # fmt: skip

ATOMIC_OPS: Final = {
    "atomic_add": 0x00, "atomic_or": 0x40, "atomic_and": 0x50, "atomic_xor": 0xA0,
    "atomic_fetch_add": 0x01, "atomic_fetch_or": 0x41, "atomic_fetch_and": 0x51,
    "atomic_fetch_xor": 0xA1, "atomic_xchg": 0xE1, "atomic_cmpxchg": 0xF1,
}  # fmt: skip

LOAD_ACQ: Final = 0x100
STORE_REL: Final = 0x110


def _alu_rows() -> list[Op]:
    rows = []
    for cls, width in ((ALU64, 64), (ALU, 32)):
        size = width // 8
        for kind, bits in ALU_OPS.items():
            v4 = kind in ("div", "mod", "mov")
            off = 0 if v4 else None
            rows.append(Op(f"{kind.upper()}{width}_K", cls | bits | K, kind, "di", size, 0 if v4 else None))
            rows.append(Op(f"{kind.upper()}{width}_X", cls | bits | X, kind, "ds", size, off))
        for kind, bits in (("sdiv", 0x30), ("smod", 0x90)):
            rows.append(Op(f"{kind.upper()}{width}_K", cls | bits | K, kind, "di", size, off=1, cpu=4))
            rows.append(Op(f"{kind.upper()}{width}_X", cls | bits | X, kind, "ds", size, off=1, cpu=4))
        for bits in (8, 16, 32)[: 3 if width == 64 else 2]:
            rows.append(Op(f"MOVSX{bits}_{width}", cls | 0xB0 | X, "movsx", "ds", size, off=bits, cpu=4))
        rows.append(Op(f"NEG{width}", cls | 0x80 | K, "neg", "d", size))
    for bits in (16, 32, 64):
        rows.append(Op(f"LE{bits}", ALU | 0xD0 | K, "le", "d", bits // 8, imm=bits))
        rows.append(Op(f"BE{bits}", ALU | 0xD0 | X, "be", "d", bits // 8, imm=bits))
        rows.append(Op(f"BSWAP{bits}", ALU64 | 0xD0 | K, "bswap", "d", bits // 8, imm=bits, cpu=4))
    return rows


def _jmp_rows() -> list[Op]:
    rows = [
        Op("JA", JMP | 0x00, "ja", "o"),
        Op("JA_LONG", JMP32 | 0x00, "gotol", "i", cpu=4),
        Op("MAY_GOTO", JMP | 0xE0, "may_goto", "o", src=0, cpu=4),
        Op("CALL_HELPER", JMP | 0x80, "call", "i", src=0),
        Op("CALL_LOCAL", JMP | 0x80, "call_local", "i", src=PSEUDO_CALL),
        Op("CALL_KFUNC", JMP | 0x80, "call_kfunc", "io", src=PSEUDO_KFUNC_CALL, cpu=3),
        Op("EXIT", JMP | 0x90, "exit", ""),
    ]
    for cls, width, cpu in ((JMP, 64, 1), (JMP32, 32, 3)):
        for kind, bits in JMP_OPS.items():
            v = max(cpu, 2) if kind in ("jlt", "jle", "jslt", "jsle") else cpu
            rows.append(Op(f"{kind.upper()}{width}_K", cls | bits | K, kind, "dio", width // 8, cpu=v))
            rows.append(Op(f"{kind.upper()}{width}_X", cls | bits | X, kind, "dso", width // 8, cpu=v))
    return rows


def _mem_rows() -> list[Op]:
    rows = []
    for size, name in SIZE_NAMES.items():
        nbytes = SIZE_BYTES[size]
        rows.append(Op(f"LDX_{name}", LDX | MEM | size, "ldx", "dso", nbytes))
        rows.append(Op(f"ST_{name}", ST | MEM | size, "st", "doi", nbytes))
        rows.append(Op(f"STX_{name}", STX | MEM | size, "stx", "dso", nbytes))
        rows.append(Op(f"LOAD_ACQ_{name}", STX | ATOMIC | size, "load_acq", "dso", nbytes, imm=LOAD_ACQ, cpu=4))
        rows.append(Op(f"STORE_REL_{name}", STX | ATOMIC | size, "store_rel", "dso", nbytes, imm=STORE_REL, cpu=4))
        if size != DW:
            rows.append(Op(f"LDXSX_{name}", LDX | MEMSX | size, "ldxsx", "dso", nbytes, cpu=4))
            rows.append(Op(f"LD_ABS_{name}", LD | ABS | size, "ld_abs", "i", nbytes))
            rows.append(Op(f"LD_IND_{name}", LD | IND | size, "ld_ind", "si", nbytes))
    for size in (W, DW):
        nbytes = SIZE_BYTES[size]
        for kind, imm in ATOMIC_OPS.items():
            cpu = 1 if kind == "atomic_add" else 3
            rows.append(Op(f"{kind.upper()}{nbytes * 8}", STX | ATOMIC | size, kind, "dso", nbytes, imm=imm, cpu=cpu))
    sources = ("LD_IMM64", "LD_MAP_FD", "LD_MAP_VALUE", "LD_BTF_ID", "LD_FUNC", "LD_MAP_IDX", "LD_MAP_IDX_VALUE")
    for src, name in enumerate(sources):
        rows.append(Op(name, LD | IMM | DW, "ld_imm64", "di", 8, src=src))
    return rows


OPS: Final[tuple[Op, ...]] = tuple(_alu_rows() + _jmp_rows() + _mem_rows())
BY_NAME: Final[dict[str, Op]] = {op.name: op for op in OPS}
BY_OPCODE: Final[dict[int, tuple[Op, ...]]] = {
    code: tuple(op for op in OPS if op.opcode == code) for code in sorted({op.opcode for op in OPS})
}


def find(opcode: int, src: int, off: int, imm: int) -> Op | None:
    """The row of an instruction by its opcode and discriminators; None if there is none."""
    for op in BY_OPCODE.get(opcode, ()):
        if (
            (op.off is None or op.off == off)
            and (op.imm is None or op.imm == imm)
            and (op.src is None or op.src == src)
        ):
            return op
    return None
