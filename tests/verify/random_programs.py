"""Random programs over scalars, the stack, the context and packets: most go wrong soon, each in its own way."""

import random

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import ALU, ALU64, ALU_OPS, JMP, JMP32, JMP_OPS, LDX, MEM, MEMSX, SIZE_BYTES, ST, STX, K, X
from pyebpf.spec.kinds import ProgType

REGS = (0, 2, 3, 4, 5, 7, 8, 9)
OPS = tuple(v for k, v in ALU_OPS.items() if k not in ("div", "mod"))
SHIFTS = {ALU_OPS[k] for k in ("lsh", "rsh", "arsh")}
KINDS = (ProgType.XDP, ProgType.SOCKET_FILTER, ProgType.SCHED_CLS)
NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 255, -1, -8, 4096, 0x7FFFFFFF, -0x80000000)
ATOMICS = (0, 1, 0x40, 0xE1, 0xF1, 0xA1)
ENDS = ((0xDC, 16), (0xDC, 32), (0xDC, 64), (0xD4, 16), (0xD4, 32), (0xD4, 64), (0xD7, 16), (0xD7, 32), (0xD7, 64))


def setup(r: random.Random, kind: ProgType) -> list[Insn]:
    """R6 = context, and four registers with a number, a field, a pointer to the stack or to the packet."""
    out = [Insn(ALU64 | ALU_OPS["mov"] | X, 6, 1)]
    data = 0 if kind == ProgType.XDP else 76
    for reg in r.sample(REGS, 4):
        choice = r.randrange(4)
        if choice == 0:
            out.append(Insn(ALU64 | ALU_OPS["mov"] | K, reg, imm=r.choice(NUMBERS)))
        elif choice == 1:
            out.append(Insn(LDX | MEM, reg, 1, r.choice((12, 16, 0, 4))))
        elif choice == 2:
            out.append(Insn(ALU64 | ALU_OPS["mov"] | X, reg, 10))
        else:
            out.append(Insn(LDX | MEM, reg, 1, data))
    return out


def arithmetic(r: random.Random, dst: int, src: int) -> Insn:
    op, cls, source = r.choice(OPS), r.choice((ALU64, ALU64, ALU)), r.choice((K, X))
    if source == K:
        bits = 64 if cls == ALU64 else 32
        return Insn(cls | op, dst, imm=r.randrange(bits) if op in SHIFTS else r.choice(NUMBERS))
    widths = (0, 0, 8, 16, 32) if cls == ALU64 else (0, 0, 8, 16)
    return Insn(cls | op | X, dst, src, r.choice(widths) if op == ALU_OPS["mov"] else 0)


def memory(r: random.Random, dst: int, src: int) -> Insn:
    size = r.choice(tuple(SIZE_BYTES))
    base = 10 if r.random() < 0.8 else src
    off = -SIZE_BYTES[size] * r.randint(1, 6) if base == 10 else r.choice((0, 4, 8))
    match r.randrange(4):
        case 0:
            return Insn(STX | MEM | size, base, dst, off)
        case 1:
            return Insn(ST | MEM | size, base, 0, off, r.choice((0, 1, -1)))
        case 2 if SIZE_BYTES[size] < 8:
            return Insn(LDX | MEMSX | size, dst, base, off)
    return Insn(LDX | MEM | size, dst, base, off)


def program(seed: int) -> tuple[ProgType, list[Insn]]:
    """The program of a seed."""
    r = random.Random(seed)
    kind, n = r.choice(KINDS), r.choice((4, 8, 12, 20, 30))
    out = setup(r, kind)
    for left in range(n, 0, -1):
        dst, src, choice = r.choice(REGS), r.choice(REGS), r.random()
        if choice < 0.4:
            out.append(arithmetic(r, dst, src))
        elif choice < 0.65:
            source, off = r.choice((K, K, X)), r.randint(0, min(4, left))
            cls, op = r.choice((JMP, JMP, JMP32)), r.choice(tuple(JMP_OPS.values()))
            out.append(Insn(cls | op | source, dst, src if source else 0, off, 0 if source else r.choice(NUMBERS)))
        elif choice < 0.9:
            out.append(memory(r, dst, src))
        elif choice < 0.95:
            opcode, bits = r.choice(ENDS)
            out.append(Insn(opcode, dst, imm=bits))
        else:
            out.append(Insn(r.choice((0xDB, 0xC3)), 10, src, -8, r.choice(ATOMICS)))
    return kind, [*out, Insn(0xB7, 0), Insn(0x95)]
