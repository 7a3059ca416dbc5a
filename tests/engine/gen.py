"""Random programs that are safe by construction, so that nearly all of them are accepted.

Between statements r0 to r8 hold scalars, r9 the context; pointers live within a statement. A program ends by
writing r0 to r8 to its first map, so whatever it computed is seen. Maps, by index:
    0 ARRAY of one 256-byte value      1 ARRAY of 8 16-byte values      2 HASH, u32 to u64, 16 elements
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pyebpf.isa import ctors as c
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn, Nested, flatten
from pyebpf.isa.table import ALU_OPS, ATOMIC_OPS, JMP_OPS, PSEUDO_FUNC, PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE
from pyebpf.spec.helpers import HELPERS
from pyebpf.spec.kinds import ProgType
from tests.engine.cases import IMMEDIATES, VALUES

MAPS = (("array", 4, 256, 1), ("array", 4, 16, 8), ("hash", 4, 8, 16))
"""(type, key size, value size, max_entries) of the maps by index."""
CTX_SIZE = 256
CTX = 9
SLOTS = tuple(range(-16, -144, -8))
"""Stack slots that hold scalars; fp-8 is scratch for keys, the rest is free."""
KEY = -8
DATA_FIELDS = {ProgType.XDP: (0, 4), ProgType.SCHED_CLS: (76, 80)}
"""Offsets of data and data_end in the context, where programs read packets directly."""
SIZES = {c.B: 1, c.H: 2, c.W: 4, c.DW: 8}
NATIVE = {h.name for h in HELPERS if h.native}
"""Helpers that the engines have."""
BINARY = [k for k in ALU_OPS if k != "mov"]


@dataclass(frozen=True)
class Program:
    """A program, its input, and the seed it comes from. `arrays`: the value of map 0, then those of map 1."""

    seed: int
    type: ProgType
    insns: tuple[Insn, ...]
    data: bytes
    ctx: bytes | None
    arrays: tuple[bytes, ...]


class Label:
    """A place in the code; `uses` are the slots that jump there."""

    def __init__(self) -> None:
        self.at = -1
        self.uses: list[tuple[int, str]] = []


@dataclass
class Code:
    """Slots under construction."""

    slots: list[Insn] = field(default_factory=list)

    def put(self, insns: Nested) -> None:
        """Append."""
        self.slots += flatten(insns)

    def to(self, insn: Insn, label: Label, what: str = "off") -> None:
        """Append a jump or call (`what`: "off", "imm") to a label."""
        label.uses.append((len(self.slots), what))
        self.slots.append(insn)

    def place(self, label: Label) -> None:
        """The label is here."""
        label.at = len(self.slots)

    def finish(self, labels: list[Label]) -> tuple[Insn, ...]:
        """Distances in; the program."""
        for label in labels:
            for index, what in label.uses:
                i, distance = self.slots[index], label.at - index - 1
                off, imm = (distance, i.imm) if what == "off" else (i.off, distance)
                self.slots[index] = Insn(i.opcode, i.dst, i.src, off, imm)
        return tuple(self.slots)


class Generator:
    """One program from one seed."""

    def __init__(self, seed: int, type: ProgType = ProgType.SYSCALL, size: int = 40) -> None:
        self.seed, self.type = seed, type
        self.r = random.Random(f"{type.name}-{seed}")
        self.code = Code()
        self.labels: list[Label] = []
        self.locked: set[int] = set()
        self.functions: list[tuple[Label, bool]] = []
        self.callbacks: list[Label] = []
        self.depth = 0
        self.in_function = False
        self.budget = self.r.randint(size // 4, size)
        self.statements: list[tuple[int, Callable[[], None]]] = [
            (30, self.alu), (6, self.constant), (4, self.unary), (12, self.stack), (4, self.stack_variable),
            (7, self.atomic_stack), (10, self.branch), (3, self.loop), (4, self.call), (8, self.array_value),
            (5, self.lookup), (3, self.hash_update), (2, self.hash_delete), (10, self.context), (2, self.leave),
            (2, self.spill_pointer), (2, self.may_goto), (1, self.jump_over),
        ]  # fmt: skip
        if "loop" in NATIVE:
            self.statements.append((2, self.bpf_loop))
        if type in DATA_FIELDS:
            self.statements.append((12, self.packet))
        if type in (ProgType.SOCKET_FILTER, ProgType.SCHED_CLS):
            self.statements.append((5, self.legacy_load))
            if "skb_load_bytes" in NATIVE:
                self.statements.append((3, self.load_bytes))

    # Choices

    def reg(self, *but: int) -> int:
        """A scalar register that may be written."""
        return self.r.choice([r for r in range(9) if r not in self.locked and r not in but])

    def source(self, *but: int) -> int:
        """A scalar register to read."""
        return self.r.choice([r for r in range(9) if r not in but])

    def imm(self) -> int:
        """A constant, often an edge."""
        return self.r.choice(IMMEDIATES) if self.r.random() < 0.7 else self.r.randint(-(1 << 31), (1 << 31) - 1)

    def label(self) -> Label:
        """A new one."""
        self.labels.append(Label())
        return self.labels[-1]

    def emit(self, *insns: Insn | c.Wide) -> None:
        """Append."""
        self.code.put(insns)

    def any_size(self) -> int:
        """B, H, W or DW."""
        return self.r.choice(list(SIZES))

    # Statements

    def statement(self) -> None:
        """One of them, by weight."""
        weights, actions = zip(*self.statements, strict=True)
        self.budget -= 1
        self.r.choices(actions, weights)[0]()

    def block(self, length: int) -> None:
        """Some statements."""
        self.depth += 1
        for _ in range(length):
            self.statement()
        self.depth -= 1

    def alu(self) -> None:
        """dst op= src or constant, 64 or 32 bits, signed division included."""
        kind, dst = self.r.choice(BINARY), self.reg()
        wide, op = self.r.random() < 0.6, ALU_OPS[kind]
        off = self.r.randint(0, 1) if kind in ("div", "mod") else 0
        if self.r.random() < 0.5:
            self.emit((c.ALU64_REG if wide else c.ALU32_REG)(op, dst, self.source(), off))
            return
        imm = self.imm()
        if kind in ("lsh", "rsh", "arsh"):
            imm = self.r.randrange(64 if wide else 32)
        if kind in ("div", "mod") and imm == 0:
            imm = 3
        self.emit((c.ALU64_IMM if wide else c.ALU32_IMM)(op, dst, imm, off))

    def constant(self) -> None:
        """A move or a 64-bit constant."""
        dst = self.reg()
        forms = [
            *(c.MOV64_IMM(dst, self.imm()), c.MOV32_IMM(dst, self.imm()), c.LD_IMM64(dst, self.r.choice(VALUES))),
            *(c.MOV64_REG(dst, self.source()), c.MOV32_REG(dst, self.source())),
            c.MOVSX64_REG(dst, self.source(), self.r.choice((8, 16, 32))),
            c.MOVSX32_REG(dst, self.source(), self.r.choice((8, 16))),
        ]
        self.emit(self.r.choice(forms))

    def unary(self) -> None:
        """Negation and byte swaps."""
        dst, bits = self.reg(), self.r.choice((16, 32, 64))
        swaps = [c.ENDIAN_LE(dst, bits), c.ENDIAN_BE(dst, bits), c.BSWAP(dst, bits)]
        self.emit(self.r.choice([c.NEG64(dst), c.NEG32(dst), *swaps]))

    def access(self, base: int, off: int, limit: int) -> None:
        """A load or store of any size at base + off + something within `limit` bytes, naturally aligned."""
        size = self.any_size()
        off += self.r.randrange(0, limit, SIZES[size])
        dst, src = self.reg(base), self.source(base)
        forms = [
            c.LDX_MEM(size, dst, base, off), c.STX_MEM(size, base, src, off), c.ST_MEM(size, base, off, self.imm()),
            c.ATOMIC_OP(size, c.LOAD_ACQ, dst, base, off), c.ATOMIC_OP(size, c.STORE_REL, base, src, off),
        ]  # fmt: skip
        if size != c.DW:
            forms.append(c.LDX_MEMSX(size, dst, base, off))
        self.emit(self.r.choice(forms))

    def stack(self) -> None:
        """A scalar to or from a slot, or a part of one."""
        self.access(10, SLOTS[-1], 8 * len(SLOTS))

    def stack_variable(self) -> None:
        """A read or write at an offset that is not known."""
        pointer, index = self.r.sample([r for r in range(9) if r not in self.locked], 2)
        slots = self.r.choice((1, 3, 7))
        self.emit(c.ALU64_IMM(c.AND, index, 8 * slots), c.MOV64_REG(pointer, 10))
        self.emit(c.ALU64_IMM(c.ADD, pointer, self.r.choice(SLOTS[slots:])), c.ALU64_REG(c.ADD, pointer, index))
        size = self.any_size()
        self.emit(
            self.r.choice([c.LDX_MEM(size, index, pointer, 0), c.STX_MEM(size, pointer, self.source(pointer), 0)])
        )
        self.emit(c.MOV64_IMM(pointer, self.imm()))

    def atomic(self, base: int, off: int, limit: int) -> None:
        """A read-modify-write of 4 or 8 bytes."""
        size = self.r.choice((c.W, c.DW))
        off += self.r.randrange(0, limit, SIZES[size])
        kind = self.r.choice(list(ATOMIC_OPS))
        if "fetch" in kind or kind == "atomic_xchg":
            src = self.reg(base)
        else:
            src = self.source(base)
        if kind == "atomic_cmpxchg" and (0 in self.locked or base == 0):
            kind = "atomic_add"
        self.emit(c.ATOMIC_OP(size, ATOMIC_OPS[kind], base, src, off))

    def atomic_stack(self) -> None:
        """An atomic on the stack."""
        self.atomic(10, SLOTS[-1], 8 * len(SLOTS))

    def condition(self, label: Label) -> None:
        """A conditional jump."""
        op, wide = self.r.choice(list(JMP_OPS.values())), self.r.random() < 0.6
        if self.r.random() < 0.5:
            jump = (c.JMP_REG if wide else c.JMP32_REG)(op, self.source(), self.source(), 0)
        else:
            jump = (c.JMP_IMM if wide else c.JMP32_IMM)(op, self.source(), self.imm(), 0)
        self.code.to(jump, label)

    def goto(self, label: Label) -> None:
        """An unconditional one, of either length."""
        if self.r.random() < 0.5:
            self.code.to(c.JMP_A(0), label)
        else:
            self.code.to(c.JMP32_A(0), label, "imm")

    def branch(self) -> None:
        """if, perhaps with else."""
        if self.depth > 3:
            return self.alu()
        other, end = self.label(), self.label()
        self.condition(other)
        self.block(self.r.randint(1, 4))
        if self.r.random() < 0.4:
            self.goto(end)
            self.code.place(other)
            self.block(self.r.randint(1, 3))
        else:
            self.code.place(other)
        self.code.place(end)
        return None

    def loop(self) -> None:
        """A counted loop; its counter is no statement's to write."""
        free = [r for r in range(6, 9) if r not in self.locked]
        if self.depth > 2 or len(self.locked) > 1 or not free:
            return self.alu()
        counter, top = self.r.choice(free), self.label()
        count = self.r.randint(1, 6)
        self.locked.add(counter)
        up = self.r.random() < 0.5
        self.emit(c.MOV64_IMM(counter, 0 if up else count))
        self.code.place(top)
        for _ in range(self.r.randint(1, 3)):
            self.r.choice((self.alu, self.stack, self.atomic_stack, self.array_value, self.constant, self.unary))()
        self.emit(c.ALU64_IMM(c.ADD, counter, 1 if up else -1))
        self.code.to(c.JMP_IMM(c.JLT if up else c.JSGT, counter, count if up else 0, 0), top)
        self.locked.discard(counter)
        return None

    def scratch(self) -> None:
        """r1 to r5 are scalars again, after a call."""
        for r in range(1, 6):
            slot = c.LDX_MEM(c.DW, r, 10, self.r.choice(SLOTS))
            self.emit(slot if self.r.random() < 0.7 else c.MOV64_IMM(r, self.imm()))

    def call(self) -> None:
        """A local function, made later."""
        if self.in_function or self.locked & set(range(6)):
            return self.alu()
        if len(self.functions) < 3 and (not self.functions or self.r.random() < 0.5):
            self.functions.append((self.label(), self.r.random() < 0.5))
            label, takes_pointer = self.functions[-1]
        else:
            label, takes_pointer = self.r.choice(self.functions)
        if takes_pointer:
            self.emit(c.MOV64_REG(1, 10), c.ALU64_IMM(c.ADD, 1, self.r.choice(SLOTS[1:])))
        self.code.to(c.CALL_REL(0), label, "imm")
        self.scratch()
        return None

    def array_value(self) -> None:
        """An access to the value of map 0, at a constant or a masked offset."""
        pointer = self.reg()
        self.emit(c.LD_IMM64_RAW(pointer, PSEUDO_MAP_IDX_VALUE, 0, 128))
        if self.r.random() < 0.4:
            index = self.reg(pointer)
            self.emit(c.ALU64_IMM(c.AND, index, self.r.choice((0x38, 0x18, 0x08))))
            self.emit(c.ALU64_REG(c.ADD, pointer, index))
        self.locked.add(pointer)
        (self.access if self.r.random() < 0.6 else self.atomic)(pointer, 0, 64)
        self.locked.discard(pointer)
        self.emit(c.MOV64_IMM(pointer, self.imm()))

    def key(self, limit: int) -> None:
        """A u32 key at fp-8, below `limit` or a little above, r2 its address."""
        source = self.source(2)
        self.emit(c.MOV64_REG(2, source), c.ALU64_IMM(c.AND, 2, limit), c.STX_MEM(c.W, 10, 2, KEY))
        self.emit(c.MOV64_REG(2, 10), c.ALU64_IMM(c.ADD, 2, KEY))

    def helper(self, name: str, map_index: int) -> None:
        """r1 = the map, call."""
        self.emit(c.LD_IMM64_RAW(1, PSEUDO_MAP_IDX, map_index), c.CALL(HELPER_IDS[name]))

    def lookup(self) -> None:
        """map_lookup_elem, the null check and an access."""
        if self.locked & set(range(6)):
            return self.alu()
        index = self.r.choice((1, 2))
        self.key(15)
        self.helper("map_lookup_elem", index)
        out = self.label()
        self.code.to(c.JMP_IMM(c.JEQ, 0, 0, 0), out)
        self.scratch()
        self.locked.add(0)
        for _ in range(self.r.randint(1, 2)):
            (self.access if self.r.random() < 0.5 else self.atomic)(0, 0, MAPS[index][2])
        self.locked.discard(0)
        self.code.place(out)
        self.emit(c.MOV64_IMM(0, self.imm()))
        self.scratch()
        return None

    def hash_update(self) -> None:
        """map_update_elem on map 2 or 1; its result stays."""
        if self.locked & set(range(6)):
            return self.alu()
        flags = self.r.choice((0, 0, 0, 1, 2))
        self.key(7)
        self.emit(c.MOV64_REG(3, 10), c.ALU64_IMM(c.ADD, 3, self.r.choice(SLOTS[1:])), c.MOV64_IMM(4, flags))
        self.helper("map_update_elem", self.r.choice((2, 2, 1)))
        self.scratch()
        return None

    def hash_delete(self) -> None:
        """map_delete_elem on map 2; its result stays."""
        if self.locked & set(range(6)):
            return self.alu()
        self.key(7)
        self.helper("map_delete_elem", 2)
        self.scratch()
        return None

    def context(self) -> None:
        """A load or store of a syscall program's context."""
        if self.in_function or self.type != ProgType.SYSCALL:
            return self.stack()
        size = self.any_size()
        off = self.r.randrange(0, CTX_SIZE, SIZES[size])
        forms = [c.LDX_MEM(size, self.reg(), CTX, off), c.STX_MEM(size, CTX, self.source(), off)]
        self.emit(self.r.choice([*forms, c.ST_MEM(size, CTX, off, self.imm())]))
        return None

    def packet_pointer(self, start: int, end: int, nbytes: int, out: Label) -> None:
        """start = the packet, `nbytes` of it checked, else to `out`; `end` is overwritten."""
        data, data_end = DATA_FIELDS[self.type]
        self.emit(c.LDX_MEM(c.W, end, CTX, data_end), c.LDX_MEM(c.W, start, CTX, data))
        if self.r.random() < 0.3:
            index = self.reg(start, end)
            self.emit(c.ALU64_IMM(c.AND, index, self.r.choice((0x18, 0x38))), c.ALU64_REG(c.ADD, start, index))
        check = self.reg(start, end)
        self.emit(c.MOV64_REG(check, start), c.ALU64_IMM(c.ADD, check, nbytes))
        form = self.r.randrange(2)
        self.code.to(c.JMP_REG(c.JGT, check, end, 0) if form else c.JMP_REG(c.JLT, end, check, 0), out)
        self.emit(c.MOV64_IMM(check, self.imm()))

    def packet(self) -> None:
        """Loads and stores behind a bounds check."""
        if self.in_function or len(self.locked) > 1:
            return self.stack()
        start, end, out = self.reg(), 0, self.label()
        end = self.reg(start)
        nbytes = self.r.choice((8, 16, 40, 72))
        self.packet_pointer(start, end, nbytes, out)
        self.locked |= {start}
        self.emit(c.MOV64_IMM(end, self.imm()))
        for _ in range(self.r.randint(1, 3)):
            self.plain_access(start, nbytes)
        self.locked -= {start}
        self.code.place(out)
        for r in range(9):
            if r not in self.locked:
                self.emit(c.LDX_MEM(c.DW, r, 10, self.r.choice(SLOTS)))
        return None

    def plain_access(self, base: int, limit: int) -> None:
        """A load or store, at any alignment."""
        size = self.any_size()
        off, dst, src = self.r.randint(0, limit - SIZES[size]), self.reg(base), self.source(base)
        forms = [c.LDX_MEM(size, dst, base, off), c.STX_MEM(size, base, src, off)]
        self.emit(self.r.choice([*forms, c.ST_MEM(size, base, off, self.imm())]))

    def legacy_load(self) -> None:
        """LD_ABS or LD_IND, now and then beyond the packet."""
        if self.in_function or self.depth > 2 or self.locked & {0, 1, 2, 3, 4, 5, 6}:
            return self.alu()
        size, off = self.r.choice((c.B, c.H, c.W)), self.r.choice((0, 1, 13, 40, 60))
        self.emit(c.MOV64_REG(6, CTX))
        if self.r.random() < 0.5:
            self.emit(c.LD_ABS(size, off))
        else:
            index = self.reg(6)
            self.emit(c.ALU64_IMM(c.AND, index, 0x1F), c.LD_IND(size, index, off))
        self.emit(c.MOV64_IMM(6, self.imm()))
        self.scratch()
        return None

    def load_bytes(self) -> None:
        """skb_load_bytes into the stack, now and then refused."""
        if self.in_function or self.locked & set(range(6)):
            return self.alu()
        self.emit(c.MOV64_REG(2, self.source()), c.ALU64_IMM(c.AND, 2, self.r.choice((0x1F, 0x7F))))
        self.emit(c.MOV64_REG(1, CTX), c.MOV64_REG(3, 10), c.ALU64_IMM(c.ADD, 3, self.r.choice(SLOTS[3:])))
        self.emit(c.MOV64_IMM(4, self.r.randint(1, 32)), c.CALL(HELPER_IDS["skb_load_bytes"]))
        self.scratch()
        return None

    def leave(self) -> None:
        """An early exit on a condition."""
        if self.depth > 2:
            return self.alu()
        stay = self.label()
        self.condition(stay)
        self.emit(c.MOV64_REG(0, self.source()), c.EXIT())
        self.code.place(stay)
        return None

    def spill_pointer(self) -> None:
        """A map value's address to the stack and back."""
        pointer = self.reg()
        self.emit(c.LD_IMM64_RAW(pointer, PSEUDO_MAP_IDX_VALUE, 0, 64), c.STX_MEM(c.DW, 10, pointer, KEY))
        self.emit(c.MOV64_IMM(pointer, self.imm()), c.LDX_MEM(c.DW, pointer, 10, KEY))
        self.locked.add(pointer)
        self.access(pointer, 0, 64)
        self.locked.discard(pointer)
        self.emit(c.MOV64_IMM(pointer, self.imm()))

    def may_goto(self) -> None:
        """One that jumps nowhere else; its budget is far away."""
        self.emit(c.MAY_GOTO(0))

    def jump_over(self) -> None:
        """A jump to the next instruction."""
        self.emit(self.r.choice((c.JMP_A(0), c.JMP32_A(0))))

    def bpf_loop(self) -> None:
        """bpf_loop over a callback that changes what its context, our stack, holds."""
        if self.in_function or self.locked & set(range(6)):
            return self.alu()
        if not self.callbacks:
            self.callbacks.append(self.label())
        self.code.to(c.LD_IMM64_RAW(2, PSEUDO_FUNC, 0)[0], self.callbacks[0], "imm")
        # Never a constant 0: Linux removes a callback that is never entered, and then misses it ("verifier bug").
        counts = [c.MOV64_IMM(1, self.r.choice((1, 5, 100)))], [c.MOV64_REG(1, 6), c.ALU64_IMM(c.AND, 1, 7)]
        self.emit(Insn(0), *self.r.choice(counts), c.MOV64_REG(3, 10))
        self.emit(c.ALU64_IMM(c.ADD, 3, self.r.choice(SLOTS[1:])), c.MOV64_IMM(4, 0), c.CALL(HELPER_IDS["loop"]))
        self.scratch()
        return None

    # The program

    def prologue(self) -> None:
        """Unknown and known scalars in all registers and slots."""
        self.emit(c.MOV64_REG(CTX, 1), c.LD_IMM64_RAW(1, PSEUDO_MAP_IDX_VALUE, 0, 128))
        for r in (0, 2, 3, 4, 5, 6, 7, 8, 1):
            known = self.r.random() < 0.3
            self.emit(c.LD_IMM64(r, self.r.choice(VALUES)) if known else c.LDX_MEM(c.DW, r, 1, 8 * r))
        for slot in SLOTS:
            self.emit(c.STX_MEM(c.DW, 10, self.r.randrange(9), slot))

    def epilogue(self) -> None:
        """r0 to r8 to the first 72 bytes of map 0."""
        self.emit(c.LD_IMM64_RAW(CTX, PSEUDO_MAP_IDX_VALUE, 0, 0))
        for r in range(9):
            self.emit(c.STX_MEM(c.DW, CTX, r, 8 * r))
        self.emit(c.EXIT())

    def function(self, label: Label, takes_pointer: bool) -> None:
        """A local function: five scalars in, or a pointer to 16 bytes of the caller's stack and four."""
        self.code.place(label)
        self.in_function = True
        if takes_pointer:
            self.emit(c.MOV64_REG(9, 1), c.LDX_MEM(c.DW, 1, 9, 0), c.STX_MEM(c.DW, 9, 2, 8))
        for r in (0, 6, 7, 8):
            self.emit(c.MOV64_REG(r, self.r.randint(1, 5)))
        for slot in SLOTS:
            self.emit(c.STX_MEM(c.DW, 10, self.r.randrange(9), slot))
        self.block(self.r.randint(2, 6))
        self.emit(c.EXIT())
        self.in_function = False

    def callback(self, label: Label) -> None:
        """bpf_loop's: r1 the index, r2 sixteen bytes of the caller's stack."""
        self.code.place(label)
        self.emit(c.LDX_MEM(c.DW, 3, 2, 0), c.ALU64_REG(self.r.choice((c.ADD, c.XOR, c.SUB)), 3, 1))
        self.emit(c.ALU64_IMM(c.MUL, 3, 7), c.STX_MEM(c.DW, 2, 3, 0), c.MOV64_IMM(0, 0))
        if self.r.random() < 0.5:  # stop at some index
            self.emit(c.JMP_IMM(c.JNE, 1, self.r.randrange(8), 1), c.MOV64_IMM(0, 1))
        self.emit(c.EXIT())

    def program(self) -> Program:
        """All of it."""
        self.prologue()
        while self.budget > 0:
            self.statement()
        self.epilogue()
        for label, takes_pointer in self.functions:
            self.function(label, takes_pointer)
        for label in self.callbacks:
            self.callback(label)
        syscall = self.type == ProgType.SYSCALL
        data = b"" if syscall else self.r.randbytes(self.r.choice((64, 80, 120)))
        return Program(
            self.seed,
            self.type,
            self.code.finish(self.labels),
            data,
            self.values(CTX_SIZE) if syscall else None,
            (self.values(MAPS[0][2]), *(self.values(16) for _ in range(MAPS[1][3]))),
        )

    def values(self, nbytes: int) -> bytes:
        """Telling u64s."""
        return b"".join(self.r.choice(VALUES).to_bytes(8, "little") for _ in range(nbytes // 8))


def program(seed: int, type: ProgType = ProgType.SYSCALL, size: int = 40) -> Program:
    """The program of a seed, always the same."""
    return Generator(seed, type, size).program()
