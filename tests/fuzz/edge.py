"""Random programs near the edge of what a verifier accepts: memory.

Each piece is a small idiom (bounds check and access, null check, spill and fill, ...) whose numbers are right, or
just wrong with a probability that a program draws at its start. Pieces of calls and encodings: edge_calls.py.
Maps, by index: those of the engine's generator, then the rest of MAPS.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pyebpf.isa import ctors as c
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn
from pyebpf.isa.table import ALU_OPS, ATOMIC_OPS, JMP_OPS, PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE
from pyebpf.spec.kinds import BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, ProgType
from tests.engine import gen
from tests.engine.cases import IMMEDIATES
from tests.engine.gen import CTX, SIZES, SLOTS, Label

MAPS: tuple[tuple[str, int, int, int, int], ...] = (
    *((*row, 0) for row in gen.MAPS),
    ("percpu_array", 4, 24, 4, 0),
    ("percpu_hash", 8, 16, 16, 0),
    ("prog_array", 4, 4, 4, 0),
    ("stack_trace", 4, 8 * 16, 16, 0),
    ("array", 4, 32, 1, BPF_F_RDONLY_PROG),
    ("hash", 16, 64, 32, 0),
    ("array", 4, 32, 1, BPF_F_WRONLY_PROG),
)
"""(type, key size, value size, max_entries, flags) by index."""
PROG_ARRAY, STACK_TRACE, READ_ONLY = 5, 6, 7
LOOKUP = (0, 1, 2, 3, 4, 8)
TYPES = (
    ProgType.XDP, ProgType.SCHED_CLS, ProgType.SOCKET_FILTER, ProgType.SYSCALL, ProgType.TRACEPOINT, ProgType.KPROBE,
    ProgType.RAW_TRACEPOINT, ProgType.PERF_EVENT, ProgType.FLOW_DISSECTOR,
)  # fmt: skip
DATA = {ProgType.XDP: (0, 4), ProgType.SCHED_CLS: (76, 80), ProgType.FLOW_DISSECTOR: (76, 80)}
CTX_SIZES = {
    ProgType.XDP: 24, ProgType.SCHED_CLS: 192, ProgType.SOCKET_FILTER: 192, ProgType.FLOW_DISSECTOR: 192,
    ProgType.KPROBE: 168, ProgType.TRACEPOINT: 64, ProgType.RAW_TRACEPOINT: 96, ProgType.PERF_EVENT: 184,
    ProgType.SYSCALL: 256,
}  # fmt: skip


@dataclass(frozen=True)
class EdgeProgram:
    """A program and the seed it comes from."""

    seed: int
    type: ProgType
    insns: tuple[Insn, ...]


class Memory(gen.Generator):
    """Pieces about memory and ranges."""

    def __init__(self, seed: int, type: ProgType) -> None:
        super().__init__(seed, type, size=12)
        self.slip = self.r.choice((0.0, 0.03, 0.03, 0.1, 0.25))
        self.pieces: list[tuple[int, Callable[[], None]]] = [
            (12, self.range_edge), (8, self.value_edge), (6, self.stack_edge), (5, self.spill_edge),
            (5, self.pointer_alu), (4, self.context_edge), (4, self.atomic_edge), (4, self.direct_value),
            (3, self.read_only), (4, self.branch_join), (3, self.stack_range),
        ]  # fmt: skip
        if type in DATA:
            self.pieces.append((12, self.packet_edge))

    # Right or just wrong

    def bad(self, factor: float = 1.0) -> bool:
        """Go wrong here."""
        return self.r.random() < self.slip * factor

    def near(self, value: int, step: int = 1) -> int:
        """The value, or one nearby."""
        return value + step * self.r.choice((-8, -2, -1, 1, 1, 2, 8)) if self.bad() else value

    def all_scalars(self) -> None:
        """Every register a scalar again."""
        for r in range(9):
            if r not in self.locked:
                slot = c.LDX_MEM(c.DW, r, 10, self.r.choice(SLOTS))
                self.emit(slot if self.r.random() < 0.8 else c.MOV64_IMM(r, self.imm()))

    def load_or_store(self, base: int, off: int, size: int) -> None:
        """One access, of any form."""
        dst, src = self.r.choice((1, 4, 5, 7)), self.r.choice((5, 7, 8))
        forms = [c.LDX_MEM(size, dst, base, off), c.STX_MEM(size, base, src, off), c.ST_MEM(size, base, off, 7)]
        if self.r.random() < 0.1 and size != c.DW:
            forms = [c.LDX_MEMSX(size, dst, base, off)]
        self.emit(self.r.choice(forms))

    def jump(self, kind: str, dst: int, right: int, label: Label, *, reg: bool = False, wide: bool = True) -> None:
        """A conditional jump by the kind's name."""
        op = JMP_OPS[kind]
        make = (c.JMP_REG if wide else c.JMP32_REG) if reg else (c.JMP_IMM if wide else c.JMP32_IMM)
        self.code.to(make(op, dst, right, 0), label)

    # Packets

    def packet_edge(self) -> None:
        """data + n compared with data_end in one of its forms, then an access about there."""
        data, data_end = DATA[self.type]
        if self.bad(0.3):
            data, data_end = data_end, data
        size, out = self.any_size(), self.label()
        nbytes = self.r.randint(SIZES[size], 40)
        self.emit(c.LDX_MEM(c.W, 2, CTX, data), c.LDX_MEM(c.W, 3, CTX, data_end))
        if self.r.random() < 0.4:
            self.index(4, self.r.choice((7, 31, 255, 0xFFFF)))
            self.emit(c.ALU64_REG(c.ADD, 2, 4))
        if self.r.random() < 0.3:
            self.emit(c.ALU64_IMM(c.ADD, 2, self.near(self.r.choice((0, 4, 14)))))
        self.emit(c.MOV64_REG(6, 2), c.ALU64_IMM(c.ADD, 6, self.near(nbytes)))
        self.packet_check(out)
        if self.bad(0.5):
            self.emit(c.ALU64_IMM(c.ADD, 2, 1))
        self.load_or_store(2, self.near(self.r.choice((nbytes - SIZES[size], 0))), size)
        self.code.place(out)
        self.all_scalars()

    def packet_check(self, out: Label) -> None:
        """r6 (data + n) against r3 (data_end): to `out` when it does not fit."""
        kind, left, right = self.r.choice((("jgt", 6, 3), ("jge", 6, 3), ("jlt", 3, 6), ("jle", 3, 6)))
        if self.bad(0.5):
            kind, left, right = self.r.choice((("jlt", 6, 3), ("jgt", 3, 6), ("jsgt", 6, 3), ("jeq", 6, 3)))
        if self.r.random() < 0.3:  # the other way round: jump over the way out
            opposite = {"jgt": "jle", "jge": "jlt", "jlt": "jge", "jle": "jgt"}.get(kind, kind)
            fits = self.label()
            self.jump(opposite, left, right, fits, reg=True)
            self.code.to(c.JMP_A(0), out)
            self.code.place(fits)
            return
        if self.bad(0.3):
            return
        self.jump(kind, left, right, out, reg=True, wide=not self.bad(0.2))

    # Ranges

    def index(self, reg: int, limit: int) -> None:
        """`reg` an unknown scalar of 0..limit by a mask."""
        self.emit(c.LDX_MEM(c.DW, reg, 10, self.r.choice(SLOTS)))
        self.emit((c.ALU64_IMM if self.r.random() < 0.7 else c.ALU32_IMM)(c.AND, reg, limit))

    def bound(self, reg: int, limit: int, out: Label) -> None:
        """`reg` made 0..limit in one of many ways, or nearly."""
        way, wide = self.r.randrange(8), self.r.random() < 0.6
        if self.bad(0.4):
            return
        if way == 0:
            self.emit((c.ALU64_IMM if wide else c.ALU32_IMM)(c.AND, reg, self.near((1 << limit.bit_length()) // 2 - 1)))
        elif way == 1:
            self.emit((c.ALU64_IMM if wide else c.ALU32_IMM)(c.MOD, reg, max(1, self.near(limit + 1))))
        elif way == 2:
            self.jump("jgt", reg, self.near(limit), out, wide=wide)
            if not wide:
                self.emit(c.MOV32_REG(reg, reg))
        elif way == 3:
            self.jump("jsgt", reg, self.near(limit), out, wide=wide)
            if not self.bad():
                self.jump("jslt", reg, 0, out, wide=wide)
            if not wide:
                self.emit(c.MOV32_REG(reg, reg))
        elif way == 4:
            self.emit(c.MOV64_IMM(7, self.near(limit)))
            self.jump("jge" if self.bad() else "jgt", reg, 7, out, reg=True)
        elif way == 5:
            shift = 64 - limit.bit_length() + 1
            self.emit(
                c.ALU64_IMM(c.LSH, reg, shift - 1), c.ALU64_IMM(self.r.choice((c.RSH, c.RSH, c.ARSH)), reg, shift)
            )
        elif way == 6:
            fits = self.label()
            self.jump("jle", reg, self.near(limit), fits, wide=True)
            self.emit(c.MOV64_IMM(reg, self.near(limit)))
            self.code.place(fits)
        else:
            self.emit(c.MOV64_REG(7, reg))
            self.jump("jgt", 7, self.near(limit), out)

    def arithmetic(self, reg: int, other: int) -> None:
        """One random operation on the scalar, with a small constant or another scalar."""
        kind = self.r.choice([k for k in ALU_OPS if k != "mov"])
        wide, op = self.r.random() < 0.6, ALU_OPS[kind]
        imm = self.r.choice((*IMMEDIATES, 3, 4, 12, 15, 16, 64))
        if kind in ("lsh", "rsh", "arsh"):
            imm = self.r.randrange(64 if wide else 32)
        if kind in ("div", "mod"):
            imm = imm or 5
        off = self.r.randrange(2) if kind in ("div", "mod") else 0
        choice = self.r.random()
        if choice < 0.55:
            self.emit((c.ALU64_IMM if wide else c.ALU32_IMM)(op, reg, imm, off))
        elif choice < 0.85:
            self.emit((c.ALU64_REG if wide else c.ALU32_REG)(op, reg, other, off))
        else:
            extras = [c.NEG64(reg), c.NEG32(reg), c.MOVSX64_REG(reg, reg, self.r.choice((8, 16, 32)))]
            extras += [c.MOVSX32_REG(reg, reg, self.r.choice((8, 16))), c.BSWAP(reg, self.r.choice((16, 32, 64)))]
            extras += [c.ENDIAN_BE(reg, 16), c.ENDIAN_LE(reg, 32), c.MOV32_REG(reg, reg), c.MOV32_REG(reg, other)]
            self.emit(self.r.choice(extras))

    def range_edge(self) -> None:
        """Arithmetic and comparisons on an unknown scalar, then its use as an index of a 256-byte value."""
        out, size = self.label(), self.any_size()
        self.emit(c.LDX_MEM(self.any_size(), 4, 10, SLOTS[0] if self.r.random() < 0.5 else SLOTS[1]))
        self.index(5, self.r.choice((1, 7, 15, 63, 255)))
        before = self.r.random() < 0.6
        limit = self.r.choice((7, 15, 31, 63, 127, 248))
        if before:
            self.bound(4, limit, out)
        for _ in range(self.r.randint(0, 3)):
            if self.r.random() < 0.25:
                self.jump(
                    self.r.choice(list(JMP_OPS)),
                    4,
                    5 if self.r.random() < 0.3 else self.r.choice(IMMEDIATES),
                    out,
                    reg=False,
                    wide=self.r.random() < 0.6,
                )
            else:
                self.arithmetic(4, 5)
        if not before or self.r.random() < 0.85:
            self.bound(4, limit, out)
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, 0, self.r.choice((0, 0, 8))), c.ALU64_REG(c.ADD, 2, 4))
        self.load_or_store(2, self.near(self.r.choice((0, 255 - limit - SIZES[size] - 8))), size)
        self.code.place(out)
        self.all_scalars()

    def branch_join(self) -> None:
        """Two paths with different values of a register meet, then use it."""
        other, end = self.label(), self.label()
        a, b = self.r.choice((0, 8, 100, 248)), self.near(self.r.choice((0, 4, 200, 248)))
        self.condition(other)
        self.emit(c.MOV64_IMM(4, a))
        self.code.to(c.JMP_A(0), end)
        self.code.place(other)
        self.emit(c.MOV64_IMM(4, b) if not self.bad(0.4) else c.LDX_MEM(c.B, 4, 10, SLOTS[2]))
        self.code.place(end)
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, 0, 0), c.ALU64_REG(c.ADD, 2, 4))
        self.load_or_store(2, self.near(0), self.any_size())
        self.all_scalars()

    # Map values

    def lookup_of(self, index: int) -> None:
        """r0 = map_lookup_elem(map, key): a key of the right size on the stack."""
        for at in range(0, MAPS[index][1], 4):
            self.emit(c.ST_MEM(c.W, 10, -16 + at, self.r.randrange(4)))
        self.emit(c.MOV64_REG(2, 10), c.ALU64_IMM(c.ADD, 2, self.near(-16, 4)))
        self.emit(c.LD_IMM64_RAW(1, PSEUDO_MAP_IDX, index), c.CALL(HELPER_IDS["map_lookup_elem"]))

    def null_check(self, reg: int, out: Label) -> None:
        """A null check in one of its forms, or nearly one."""
        if self.bad(0.5):
            return
        if self.bad(0.3):
            self.jump("jne", reg, 0, out)
        elif self.r.random() < 0.7:
            self.jump("jeq", reg, 0, out)
        else:
            good = self.label()
            self.jump("jne", reg, 0, good)
            self.code.to(c.JMP_A(0), out)
            self.code.place(good)

    def value_edge(self) -> None:
        """Lookup, null check, access of a value near its end; the pointer perhaps copied or moved first."""
        index, out, size = self.r.choice(LOOKUP), self.label(), self.any_size()
        value_size = MAPS[index][2]
        self.lookup_of(index)
        self.emit(c.MOV64_REG(6, 0))
        checked, used = self.r.choice(((0, 0), (0, 6), (6, 0), (6, 6)))
        if self.bad(0.2):
            self.emit(c.ALU64_IMM(c.ADD, used, 4))
        self.null_check(checked, out)
        for r in (4, 5, 7):
            self.emit(c.MOV64_IMM(r, r) if not self.bad(0.1) else c.MOV64_REG(8, 8))
        if self.r.random() < 0.4:
            self.emit(c.LDX_MEM(c.DW, 4, 10, SLOTS[3]))
            room = max(1, value_size - SIZES[size])
            self.bound(4, room, out)
            self.emit(c.ALU64_REG(self.r.choice((c.ADD, c.ADD, c.ADD, c.SUB)) if self.bad() else c.ADD, used, 4))
            self.load_or_store(used, self.near(0), size)
        else:
            self.load_or_store(used, self.near(value_size - SIZES[size]), size)
        self.code.place(out)
        self.all_scalars()

    def direct_value(self) -> None:
        """The address of an array's value by PSEUDO_MAP_IDX_VALUE, near its end."""
        index = self.r.choice((0, 0, READ_ONLY, 9)) if not self.bad(0.3) else self.r.randrange(len(MAPS) + 1)
        size = self.any_size()
        limit = MAPS[index][2] if index < len(MAPS) else 8
        at = self.near(self.r.choice((0, limit - 8)), 8)
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, index, at & 0xFFFFFFFF))
        if index == 9 and not self.bad():
            self.emit(c.STX_MEM(size, 2, 5, self.near(0)))
        elif index == READ_ONLY and not self.bad():
            self.emit(c.LDX_MEM(size, 4, 2, self.near(0)))
        else:
            self.load_or_store(2, self.near(8 - SIZES[size]), size)
        self.all_scalars()

    def read_only(self) -> None:
        """A constant of a read-only array, as an index or for a branch."""
        out = self.label()
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, READ_ONLY, 0))
        self.emit(c.LDX_MEM(self.any_size(), 4, 2, 8 * self.r.randrange(4)))
        self.jump(self.r.choice(("jeq", "jgt", "jne")), 4, self.r.choice((0, 1, 9)), out)
        if self.bad():
            self.emit(c.STX_MEM(c.DW, 2, 4, 0))
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, 0, 0))
        self.bound(4, 240, out)
        self.emit(c.ALU64_REG(c.ADD, 2, 4), c.LDX_MEM(c.DW, 4, 2, 0))
        self.code.place(out)
        self.all_scalars()

    # The stack

    def stack_edge(self) -> None:
        """A write, then a read that overlaps it, somewhere in the part that the prologue left alone."""
        size, again = self.any_size(), self.any_size()
        at = self.r.choice((-152, -160, -200, -256, -504, -512))
        at += self.r.randrange(0, 8, SIZES[size])
        at = self.near(at, self.r.choice((1, 8)))
        if self.bad(0.2):
            at = self.r.choice((0, 4, 8, -516, -520, 1))
        self.emit(c.STX_MEM(size, 10, self.r.randrange(9), at) if self.r.random() < 0.5 else c.ST_MEM(size, 10, at, 3))
        if self.r.random() < 0.3:
            self.emit(c.ST_MEM(c.B, 10, at + self.r.randrange(SIZES[size]), 1))
        narrower = min(again, size, key=lambda s: SIZES[s]) if not self.bad() else again
        self.emit(c.LDX_MEM(narrower, 4, 10, at if not self.bad() else at // 8 * 8))
        self.all_scalars()

    def stack_range(self) -> None:
        """A stack access at a variable offset."""
        out, size = self.label(), self.any_size()
        self.emit(c.LDX_MEM(c.DW, 4, 10, SLOTS[1]))
        self.bound(4, self.r.choice((7, 31, 63)), out)
        if self.r.random() < 0.5:
            self.emit(c.ALU64_IMM(c.AND, 4, 0xF8))
        self.emit(c.MOV64_REG(2, 10), c.ALU64_IMM(c.ADD, 2, self.near(self.r.choice((-80, -136)), 8)))
        self.emit(c.ALU64_REG(c.ADD, 2, 4))
        self.emit(c.LDX_MEM(size, 4, 2, 0) if self.r.random() < 0.6 else c.ST_MEM(size, 2, 0, 1))
        self.code.place(out)
        self.all_scalars()

    def pointer(self, reg: int) -> int:
        """A pointer of some kind in `reg`; how many bytes it reaches."""
        kind = self.r.randrange(5)
        if kind == 0:
            self.emit(c.LD_IMM64_RAW(reg, PSEUDO_MAP_IDX_VALUE, 0, 0))
            return 256
        if kind == 1:
            self.emit(c.MOV64_REG(reg, 10), c.ALU64_IMM(c.ADD, reg, SLOTS[-1]))
            return 8 * len(SLOTS)
        if kind == 2:
            self.emit(c.MOV64_REG(reg, CTX))
            return CTX_SIZES[self.type]
        if kind == 3 and self.type in DATA:
            self.emit(c.LDX_MEM(c.W, reg, CTX, DATA[self.type][self.r.randrange(2)]))
            return 0
        self.emit(c.LD_IMM64_RAW(reg, PSEUDO_MAP_IDX, self.r.randrange(len(MAPS))))
        return 0

    def spill_edge(self) -> None:
        """A pointer or scalar to the stack and back, perhaps damaged on the way, then used."""
        reach = self.pointer(2)
        slot = self.near(-8, 4)
        self.emit(c.STX_MEM(c.DW if not self.bad(0.5) else c.W, 10, 2, slot))
        if self.bad():
            self.emit(c.ST_MEM(self.any_size(), 10, slot + self.r.choice((0, 4)), 0))
        if self.r.random() < 0.3:
            self.emit(c.MOV64_REG(1, 8), c.MOV64_REG(2, 7))
        self.emit(c.LDX_MEM(c.DW if not self.bad(0.5) else self.any_size(), 6, 10, slot))
        if reach and reach != CTX_SIZES[self.type]:
            self.load_or_store(6, self.near(reach - 8, 8), c.DW)
        self.all_scalars()

    def pointer_alu(self) -> None:
        """Arithmetic on a pointer: adding what is known is fine, most else is not."""
        reach = self.pointer(2)
        if self.bad():
            wide = self.r.random() < 0.7
            make = self.r.choice((c.ALU64_REG, c.ALU64_IMM)) if wide else self.r.choice((c.ALU32_REG, c.ALU32_IMM))
            kind = self.r.choice([k for k in ALU_OPS if k not in ("div", "mod")])
            self.emit(make(ALU_OPS[kind], 2, self.r.choice((4, 5)), 0))
        elif reach and reach != CTX_SIZES[self.type]:
            self.emit(
                c.ALU64_IMM(self.r.choice((c.ADD, c.SUB)), 2, self.r.choice((0, 8, 16, 1 << 29)) if self.bad() else 8)
            )
        if self.bad(0.5):
            self.emit(c.MOV64_REG(4, 2), c.ALU64_REG(c.SUB, 4, 2), c.NEG64(2))
        if self.bad(0.5):
            self.emit(c.MOV32_REG(2, 2))
        if reach and reach != CTX_SIZES[self.type] and self.r.random() < 0.6:
            self.emit(c.LDX_MEM(c.B, 4, 2, self.near(8)))
        self.all_scalars()

    # Contexts

    def context_edge(self) -> None:
        """A field of the context: any offset, size and direction, mostly ones that are there."""
        size = self.any_size() if self.bad() or self.type not in DATA else c.W
        if self.type == ProgType.RAW_TRACEPOINT and not self.bad():
            size = c.DW
        limit = self.near(CTX_SIZES[self.type], 8)
        off = self.r.randrange(0, max(8, limit), SIZES[size])
        if self.bad(0.5):
            off += self.r.choice((-1, 1, 2, -limit))
        if self.r.random() < 0.75:
            self.emit(c.LDX_MEM(size, 4, CTX, off))
        elif self.type == ProgType.SYSCALL or self.bad(3):
            self.emit(c.STX_MEM(size, CTX, 5, off) if self.r.random() < 0.5 else c.ST_MEM(size, CTX, off, 1))
        self.all_scalars()

    def atomic_edge(self) -> None:
        """An atomic on stack, map value or what must not have one."""
        reach = self.pointer(2)
        size = self.r.choice((c.W, c.DW)) if not self.bad() else self.any_size()
        if (not reach or reach == CTX_SIZES[self.type]) and not self.bad(2):
            return self.all_scalars()
        op = self.r.choice([*ATOMIC_OPS.values(), c.LOAD_ACQ, c.STORE_REL])
        if self.bad(0.3):
            op = self.r.choice((0x10, 0x51, 0xE0, 0xF0, 0x101, 0x111, 0x200))
        at = self.near(8, self.r.choice((1, 4)))
        if op == c.LOAD_ACQ:
            self.emit(c.ATOMIC_OP(size, op, 5, 2, at))
        else:
            self.emit(c.ATOMIC_OP(size, op, 2, 5 if not self.bad(0.3) else 2, at))
        return self.all_scalars()
