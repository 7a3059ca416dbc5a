"""One assembly statement: tokens to instruction slots, with references that are still names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pyebpf.isa import table
from pyebpf.isa.disasm import ALU_SIGNS, ATOMIC_SIGNS, JMP_SIGNS
from pyebpf.isa.helper_names import HELPER_IDS
from pyebpf.isa.insn import Insn
from pyebpf.isa.table import Op
from pyebpf.isa.tokens import Cursor, Token

S16 = -(1 << 15), (1 << 15) - 1
S32 = -(1 << 31), (1 << 31) - 1
ANY32 = -(1 << 31), (1 << 32) - 1
ANY64 = -(1 << 63), (1 << 64) - 1

ALU_KINDS: Final = {sign: kind for kind, sign in ALU_SIGNS.items()}
JMP_KINDS: Final = {sign: kind for kind, sign in JMP_SIGNS.items()}
ATOMIC_KINDS: Final = {sign: kind for kind, sign in ATOMIC_SIGNS.items()}
_SIZES: Final = {8: table.B, 16: table.H, 32: table.W, 64: table.DW}
_BY_SHAPE: Final[dict[tuple[str, int, int], Op]] = {
    (op.kind, op.nbytes, op.opcode & table.X if op.cls not in (table.LD, table.LDX, table.ST, table.STX) else 0): op
    for op in reversed(table.OPS)
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A name an instruction waits for. field: "off" or "imm"; distances count from the next instruction."""

    name: Token
    field: str


@dataclass(frozen=True, slots=True)
class Statement:
    """The slots of one instruction, and the label they refer to, if any."""

    slots: tuple[Insn, ...]
    reference: Reference | None = None


def _op(kind: str, nbytes: int, source: int = 0) -> Op:
    return _BY_SHAPE[kind, nbytes, source]


def _insn(op: Op, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> Insn:
    """An instruction of the row: its discriminators filled in, imm wrapped to 32 bits."""
    wrapped = (imm + (1 << 31)) % (1 << 32) - (1 << 31)
    return Insn(
        op.opcode,
        dst,
        op.src if op.src is not None and "s" not in op.uses else src,
        op.off if op.off is not None else off,
        op.imm if op.imm is not None else wrapped,
    )


def _one(insn: Insn) -> Statement:
    return Statement((insn,))


def _mem(c: Cursor) -> tuple[int, int]:
    """`r1 + 4)`, `r1 +4)`, `r1)`: register and offset, the closing parenthesis read."""
    kind, reg = c.register()
    if kind != "r":
        c.fail("an address is in a 64-bit register, r0 to r10")
    off = 0 if c.next.text == ")" or c.next.text == "," else c.number("offset", *S16)
    return reg, off


def _type(c: Cursor, allowed: str = "us") -> tuple[str, int]:
    """`u32 *)`: ("u" or "s", bytes)."""
    token = c.name("a type (u8, u16, u32, u64)")
    sign, bits = token.text[:1], token.text[1:]
    if sign not in allowed or bits not in ("8", "16", "32", "64") or token.text == "s64":
        c.fail(f"found {token.text!r}, expected a type ({', '.join(a + 'N' for a in allowed)}, N 8 to 64)", token)
    c.want("*")
    c.want(")")
    return sign, int(bits) // 8


def _place(c: Cursor, allowed: str = "u") -> tuple[str, int, int, int]:
    """`*(u32 *)(r1 + 4)`, the `*(` already read: sign, bytes, register, offset."""
    sign, nbytes = _type(c, allowed)
    c.want("(")
    reg, off = _mem(c)
    c.want(")")
    return sign, nbytes, reg, off


def _value_reg(c: Cursor, nbytes: int) -> int:
    token = c.next
    kind, reg = c.register()
    if kind == "w" and nbytes == 8:
        c.fail(f"w{reg} has 32 bits, the access 64", token)
    return reg


def _target(c: Cursor, field: str, bounds: tuple[int, int]) -> tuple[int, Reference | None]:
    """`pc+2`, `+2`, `-0x3` or a label: a distance, or 0 and the reference."""
    if c.next.text == "pc" and c.peek(1).text in ("+", "-"):
        c.take()
    if c.next.kind == "name":
        return 0, Reference(c.take(), field)
    if c.next.text not in ("+", "-"):
        c.fail(f"found {c.next.text!r}, expected a label or a distance (+2, -3, pc+2)")
    return c.number("distance", *bounds), None


def _goto(c: Cursor) -> Statement:
    off, ref = _target(c, "off", S16)
    return Statement((_insn(_op("ja", 0), off=off),), ref)


def _gotol(c: Cursor) -> Statement:
    imm, ref = _target(c, "imm", S32)
    return Statement((_insn(_op("gotol", 0), imm=imm),), ref)


def _may_goto(c: Cursor) -> Statement:
    off, ref = _target(c, "off", S16)
    return Statement((_insn(_op("may_goto", 0), off=off),), ref)


def _if(c: Cursor) -> Statement:
    width, dst = c.register()
    sign = c.want(*JMP_KINDS)
    nbytes = 8 if width == "r" else 4
    if c.is_register():
        token = c.next
        other, src = c.register()
        if other != width:
            c.fail(f"cannot compare {width}{dst} with {other}{src}: both r or both w", token)
        op, imm = _op(JMP_KINDS[sign], nbytes, table.X), 0
    else:
        op, src, imm = _op(JMP_KINDS[sign], nbytes), 0, c.number("constant", *ANY32)
    c.want("goto")
    off, ref = _target(c, "off", S16)
    return Statement((_insn(op, dst, src, off, imm),), ref)


def _numbered(c: Cursor, name: Token) -> int | None:
    """The N of `name#N`."""
    if not c.accept("#"):
        return None
    number = c.number("number of a function", *S32)
    known = HELPER_IDS.get(name.text.removeprefix("bpf_"))
    if known is not None and known != number:
        c.fail(f"{name.text} is helper {known}, not {number}", name)
    return number


def _call(c: Cursor) -> Statement:
    if c.next.kind == "number":
        return _one(_insn(table.BY_NAME["CALL_HELPER"], imm=c.number("helper", *ANY32)))
    if c.next.text in ("+", "-") or (c.next.text == "pc" and c.peek(1).text in ("+", "-")):
        imm, _ = _target(c, "imm", S32)
        return _one(_insn(table.BY_NAME["CALL_LOCAL"], imm=imm))
    name = c.name("a helper, a label or a distance")
    number = _numbered(c, name)
    if name.text == "kfunc" and number is not None:
        off = c.number("index", *S16) if c.accept("@") else 0
        return _one(_insn(table.BY_NAME["CALL_KFUNC"], off=off, imm=number))
    if number is not None:
        return _one(_insn(table.BY_NAME["CALL_HELPER"], imm=number))
    return Statement((_insn(table.BY_NAME["CALL_LOCAL"]),), Reference(name, "imm"))


def _lock(c: Cursor) -> Statement:
    c.want("*")
    c.want("(")
    _, nbytes, dst, off = _place(c)
    sign = c.want(*ATOMIC_KINDS)
    token = c.next
    src = _value_reg(c, nbytes)
    if nbytes < 4:
        c.fail("atomic operations are on u32 and u64", token)
    return _one(_insn(_op(ATOMIC_KINDS[sign], nbytes), dst, src, off))


def _store(c: Cursor) -> Statement:
    c.want("(")
    _, nbytes, dst, off = _place(c)
    c.want("=")
    if c.is_register():
        return _one(_insn(_op("stx", nbytes), dst, _value_reg(c, nbytes), off))
    bounds = S32 if nbytes == 8 else ANY32
    return _one(_insn(_op("st", nbytes), dst, 0, off, c.number("constant", *bounds)))


def _store_release(c: Cursor) -> Statement:
    c.want("(")
    c.want("(")
    _, nbytes = _type(c, "u")
    c.want("(")
    dst, off = _mem(c)
    c.want(")")
    c.want(",")
    src = _value_reg(c, nbytes)
    c.want(")")
    return _one(_insn(_op("store_rel", nbytes), dst, src, off))


def _typed_pointer(c: Cursor) -> tuple[int, int, int]:
    """`((u64 *)(r1 + 0)` of a call-like form: bytes, register, offset."""
    c.want("(")
    c.want("(")
    _, nbytes = _type(c, "u")
    c.want("(")
    reg, off = _mem(c)
    c.want(")")
    return nbytes, reg, off


def _load_acquire(c: Cursor, name: Token, width: str, dst: int) -> Statement:
    nbytes, src, off = _typed_pointer(c)
    c.want(")")
    if width == "w" and nbytes == 8:
        c.fail(f"w{dst} has 32 bits, the access 64", name)
    return _one(_insn(_op("load_acq", nbytes), dst, src, off))


def _fetching(c: Cursor, name: Token, width: str, dst: int) -> Statement:
    """`atomic64_fetch_add((u64 *)(r1 +0), r2)`, and xchg and cmpxchg so."""
    nbytes, base, off = _typed_pointer(c)
    if nbytes < 4 or (name.text.startswith("atomic64_") and nbytes != 8):
        c.fail(f"{name.text} is not on {8 * nbytes} bits", name)
    return _exchange_end(c, _op(name.text.replace("atomic64_", "atomic_"), nbytes), width, dst, base, off)


def _llvm_exchange(c: Cursor, name: Token, width: str, dst: int) -> Statement:
    """`xchg_64(r1 + 0x0, r2)`, `cmpxchg32_32(r1 + 0x0, w0, w2)`."""
    c.want("(")
    base, off = _mem(c)
    verb, bits = name.text.split("_")
    return _exchange_end(c, _op("atomic_" + verb.removesuffix("32"), int(bits) // 8), width, dst, base, off)


def _exchange_end(c: Cursor, op: Op, width: str, dst: int, base: int, off: int) -> Statement:
    c.want(",")
    compare = op.kind == "atomic_cmpxchg"
    if compare:
        token = c.next
        if _value_reg(c, op.nbytes) != 0:
            c.fail("cmpxchg compares with r0", token)
        c.want(",")
    token = c.next
    src = _value_reg(c, op.nbytes)
    c.want(")")
    if width == "w" and op.nbytes == 8:
        c.fail(f"w{dst} has 32 bits, the operation 64", token)
    if dst != (0 if compare else src):
        c.fail(f"the old value comes back in {'r0' if compare else f'r{src}'}, not r{dst}", token)
    return _one(_insn(op, base, src, off))


def _ld_pseudo(c: Cursor) -> Statement:
    _, dst = c.register()
    c.want(",")
    src = c.number("source", 0, 6)
    c.want(",")
    return _constant(dst, src, c.number("constant", *ANY32), 0)


def _constant(dst: int, src: int, low: int, high: int) -> Statement:
    op = next(op for op in table.BY_OPCODE[table.LD | table.DW] if op.src == src)
    return Statement((_insn(op, dst, src, imm=low), Insn(0, imm=(high + (1 << 31)) % (1 << 32) - (1 << 31))))


def _value_offset(c: Cursor) -> int | None:
    """The rest of a map's `[0]+4`: the offset into its only value; None without."""
    if not c.accept("["):
        return None
    c.number("index of the value", 0, 0)
    c.want("]")
    return c.number("offset", *ANY32) if c.next.text in ("+", "-") else 0


def _named_constant(c: Cursor, dst: int, maps: Mapping[str, int]) -> Statement:
    """`map[fd:3]`, `map[idx:0][0]+4`, `btf[7]+1`, `subprog[+5]`; else a map of `maps` or a label, and `ll`."""
    name = c.take()
    if c.next.text == "[" and name.text in ("map", "btf", "subprog") and name.text not in maps:
        statement = _bracketed(c, dst, name.text)
        c.accept("ll")
        return statement
    offset = _value_offset(c)
    if name.text in maps:
        src = table.PSEUDO_MAP_FD if offset is None else table.PSEUDO_MAP_VALUE
        statement = _constant(dst, src, maps[name.text], offset or 0)
    elif offset is not None:
        c.fail(f"no map {name.text!r}; known: {', '.join(maps) or 'none'}", name)
    else:
        statement = replace(_constant(dst, table.PSEUDO_FUNC, 0, 0), reference=Reference(name, "imm"))
    c.want("ll")
    return statement


def _bracketed(c: Cursor, dst: int, what: str) -> Statement:
    c.want("[")
    if what == "subprog":
        distance = c.number("distance", *S32)
        c.want("]")
        return _constant(dst, table.PSEUDO_FUNC, distance, 0)
    if what == "btf":
        number = c.number("BTF id", *S32)
        c.want("]")
        return _constant(dst, table.PSEUDO_BTF_ID, number, c.number("object fd", *S32) if c.next.text in "+-" else 0)
    by_fd = c.want("fd", "idx") == "fd"
    c.want(":")
    number = c.number("map", *S32)
    c.want("]")
    offset = _value_offset(c)
    sources = (table.PSEUDO_MAP_FD, table.PSEUDO_MAP_VALUE, table.PSEUDO_MAP_IDX, table.PSEUDO_MAP_IDX_VALUE)
    return _constant(dst, sources[(0 if by_fd else 2) + (offset is not None)], number, offset or 0)


def _move_constant(c: Cursor, width: str, dst: int, wide: bool) -> Statement:
    token = c.next
    value = c.number("constant", *ANY64)
    if c.accept("ll") or wide:
        if width == "w":
            c.fail("a 64-bit constant goes to r0 to r10", token)
        return _constant(dst, 0, value & 0xFFFFFFFF, value >> 32)
    low, high = S32 if width == "r" else ANY32
    if not low <= value <= high:
        c.fail(f"constant {value:#x} does not fit 32 bits signed; write `r{dst} = {value:#x} ll`", token)
    return _one(_insn(_op("mov", 8 if width == "r" else 4), dst, imm=value))


def _assign(c: Cursor, width: str, dst: int, maps: Mapping[str, int], wide: bool) -> Statement:
    """What follows `rN =`."""
    nbytes = 8 if width == "r" else 4
    if c.next.text == "-" and c.is_register(1):
        c.take()
        token = c.next
        if c.register() != (width, dst):
            c.fail(f"negation is in place: expected {width}{dst}", token)
        return _one(_insn(_op("neg", nbytes), dst))
    if c.next.kind == "number" or c.next.text in ("-", "+"):
        return _move_constant(c, width, dst, wide)
    if c.is_register():
        token = c.next
        other, src = c.register()
        if other != width:
            c.fail(f"cannot move {other}{src} to {width}{dst}: both r or both w", token)
        return _one(_insn(_op("mov", nbytes, table.X), dst, src))
    if c.accept("("):
        return _sign_extend(c, width, dst)
    if c.accept("*"):
        return _load(c, width, dst)
    if c.next.kind != "name":
        c.fail(f"found {c.next.text!r}, expected a value")
    form = _ASSIGN_FORMS.get(c.next.text)
    return form(c, c.take(), width, dst) if form is not None else _named_constant(c, dst, maps)


def _sign_extend(c: Cursor, width: str, dst: int) -> Statement:
    token = c.name("s8, s16 or s32")
    name = f"MOVSX{token.text[1:]}_{64 if width == 'r' else 32}"
    if token.text[:1] != "s" or name not in table.BY_NAME:
        c.fail(f"found {token.text!r}, expected s8, s16" + (" or s32" if width == "r" else ""), token)
    c.want(")")
    token = c.next
    other, src = c.register()
    if other != width:
        c.fail(f"cannot extend {other}{src} to {width}{dst}: both r or both w", token)
    return _one(_insn(table.BY_NAME[name], dst, src))


def _load(c: Cursor, width: str, dst: int) -> Statement:
    c.want("(")
    if c.peek(3).text == "skb":
        return _packet_load(c, dst)
    token = c.next
    sign, nbytes, src, off = _place(c, "us")
    if width == "w" and (nbytes == 8 or sign == "s"):
        c.fail(f"w{dst} has 32 bits; {sign}{8 * nbytes} loads all 64", token)
    return _one(_insn(_op("ldx" if sign == "u" else "ldxsx", nbytes), dst, src, off))


def _packet_load(c: Cursor, dst: int) -> Statement:
    token = c.next
    _, nbytes = _type(c, "u")
    if dst != 0 or nbytes == 8:
        c.fail("packet loads are of u8, u16 or u32 into r0", token)
    c.want("skb")
    c.want("[")
    if c.is_register():
        _, src = c.register()
        if c.next.text == "+" and c.peek(1).text == "-":
            c.take()
        imm = 0 if c.next.text == "]" else c.number("offset", *ANY32)
        statement = _one(_insn(_op("ld_ind", nbytes), 0, src, 0, imm))
    else:
        statement = _one(_insn(_op("ld_abs", nbytes), imm=c.number("offset", *ANY32)))
    c.want("]")
    return statement


def _swap(c: Cursor, name: Token, width: str, dst: int) -> Statement:
    kind = name.text.rstrip("0123456789")
    op = _op(kind, int(name.text[len(kind) :]) // 8, table.X if kind == "be" else 0)
    if c.register() != ("r", dst) or width != "r":
        c.fail(f"a byte swap is in place: expected r{dst} = {name.text} r{dst}", name)
    return _one(_insn(op, dst))


_ASSIGN_FORMS: Final[dict[str, Callable[[Cursor, Token, str, int], Statement]]] = {
    **{f"{kind}{bits}": _swap for kind in ("be", "le", "bswap") for bits in (16, 32, 64)},
    **dict.fromkeys((kind for kind in table.ATOMIC_OPS if kind not in ATOMIC_SIGNS), _fetching),
    **{kind.replace("atomic_", "atomic64_"): _fetching for kind in table.ATOMIC_OPS if kind not in ATOMIC_SIGNS},
    **dict.fromkeys(("xchg_64", "xchg32_32", "cmpxchg_64", "cmpxchg32_32"), _llvm_exchange),
    "load_acquire": _load_acquire,
}

_KEYWORDS: Final[dict[str, Callable[[Cursor], Statement]]] = {
    "goto": _goto,
    "gotol": _gotol,
    "may_goto": _may_goto,
    "if": _if,
    "call": _call,
    "lock": _lock,
    "*": _store,
    "store_release": _store_release,
    "ld_pseudo": _ld_pseudo,
    "exit": lambda c: _one(_insn(table.BY_NAME["EXIT"])),
}


def _arithmetic(c: Cursor, maps: Mapping[str, int], wide: bool) -> Statement:
    width, dst = c.register("an instruction")
    sign = c.want(*ALU_KINDS)
    if sign == "=":
        return _assign(c, width, dst, maps, wide)
    nbytes = 8 if width == "r" else 4
    if not c.is_register():
        bounds = S32 if width == "r" else ANY32
        return _one(_insn(_op(ALU_KINDS[sign], nbytes), dst, imm=c.number("constant", *bounds)))
    token = c.next
    other, src = c.register()
    if other != width:
        c.fail(f"cannot combine {width}{dst} with {other}{src}: both r or both w", token)
    return _one(_insn(_op(ALU_KINDS[sign], nbytes, table.X), dst, src))


def parse(c: Cursor, maps: Mapping[str, int], opcode: int | None = None) -> Statement:
    """One instruction, to the end of the line. `opcode`: the byte Linux's log shows before it, which must be right."""
    start = c.next
    if c.next.text in _KEYWORDS:
        statement = _KEYWORDS[c.take().text](c)
    else:
        statement = _arithmetic(c, maps, wide=opcode == table.LD | table.DW)
    c.end()
    if opcode is not None and statement.slots[0].opcode != opcode:
        c.fail(f"opcode {opcode:02x} is not that of the text, {statement.slots[0].opcode:02x}", start)
    return statement
