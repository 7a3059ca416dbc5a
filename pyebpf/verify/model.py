"""What the verifier's state is made of: constants, and the records behind accessors.

Interpreted, the classes here are the records; compiled, cmodel.pxd (generated from this file by
tools/gen_pxd.py) makes C structs of them and calloc'ed arrays of the arrays. Both are used in one way:

    r = regs + i        the i-th record of an array
    d[0] = s[0]         copy a record
    r.umin = 3          a field

A register array holds R0..R10 and behind them the stack slots: record 11 + n is the slot fp-8(n+1).
"""

from typing import Any, Final

from pyebpf.bits import i32, s32, s64, u8, u16, u32, u64
from pyebpf.isa import table

MAX_REG: Final = 11
FP: Final = 10
SLOT0: Final = 11
MAX_SLOTS: Final = 64
FRAME_RECORDS: Final = 75

# Register kinds; flags are or-ed to them.
NOT_INIT: Final = 0
SCALAR: Final = 1
CTX: Final = 2
MAP_PTR: Final = 3
MAP_VALUE: Final = 4
MAP_KEY: Final = 5
STACK: Final = 6
PKT_META: Final = 7
PKT: Final = 8
PKT_END: Final = 9
FLOW_KEYS: Final = 10
SOCK_COMMON: Final = 11
SOCKET: Final = 12
TCP_SOCK: Final = 13
TP_BUFFER: Final = 14
MEM: Final = 15
BUF: Final = 16
FUNC: Final = 17
KIND_MASK: Final = 0xFF
MAYBE_NULL: Final = 0x100
RDONLY: Final = 0x200

# In `id` of a scalar: equal to the id's value plus `off`, added in 64 bits or in 32 (the high half is then zero).
ADD_CONST64: Final = 1 << 31
ADD_CONST32: Final = 1 << 30
ADD_CONST: Final = ADD_CONST64 | ADD_CONST32
BEYOND_PKT_END: Final = -2  # `range` of a packet pointer known to be past the end
AT_PKT_END: Final = -1

# Instruction marks (Aux.marks)
PRUNE_POINT: Final = 1
JMP_POINT: Final = 2
FORCE_CHECKPOINT: Final = 4
CALLS_CALLBACK: Final = 8
SEEN: Final = 16
TOOK_TRUE: Final = 32
TOOK_FALSE: Final = 64

# Flags of a history entry: [ stack access:1 | spi:6 | frame:3 ]
HIST_FRAME: Final = 7
HIST_SPI_SHIFT: Final = 3
HIST_STACK: Final = 512
HIST_DST_STACK: Final = 1024
HIST_SRC_STACK: Final = 2048

MAX_VAR_OFF: Final = 1 << 29
MAX_PACKET_OFF: Final = 0xFFFF
MAX_LINKED: Final = 6

ARGS: Final = 0x3E  # R1..R5 as a mask
GIVE_UP: Final = 1

EINVAL: Final = 22
EACCES: Final = 13
EPERM: Final = 1
E2BIG: Final = 7
EFAULT: Final = 14
EBADF: Final = 9
EPROTO: Final = 71
ENOTSUPP: Final = 524

EXACT: Final = 0
NOT_EXACT: Final = 1
RANGE_WITHIN: Final = 2

# Opcode parts, from the instruction table.
C_LD: Final = table.LD
C_LDX: Final = table.LDX
C_ST: Final = table.ST
C_STX: Final = table.STX
C_ALU: Final = table.ALU
C_JMP: Final = table.JMP
C_JMP32: Final = table.JMP32
C_ALU64: Final = table.ALU64
SRC_X: Final = table.X
M_IMM: Final = table.IMM
M_ABS: Final = table.ABS
M_IND: Final = table.IND
M_MEM: Final = table.MEM
M_MEMSX: Final = table.MEMSX
M_ATOMIC: Final = table.ATOMIC
SZ_DW: Final = table.DW
ADD: Final = table.ALU_OPS["add"]
SUB: Final = table.ALU_OPS["sub"]
MUL: Final = table.ALU_OPS["mul"]
DIV: Final = table.ALU_OPS["div"]
OR: Final = table.ALU_OPS["or"]
AND: Final = table.ALU_OPS["and"]
LSH: Final = table.ALU_OPS["lsh"]
RSH: Final = table.ALU_OPS["rsh"]
MOD: Final = table.ALU_OPS["mod"]
XOR: Final = table.ALU_OPS["xor"]
MOV: Final = table.ALU_OPS["mov"]
ARSH: Final = table.ALU_OPS["arsh"]
NEG: Final = table.BY_NAME["NEG64"].opcode & 0xF0
END: Final = table.BY_NAME["LE16"].opcode & 0xF0
JA: Final = 0x00
JEQ: Final = table.JMP_OPS["jeq"]
JGT: Final = table.JMP_OPS["jgt"]
JGE: Final = table.JMP_OPS["jge"]
JSET: Final = table.JMP_OPS["jset"]
JNE: Final = table.JMP_OPS["jne"]
JSGT: Final = table.JMP_OPS["jsgt"]
JSGE: Final = table.JMP_OPS["jsge"]
JCALL: Final = 0x80
JEXIT: Final = 0x90
JLT: Final = table.JMP_OPS["jlt"]
JLE: Final = table.JMP_OPS["jle"]
JSLT: Final = table.JMP_OPS["jslt"]
JSLE: Final = table.JMP_OPS["jsle"]
JCOND: Final = 0xE0
MAY_GOTO: Final = table.BY_NAME["MAY_GOTO"].opcode
NOT_JSET: Final = table.JMP_OPS["jset"] | table.X  # "no common bit": what JSET not taken tells
A_FETCH: Final = table.FETCH
A_XCHG: Final = table.ATOMIC_OPS["atomic_xchg"]
A_CMPXCHG: Final = table.ATOMIC_OPS["atomic_cmpxchg"]
A_LOAD_ACQ: Final = table.LOAD_ACQ
A_STORE_REL: Final = table.STORE_REL
S_CALL: Final = table.PSEUDO_CALL
S_KFUNC: Final = table.PSEUDO_KFUNC_CALL
S_FUNC: Final = table.PSEUDO_FUNC

MAX_FRAMES: Final = 8
ID_MAP_SIZE: Final = 600
MAIN_CALLSITE: Final = -1


class Reg:
    """A register's or a stack slot's abstract value.

    kind: with flags.  off: the fixed part of a pointer's offset, or ADD_CONST's delta.
    umin..s32max, tv, tm: bounds and tnum (value, mask) of a scalar or of a pointer's variable offset.
    id: equal ids, equal values (scalars), same null-ness or packet range (pointers).
    range: packet bytes known readable.  map: index of the map, -1.  size: bytes of MEM; callback's instruction of FUNC.
    spill, misc, zero: kinds of a slot's bytes, bit 7 the lowest address; none set: not written.
    """

    __slots__ = (
        "frameno", "id", "kind", "map", "map_uid", "misc", "off", "precise", "range", "ref_id", "s32max", "s32min",
        "size", "smax", "smin", "spill", "tm", "tv", "u32max", "u32min", "umax", "umin", "zero",
    )  # fmt: skip

    umin: u64
    umax: u64
    smin: s64
    smax: s64
    tv: u64
    tm: u64
    u32min: u32
    u32max: u32
    s32min: s32
    s32max: s32
    kind: i32
    off: i32
    id: u32
    ref_id: u32
    range: i32
    map: i32
    map_uid: u32
    size: u32
    frameno: u8
    precise: u8
    spill: u8
    misc: u8
    zero: u8

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def __getitem__(self, index: int) -> "Reg":
        return self

    def __setitem__(self, index: int, source: "Reg") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(source, name))


class Ins:
    """A decoded instruction slot. second: the high half of a 64-bit constant."""

    __slots__ = ("cls", "code", "dst", "imm", "off", "second", "src", "valid")

    code: u8
    cls: u8
    dst: u8
    src: u8
    off: i32
    imm: i32
    second: u8
    valid: u8

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class Aux:
    """What is known of an instruction.

    live: registers read after this point, before being written.  marks: PRUNE_POINT and its like.
    ptr, off, map_idx: facts of memory accesses and helper calls, see facts.py; `ptr` 0 not seen, 255 mixed.
    scc: number of its strongly connected component, 0 outside loops.
    """

    __slots__ = ("ctx_use", "live", "map_idx", "marks", "off", "ptr", "scc", "subprog")

    live: u16
    marks: u16
    ptr: i32
    off: i32
    map_idx: i32
    scc: i32
    subprog: i32
    ctx_use: u8

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class Hist:
    """A step of a path's history: instruction, the one before it, stack access, linked registers, the step before."""

    __slots__ = ("flags", "idx", "linked", "parent", "prev")

    idx: i32
    prev: i32
    flags: i32
    parent: i32
    linked: u64

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class Records(list[Any]):
    """An array of records, made when first used."""

    __slots__ = ("make",)

    def __init__(self, make: type, n: int) -> None:
        super().__init__([None] * n)
        self.make = make

    def __add__(self, index: int) -> Any:  # type: ignore[override]
        record = self[index]
        if record is None:
            record = self[index] = self.make()
        return record


class U64Array(list[int]):
    """Plain numbers."""


RegP = Any
InsP = Any
AuxP = Any
HistP = Any
U64P = Any


def alloc_regs(n: int) -> RegP:
    """n registers, all zero."""
    return Records(Reg, n)


def alloc_ins(n: int) -> InsP:
    """n instructions."""
    return Records(Ins, n)


def alloc_aux(n: int) -> AuxP:
    """n instruction records."""
    return Records(Aux, n)


def grow_hist(old: HistP, n: int) -> HistP:
    """The history array with room for n steps."""
    new = Records(Hist, n)
    new[: len(old)] = old
    return new


def new_hist(n: int) -> HistP:
    """n steps."""
    return Records(Hist, n)


def alloc_u64(n: int) -> U64P:
    """n zeros."""
    return U64Array([0] * n)


def free_array(array: Any) -> None:
    """Give an array back."""


def copy_regs(dst: RegP, src: RegP, n: int) -> None:
    """Copy n records."""
    for i in range(n):
        if src[i] is None:
            dst[i] = None
        else:
            (dst + i)[0] = src[i]


def clear_reg(reg: RegP) -> None:
    """All fields zero: NOT_INIT."""
    for name in Reg.__slots__:
        setattr(reg, name, 0)


def clear_regs(regs: RegP, start: int, end: int) -> None:
    """Records start..end-1 all zero."""
    for i in range(start, end):
        regs[i] = None


def same_reg(a: RegP, b: RegP) -> bool:
    """Whether two records are one and the same place."""
    return a is b
