"""Random programs near the edge of what a verifier accepts: calls, loops, control flow, encodings."""

from dataclasses import replace

from pyebpf.isa import ctors as c
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn
from pyebpf.isa.table import PSEUDO_FUNC, PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE
from pyebpf.spec.helper_access import allowed
from pyebpf.spec.helpers import BY_NAME, HELPERS, Arg, HelperProto
from pyebpf.spec.kinds import ProgType
from tests.engine.gen import CTX, SLOTS, Label
from tests.fuzz.edge import DATA, MAPS, PROG_ARRAY, STACK_TRACE, TYPES, EdgeProgram, Memory

MAP_OF = {"tail_call": PROG_ARRAY, "get_stackid": STACK_TRACE}
OWN_PIECE = ("tail_call", "loop", "for_each_map_elem", "spin_lock", "spin_unlock")
WRITES_PACKET = ("xdp_adjust_head", "xdp_adjust_tail", "skb_store_bytes", "skb_pull_data", "l3_csum_replace")


class Calls(Memory):
    """Pieces about everything else, and the program."""

    def __init__(self, seed: int, type: ProgType) -> None:
        super().__init__(seed, type)
        self.pieces += [
            (10, self.helper_edge), (4, self.loop_edge), (5, self.call_edge), (3, self.callback_edge),
            (2, self.tail_call_edge), (3, self.jump_edge), (3, self.encoding_edge), (3, self.constant_edge),
            (2, self.clobber_edge), (2, self.may_goto_loop), (12, self.plain),
        ]  # fmt: skip
        if type in (ProgType.SOCKET_FILTER, ProgType.SCHED_CLS):
            self.pieces.append((4, self.legacy_edge))
        if type in DATA:
            self.pieces.append((2, self.packet_after_call))
        self.helpers = [h for h in HELPERS if allowed(type, h.id) and h.name not in OWN_PIECE]
        self.extra: list[tuple[Label, int]] = []

    def plain(self) -> None:
        """A statement that is safe."""
        self.statement()

    # Helpers

    def argument(self, kind: Arg, reg: int, index: int, size_next: bool) -> None:
        """`reg` made what an argument of the kind wants, or something else."""
        if self.bad(0.4):
            self.r.choice((self.pointer, lambda r: self.emit(c.MOV64_REG(r, 8)), lambda r: None))(reg)
            return
        if kind in (Arg.CONST_MAP_PTR,):
            self.emit(c.LD_IMM64_RAW(reg, PSEUDO_MAP_IDX, index))
        elif kind in (Arg.MAP_KEY, Arg.MAP_VALUE, Arg.MEM, Arg.MEM_WRITE, Arg.MEM_OR_NULL, Arg.MAP_VALUE_UNINIT):
            at = self.near(SLOTS[-1], 8)
            self.emit(c.MOV64_REG(reg, 10), c.ALU64_IMM(c.ADD, reg, at))
        elif kind == Arg.MEM_UNINIT:
            self.emit(c.MOV64_REG(reg, 10), c.ALU64_IMM(c.ADD, reg, self.near(-256, 8)))
        elif kind in (Arg.CTX, Arg.CTX_OR_NULL):
            self.emit(c.MOV64_REG(reg, CTX))
        elif kind in (Arg.CONST_SIZE, Arg.CONST_SIZE_OR_ZERO, Arg.CONST_ALLOC_SIZE_OR_ZERO):
            self.size_argument(reg, kind)
        elif kind in (Arg.LONG, Arg.INT):
            self.emit(c.MOV64_REG(reg, 10), c.ALU64_IMM(c.ADD, reg, self.near(-24, 4)))
        else:
            self.emit(c.MOV64_IMM(reg, self.r.choice((0, 0, 1, 2, 8))))

    def size_argument(self, reg: int, kind: Arg) -> None:
        """A length: constant, or unknown below a bound."""
        if self.r.random() < 0.6:
            self.emit(c.MOV64_IMM(reg, self.near(self.r.choice((8, 16, 64, 128)), 8) if not self.bad(0.3) else -1))
            return
        self.emit(c.LDX_MEM(c.DW, reg, 10, SLOTS[1]))
        self.emit(c.ALU64_IMM(c.AND, reg, 0x3F if not self.bad() else 0x1FF))
        if kind == Arg.CONST_SIZE and not self.bad():
            self.emit(c.ALU64_IMM(c.ADD, reg, 1))

    def helper_edge(self) -> None:
        """A call of a helper that the program type has, now and then of any."""
        helper = self.r.choice(self.helpers if self.helpers and not self.bad(0.3) else HELPERS)
        if self.r.random() < 0.3:
            helper = BY_NAME["map_update_elem"]
        self.call_helper(helper)

    def call_helper(self, helper: HelperProto) -> None:
        """Its arguments, the call, what comes after."""
        index = MAP_OF.get(helper.name, self.r.choice((0, 1, 2, 3, 4, 8)))
        if self.bad(0.5):
            index = self.r.randrange(len(MAPS))
        for n, kind in enumerate(helper.args):
            if kind != Arg.NONE:
                self.argument(kind, 1 + n, index, False)
        self.emit(c.CALL(helper.id if not self.bad(0.1) else self.r.randrange(-1, 260)))
        if self.bad(0.5):
            self.emit(c.LDX_MEM(c.B, 7, 0, 0))
        if self.bad(0.3):
            self.emit(c.MOV64_REG(7, self.r.randrange(1, 6)))
        self.emit(c.MOV64_IMM(0, 0))
        self.all_scalars()

    def packet_after_call(self) -> None:
        """A packet pointer across a call that may move the packet."""
        out = self.label()
        data, data_end = DATA[self.type]
        self.emit(c.LDX_MEM(c.W, 6, CTX, data), c.LDX_MEM(c.W, 7, CTX, data_end))
        self.emit(c.MOV64_REG(8, 6), c.ALU64_IMM(c.ADD, 8, 16))
        self.jump("jgt", 8, 7, out, reg=True)
        moves = [h for h in self.helpers if h.name in WRITES_PACKET]
        stays = BY_NAME.get("get_prandom_u32")
        choice = self.r.choice(moves) if moves and self.bad(2) else stays
        if choice is not None:
            self.call_helper_keeping(choice)
        self.emit(c.LDX_MEM(c.W, 4, 6, 12))
        self.code.place(out)
        self.all_scalars()

    def call_helper_keeping(self, helper: HelperProto) -> None:
        """A call that leaves r6 to r9."""
        for n, kind in enumerate(helper.args):
            self.argument(kind, 1 + n, 0, False)
        self.emit(c.CALL(helper.id))

    def clobber_edge(self) -> None:
        """What a call does to registers."""
        self.emit(c.CALL(HELPER_IDS["get_smp_processor_id"]))
        self.emit(
            c.MOV64_REG(7, self.r.choice((0, 6, 7, 8))) if not self.bad(2) else c.MOV64_REG(7, self.r.randrange(1, 6))
        )
        self.all_scalars()

    def tail_call_edge(self) -> None:
        """bpf_tail_call with the right arguments, or nearly."""
        self.emit(c.MOV64_REG(1, CTX) if not self.bad() else c.MOV64_REG(1, 10))
        self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX, PROG_ARRAY if not self.bad() else self.r.randrange(len(MAPS))))
        self.emit(c.MOV64_IMM(3, 0) if self.r.random() < 0.5 else c.LDX_MEM(c.W, 3, 10, SLOTS[2]))
        self.emit(c.CALL(HELPER_IDS["tail_call"]))
        self.all_scalars()

    # Functions

    def call_edge(self) -> None:
        """A call of a local function of some shape; see `extra_function`."""
        shape = self.r.randrange(4) if not self.bad(2) else self.r.randrange(4, 12)
        if len(self.extra) > 4:
            return
        label = self.label()
        self.extra.append((label, shape))
        if shape in (1, 5):
            self.emit(c.MOV64_REG(1, 10), c.ALU64_IMM(c.ADD, 1, SLOTS[-1]))
        if shape == 2:
            self.emit(c.MOV64_REG(1, CTX))
        self.code.to(c.CALL_REL(0), label, "imm")
        if self.bad(0.5):
            self.emit(c.MOV64_REG(7, self.r.randrange(6)))
        self.all_scalars()

    def extra_function(self, label: Label, shape: int) -> None:
        """Right: 0 scalar, 1 through a pointer to the caller's stack, 2 context, 3 own stack.

        Wrong: 4 a register it was not given, 5 beyond the caller's slots, 6 returns nothing, 7 returns its stack,
        8 calls itself, 9 too much stack, 10 writes r10, 11 falls off its end.
        """
        self.code.place(label)
        bodies: dict[int, list[Insn]] = {
            0: [c.MOV64_REG(0, 1), c.ALU64_REG(c.ADD, 0, 2)],
            1: [c.LDX_MEM(c.DW, 0, 1, 8), c.STX_MEM(c.DW, 1, 0, 0)],
            2: [c.MOV64_REG(6, 1), c.MOV64_IMM(0, 1)],
            3: [c.ST_MEM(c.DW, 10, -8, 1), c.LDX_MEM(c.DW, 0, 10, -8)],
            4: [c.MOV64_REG(0, self.r.choice((0, 6, 7, 8, 9)))],
            5: [c.LDX_MEM(c.DW, 0, 1, self.r.choice((8 * len(SLOTS) + 8, -400)))],
            6: [c.MOV64_IMM(1, 0)],
            7: [c.MOV64_REG(0, 10)],
            8: [c.CALL_REL(-1), c.MOV64_IMM(0, 0)],
            9: [c.ST_MEM(c.DW, 10, -512, 1), c.MOV64_IMM(0, 0)],
            10: [c.MOV64_IMM(10, 0), c.MOV64_IMM(0, 0)],
            11: [c.MOV64_IMM(0, 0)],
        }
        self.emit(*bodies[shape])
        if shape != 11:
            self.emit(c.EXIT())

    def callback_edge(self) -> None:
        """bpf_loop or for_each_map_elem with a callback that is right, or nearly."""
        if len(self.callbacks) > 1:
            return
        label, each = self.label(), self.r.random() < 0.4
        self.callbacks.append(label)
        if each:
            self.emit(c.LD_IMM64_RAW(1, PSEUDO_MAP_IDX, self.r.choice((0, 1, 2, 3, 4)) if not self.bad() else 5))
        else:
            self.emit(c.MOV64_IMM(1, self.near(8)) if self.r.random() < 0.6 else c.LDX_MEM(c.W, 1, 10, SLOTS[1]))
        self.code.to(c.LD_IMM64_RAW(2, PSEUDO_FUNC, 0)[0], label, "imm")
        self.emit(Insn(0), c.MOV64_REG(3, 10), c.ALU64_IMM(c.ADD, 3, SLOTS[-1]))
        if self.r.random() < 0.4:
            self.emit(c.MOV64_IMM(3, 0))
        self.emit(c.MOV64_IMM(4, 0 if not self.bad() else 1))
        self.emit(c.CALL(HELPER_IDS["for_each_map_elem" if each else "loop"]))
        self.all_scalars()

    def callback(self, label: Label) -> None:
        """Returns 0 or 1, or nearly."""
        self.code.place(label)
        if self.bad():
            self.emit(c.LDX_MEM(c.DW, 4, 2, 0))
        if self.bad(0.3):
            self.emit(c.MOV64_REG(0, 6))
        self.emit(c.MOV64_IMM(0, self.near(self.r.randrange(2))) if self.r.random() < 0.7 else c.MOV64_REG(0, 1))
        if self.r.random() < 0.5:
            self.emit(c.ALU64_IMM(c.AND, 0, 1))
        self.emit(c.EXIT())

    # Control flow

    def loop_edge(self) -> None:
        """A loop: counted, bounded by a comparison, or without an end."""
        top, end = self.label(), self.label()
        step = self.r.choice((1, 1, 2, 3)) if not self.bad(0.5) else 0
        limit = self.r.choice((6, 12, 24, 60))
        self.emit(c.MOV64_IMM(6, 0))
        unknown = self.r.random() < 0.3
        self.emit(c.MOV64_IMM(7, limit))
        if unknown:
            self.index(7, limit)
        self.code.place(top)
        if self.r.random() < 0.3:
            self.jump("jsgt", self.r.randrange(9), 77, end)
        self.emit(c.ALU64_IMM(c.ADD, 6, step))
        if self.r.random() < 0.4:
            self.emit(c.LD_IMM64_RAW(2, PSEUDO_MAP_IDX_VALUE, 0, 0), c.ALU64_REG(c.ADD, 2, 6), c.ST_MEM(c.B, 2, 0, 1))
        if self.bad(0.3):
            self.code.to(c.JMP_A(0), top)
        kinds = ("jlt", "jle", "jslt") if unknown else ("jlt", "jle", "jslt", "jne")
        self.jump(self.r.choice(kinds), 6, 7, top, reg=True)
        self.code.place(end)
        self.all_scalars()

    def may_goto_loop(self) -> None:
        """A loop that may_goto bounds."""
        top, end = self.label(), self.label()
        self.emit(c.MOV64_IMM(6, 0))
        self.code.place(top)
        if not self.bad():
            self.code.to(c.MAY_GOTO(0), end)
        self.emit(c.ALU64_IMM(c.ADD, 6, 1))
        self.code.to(c.JMP_A(0), top)
        self.code.place(end)
        self.all_scalars()

    def jump_edge(self) -> None:
        """A conditional jump a little ahead; if wrong, anywhere."""
        distance = self.r.randrange(0, 3) if not self.bad(2) else self.r.randrange(-40, 60)
        reg = self.source()
        body = [c.ALU64_IMM(c.ADD, 4, n) for n in range(3)]
        if self.r.random() < 0.7:
            self.emit(c.JMP_IMM(c.JGT, reg, self.imm(), distance), *body)
        elif self.bad():
            self.emit(c.JMP_A(distance), *body)
        else:
            self.emit(c.JMP32_REG(c.JSET, reg, self.source(), distance), *body)

    def encoding_edge(self) -> None:
        """A statement, one of its instructions with one field changed."""
        at = len(self.code.slots)
        self.r.choice((self.alu, self.stack, self.constant, self.unary, self.atomic_stack))()
        if not self.bad(2):
            return
        index = self.r.randrange(at, len(self.code.slots))
        insn = self.code.slots[index]
        changes = [
            lambda: replace(insn, opcode=insn.opcode ^ 1 << self.r.randrange(8)),
            lambda: replace(insn, src=self.r.randrange(16)),
            lambda: replace(insn, dst=self.r.randrange(16)),
            lambda: replace(insn, off=self.r.choice((1, 2, -1, 8, 64))),
            lambda: replace(insn, imm=self.r.choice((1, 16, 64, -1, 0x100, 63))),
        ]
        self.code.slots[index] = self.r.choice(changes)()

    def constant_edge(self) -> None:
        """Constants that must not be: shifts, divisors, swaps, pseudo sources, second slots."""
        wide = self.r.random() < 0.5
        make = c.ALU64_IMM if wide else c.ALU32_IMM
        bits = 64 if wide else 32
        forms: list[list[Insn | c.Wide]] = [
            [make(self.r.choice((c.LSH, c.RSH, c.ARSH)), 4, self.near(bits - 1))],
            [make(self.r.choice((c.DIV, c.MOD)), 4, self.near(1))],
            [c.BSWAP(4, self.near(32, 16))],
            [c.LD_IMM64_RAW(4, self.r.randrange(1, 9) if self.bad() else 0, 5, self.near(0))],
        ]
        self.emit(*self.r.choice(forms))
        self.all_scalars()

    def legacy_edge(self) -> None:
        """LD_ABS or LD_IND with the context in r6, or nearly."""
        self.emit(c.MOV64_REG(6, CTX) if not self.bad() else c.MOV64_REG(6, 8))
        if self.r.random() < 0.5:
            self.emit(c.LD_ABS(self.r.choice((c.B, c.H, c.W)) if not self.bad(0.5) else c.DW, self.near(14)))
        else:
            self.emit(c.LD_IND(self.r.choice((c.B, c.H, c.W)), self.r.choice((4, 7)), 2))
        if self.bad(0.5):
            self.emit(c.MOV64_REG(7, self.r.randrange(1, 6)))
        self.all_scalars()

    # The program

    def edge_program(self) -> EdgeProgram:
        """All of it."""
        self.prologue_edge()
        weights, actions = zip(*self.pieces, strict=True)
        for _ in range(self.r.randint(1, 6)):
            self.r.choices(actions, weights)[0]()
        if not self.bad(0.1):
            self.emit(
                c.MOV64_IMM(0, 0) if self.type == ProgType.FLOW_DISSECTOR else c.MOV64_REG(0, self.r.randrange(9))
            )
        if self.bad(0.1):
            self.emit(c.MOV64_REG(0, 10))
        if not self.bad(0.05):
            self.emit(c.EXIT())
        for label, takes_pointer in self.functions:
            self.function(label, takes_pointer)
        for label, shape in self.extra:
            self.extra_function(label, shape)
        for label in self.callbacks:
            self.callback(label)
        insns = self.code.finish(self.labels)
        if self.bad(0.3):
            insns = self.mutate(list(insns))
        return EdgeProgram(self.seed, self.type, insns)

    def prologue_edge(self) -> None:
        """As the engine's, but a slot or register may be forgotten."""
        self.emit(c.MOV64_REG(CTX, 1), c.LD_IMM64_RAW(1, PSEUDO_MAP_IDX_VALUE, 0, 128))
        for r in (0, 2, 3, 4, 5, 6, 7, 8, 1):
            self.emit(c.LDX_MEM(c.DW, r, 1, 8 * r) if self.r.random() < 0.7 else c.MOV64_IMM(r, self.imm()))
        for slot in SLOTS:
            if not self.bad(0.02):
                self.emit(c.STX_MEM(c.DW, 10, self.r.randrange(9), slot))

    def mutate(self, insns: list[Insn]) -> tuple[Insn, ...]:
        """One instruction dropped, doubled, swapped with the next, or with another register."""
        at = self.r.randrange(len(insns) - 1)
        insn = insns[at]
        way = self.r.randrange(5)
        if way == 0:
            insns[at] = c.JMP_A(0)
        elif way == 1:
            insns[at], insns[at + 1] = insns[at + 1], insn
        elif way == 2:
            insns[at] = replace(insn, src=self.r.randrange(11))
        elif way == 3:
            insns[at] = replace(insn, dst=self.r.randrange(11))
        else:
            insns[at] = replace(insn, off=max(-32768, min(32767, insn.off + self.r.choice((-8, -4, -1, 1, 4, 8)))))
        return tuple(insns)


def program(seed: int) -> EdgeProgram:
    """The program of a seed, always the same."""
    return Calls(seed, TYPES[seed % len(TYPES)]).edge_program()
