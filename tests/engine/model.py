"""An independent model of RFC 9669 in Python's unbounded integers: what an instruction means, written for clearness.

It shares nothing with the engines but the instruction table, and is slow: tests compare the engines with it.
Memory is a set of regions at made-up addresses; every access is checked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pyebpf.isa.insn import Insn
from pyebpf.isa.table import Op

CTX, STACK, EXTRA = 1 << 32, 2 << 32, 16 << 32
"""Addresses of the context, of the stacks and of the first of the other regions (one every 1 << 32)."""
FRAME = 512
Helper = Callable[["Model", list[int]], int]


def unsigned(value: int, bits: int) -> int:
    """The low `bits`."""
    return value & ((1 << bits) - 1)


def signed(value: int, bits: int) -> int:
    """The low `bits` as two's complement."""
    low = unsigned(value, bits)
    return low - (1 << bits) if low >> (bits - 1) else low


def _truncating_div(a: int, b: int) -> int:
    """Quotient rounded towards zero, as C and the RFC have it."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _sdiv(a: int, b: int, bits: int) -> int:
    a, b = signed(a, bits), signed(b, bits)
    return 0 if b == 0 else _truncating_div(a, b)


def _smod(a: int, b: int, bits: int) -> int:
    a, b = signed(a, bits), signed(b, bits)
    return a if b == 0 else a - b * _truncating_div(a, b)


ALU: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "div": lambda a, b, n: unsigned(a, n) // unsigned(b, n) if unsigned(b, n) else 0,
    "mod": lambda a, b, n: unsigned(a, n) % unsigned(b, n) if unsigned(b, n) else a,
    "sdiv": _sdiv,
    "smod": _smod,
    "or": lambda a, b, _: a | b,
    "and": lambda a, b, _: a & b,
    "xor": lambda a, b, _: a ^ b,
    "lsh": lambda a, b, n: a << (b % n),
    "rsh": lambda a, b, n: unsigned(a, n) >> (b % n),
    "arsh": lambda a, b, n: signed(a, n) >> (b % n),
    "mov": lambda a, b, _: b,
}

JUMPS: dict[str, Callable[[int, int, int], bool]] = {
    "jeq": lambda a, b, _: a == b,
    "jne": lambda a, b, _: a != b,
    "jset": lambda a, b, _: a & b != 0,
    "jgt": lambda a, b, _: a > b,
    "jge": lambda a, b, _: a >= b,
    "jlt": lambda a, b, _: a < b,
    "jle": lambda a, b, _: a <= b,
    "jsgt": lambda a, b, n: signed(a, n) > signed(b, n),
    "jsge": lambda a, b, n: signed(a, n) >= signed(b, n),
    "jslt": lambda a, b, n: signed(a, n) < signed(b, n),
    "jsle": lambda a, b, n: signed(a, n) <= signed(b, n),
}

ATOMICS: dict[str, Callable[[int, int], int]] = {
    "add": lambda old, src: old + src,
    "or": lambda old, src: old | src,
    "and": lambda old, src: old & src,
    "xor": lambda old, src: old ^ src,
    "xchg": lambda old, src: src,
}


class OutOfModel(Exception):
    """The program did what no verified program does."""


@dataclass
class Model:
    """One run. `regions`: memory by address; `packet`: what LD_ABS and LD_IND read; `steps`: instructions left."""

    insns: Sequence[Insn]
    regions: dict[int, bytearray]
    packet: bytes = b""
    helpers: Mapping[int, Helper] = field(default_factory=dict)
    steps: int = 2_000_000
    regs: list[int] = field(default_factory=lambda: [0] * 11)
    pc: int = 0
    frames: list[tuple[int, list[int]]] = field(default_factory=list)

    def memory(self, address: int, nbytes: int) -> tuple[bytearray, int]:
        """The region of an access and the offset into it."""
        base = address >> 32 << 32
        region, offset = self.regions.get(base), address - base
        if region is None or offset + nbytes > len(region):
            raise OutOfModel(f"insn {self.pc}: {nbytes} bytes at {address:#x}")
        return region, offset

    def read(self, address: int, nbytes: int) -> int:
        """A little-endian load."""
        region, offset = self.memory(unsigned(address, 64), nbytes)
        return int.from_bytes(region[offset : offset + nbytes], "little")

    def write(self, address: int, nbytes: int, value: int) -> None:
        """A little-endian store."""
        region, offset = self.memory(unsigned(address, 64), nbytes)
        region[offset : offset + nbytes] = unsigned(value, 8 * nbytes).to_bytes(nbytes, "little")

    def run(self) -> int:
        """R0 at the last exit."""
        while True:
            self.steps -= 1
            if self.steps < 0:
                raise OutOfModel("too many steps")
            insn = self.insns[self.pc]
            op = insn.op
            if op is None:
                raise OutOfModel(f"insn {self.pc}: {insn}")
            if op.kind == "exit":
                if not self.frames:
                    return self.regs[0]
                self.pc, saved = self.frames.pop()
                self.regs[6:11] = saved
                continue
            self.pc += 1
            _STEPS[op.kind](self, op, insn)


def _operand(m: Model, op: Op, insn: Insn) -> int:
    return m.regs[insn.src] if "s" in op.uses else unsigned(insn.imm, 64)


def _alu(m: Model, op: Op, insn: Insn) -> None:
    bits = 8 * op.nbytes
    a, b = unsigned(m.regs[insn.dst], bits), unsigned(_operand(m, op, insn), bits)
    m.regs[insn.dst] = unsigned(ALU[op.kind](a, b, bits), bits)


def _neg(m: Model, op: Op, insn: Insn) -> None:
    m.regs[insn.dst] = unsigned(-m.regs[insn.dst], 8 * op.nbytes)


def _movsx(m: Model, op: Op, insn: Insn) -> None:
    m.regs[insn.dst] = unsigned(signed(m.regs[insn.src], insn.off), 8 * op.nbytes)


def _truncate(m: Model, op: Op, insn: Insn) -> None:
    m.regs[insn.dst] = unsigned(m.regs[insn.dst], insn.imm)


def _swap(m: Model, op: Op, insn: Insn) -> None:
    low = unsigned(m.regs[insn.dst], insn.imm)
    m.regs[insn.dst] = int.from_bytes(low.to_bytes(insn.imm // 8, "big"), "little")


def _jump(m: Model, op: Op, insn: Insn) -> None:
    bits = 8 * op.nbytes
    if JUMPS[op.kind](unsigned(m.regs[insn.dst], bits), unsigned(_operand(m, op, insn), bits), bits):
        m.pc += insn.off


def _goto(m: Model, op: Op, insn: Insn) -> None:
    m.pc += insn.off if op.kind == "ja" else insn.imm


def _call(m: Model, op: Op, insn: Insn) -> None:
    m.regs[0] = unsigned(m.helpers[insn.imm](m, m.regs[1:6]), 64)


def _call_local(m: Model, op: Op, insn: Insn) -> None:
    m.frames.append((m.pc, m.regs[6:11]))
    if len(m.frames) > 7:
        raise OutOfModel("more than 8 frames")
    m.regs[10] = STACK + FRAME * (len(m.frames) + 1)
    m.pc += insn.imm


def _load(m: Model, op: Op, insn: Insn) -> None:
    m.regs[insn.dst] = m.read(m.regs[insn.src] + insn.off, op.nbytes)


def _load_signed(m: Model, op: Op, insn: Insn) -> None:
    m.regs[insn.dst] = unsigned(signed(m.read(m.regs[insn.src] + insn.off, op.nbytes), 8 * op.nbytes), 64)


def _store(m: Model, op: Op, insn: Insn) -> None:
    m.write(m.regs[insn.dst] + insn.off, op.nbytes, insn.imm if op.kind == "st" else m.regs[insn.src])


def _atomic(m: Model, op: Op, insn: Insn) -> None:
    address, bits = m.regs[insn.dst] + insn.off, 8 * op.nbytes
    old, src = m.read(address, op.nbytes), unsigned(m.regs[insn.src], bits)
    verb = op.kind.removeprefix("atomic_")
    if verb == "cmpxchg":
        if old == unsigned(m.regs[0], bits):
            m.write(address, op.nbytes, src)
        m.regs[0] = old
        return
    m.write(address, op.nbytes, ATOMICS[verb.removeprefix("fetch_")](old, src))
    if verb == "xchg" or verb.startswith("fetch_"):
        m.regs[insn.src] = old


def _packet(m: Model, op: Op, insn: Insn) -> None:
    start = signed(m.regs[insn.src] if op.kind == "ld_ind" else 0, 32) + insn.imm
    if start < 0 or start + op.nbytes > len(m.packet):
        m.regs[0], m.frames, m.pc = 0, [], len(m.insns)
        m.insns = [*m.insns, Insn(0x95)]
        return
    m.regs[0] = int.from_bytes(m.packet[start : start + op.nbytes], "big")


def _constant(m: Model, op: Op, insn: Insn) -> None:
    high = m.insns[m.pc].imm
    m.pc += 1
    low, high = unsigned(insn.imm, 32), unsigned(high, 32)
    sources: dict[int, Callable[[], int]] = {
        0: lambda: high << 32 | low,
        5: lambda: EXTRA + (low << 32),  # PSEUDO_MAP_IDX: a map is known by the region of its values
        6: lambda: EXTRA + (low << 32) + high,  # PSEUDO_MAP_IDX_VALUE
    }
    m.regs[insn.dst] = sources[insn.src]()


_STEPS: dict[str, Callable[[Model, Op, Insn], None]] = {
    **dict.fromkeys(ALU, _alu),
    **dict.fromkeys(JUMPS, _jump),
    **dict.fromkeys(("be", "bswap"), _swap),
    **dict.fromkeys(("ja", "gotol"), _goto),
    **dict.fromkeys(("ldx", "load_acq"), _load),
    **dict.fromkeys(("st", "stx", "store_rel"), _store),
    **dict.fromkeys(("ld_abs", "ld_ind"), _packet),
    **{f"atomic_{verb}": _atomic for verb in ("add", "or", "and", "xor", "xchg", "cmpxchg")},
    **{f"atomic_fetch_{verb}": _atomic for verb in ("add", "or", "and", "xor")},
    "neg": _neg,
    "movsx": _movsx,
    "le": _truncate,
    "ldxsx": _load_signed,
    "ld_imm64": _constant,
    "call": _call,
    "call_local": _call_local,
    "may_goto": lambda m, op, insn: None,
}


def run(
    insns: Sequence[Insn],
    ctx: bytes = b"",
    *,
    regions: Sequence[bytes] = (),
    packet: bytes = b"",
    helpers: Mapping[int, Helper] | None = None,
) -> tuple[int, bytes, list[bytes]]:
    """(R0, context, other regions) after a run with R1 = the context; `regions` are maps' values by index."""
    memory = {CTX: bytearray(ctx), STACK: bytearray(FRAME * 9)}
    memory |= {EXTRA + (index << 32): bytearray(data) for index, data in enumerate(regions)}
    model = Model(insns, memory, packet, helpers or {})
    model.regs[1], model.regs[10] = CTX, STACK + FRAME
    r0 = model.run()
    return r0, bytes(memory[CTX]), [bytes(memory[EXTRA + (i << 32)]) for i in range(len(regions))]
