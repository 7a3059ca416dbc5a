"""Instructions as text, in the form of Linux's verifier log or of llvm-objdump.

style="linux"   (61) r1 = *(u32 *)(r2 +4)        if r1 == 0x0 goto pc+2      call bpf_map_lookup_elem#1
style="llvm"    w1 = *(u32 *)(r2 + 0x4)          if r1 == 0x0 goto +0x2      call 0x1

Both styles name what a 64-bit constant refers to as bpftool does (map[fd:3], map[idx:0][0]+8, subprog[+5]), since
neither Linux nor LLVM has a form that could be read back. LLVM prints a local call like a helper's; here its
distance has a sign (call +0x5), and a kernel function is call kfunc#7.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pyebpf.isa import table
from pyebpf.isa.helper_names import HELPER_NAMES
from pyebpf.isa.insn import Insn, decode

StyleName = Literal["linux", "llvm"]

ALU_SIGNS: Final = {
    "add": "+=", "sub": "-=", "mul": "*=", "div": "/=", "or": "|=", "and": "&=", "lsh": "<<=", "rsh": ">>=",
    "mod": "%=", "xor": "^=", "mov": "=", "arsh": "s>>=", "sdiv": "s/=", "smod": "s%=",
}  # fmt: skip
JMP_SIGNS: Final = {
    "jeq": "==", "jgt": ">", "jge": ">=", "jset": "&", "jne": "!=", "jsgt": "s>", "jsge": "s>=", "jlt": "<",
    "jle": "<=", "jslt": "s<", "jsle": "s<=",
}  # fmt: skip
ATOMIC_SIGNS: Final = {"atomic_add": "+=", "atomic_or": "|=", "atomic_and": "&=", "atomic_xor": "^="}
PSEUDO_FORMS: Final = {
    table.PSEUDO_MAP_FD: "map[fd:{0}]",
    table.PSEUDO_MAP_VALUE: "map[fd:{0}][0]{1:+d}",
    table.PSEUDO_BTF_ID: "btf[{0}]{1:+d}",
    table.PSEUDO_FUNC: "subprog[{0:+d}]",
    table.PSEUDO_MAP_IDX: "map[idx:{0}]",
    table.PSEUDO_MAP_IDX_VALUE: "map[idx:{0}][0]{1:+d}",
}


def signed_hex(value: int) -> str:
    """0x10, -0x10: LLVM's immediates."""
    return f"-{-value:#x}" if value < 0 else f"{value:#x}"


def _spaced_hex(value: int) -> str:
    return f" - {-value:#x}" if value < 0 else f" + {value:#x}"


def _plus_hex(value: int) -> str:
    return f"-{-value:#x}" if value < 0 else f"+{value:#x}"


@dataclass(frozen=True, slots=True)
class _Style:
    """The tokens in which the two forms differ."""

    imm: Callable[[int], str]
    jump_imm: Callable[[int], str]
    mem_off: Callable[[int], str]
    target: Callable[[int], str]
    skb_off: Callable[[int], str]
    narrow: str  # prefix of the register of a load or store below 8 bytes
    wide_atomic: str  # what a 64-bit fetching atomic has in its name
    exchange: str  # xchg and cmpxchg
    constant: Callable[[int], str]
    pseudo_end: str


LINUX: Final = _Style(
    imm=str,
    jump_imm=lambda v: f"{v & 0xFFFFFFFF:#x}",
    mem_off=lambda v: f" {v:+d}",
    target=lambda v: f"pc{v:+d}",
    skb_off=lambda v: f" + {v}",
    narrow="r",
    wide_atomic="64",
    exchange="{dst} = atomic{wide}_{verb}(({type})({mem}), {args})",
    constant=lambda v: f"{v & (1 << 64) - 1:#x}",
    pseudo_end="",
)
LLVM: Final = _Style(
    imm=signed_hex,
    jump_imm=signed_hex,
    mem_off=_spaced_hex,
    target=_plus_hex,
    skb_off=lambda v: _spaced_hex(v) if v else "",
    narrow="w",
    wide_atomic="",
    exchange="{dst} = {verb}{sizes}({mem}, {args})",
    constant=lambda v: f"{signed_hex(v)} ll",
    pseudo_end=" ll",
)
STYLES: Final = {"linux": LINUX, "llvm": LLVM}


def _alu_reg(op: table.Op, number: int) -> str:
    return f"{'w' if op.cls == table.ALU else 'r'}{number}"


def _alu(s: _Style, op: table.Op, i: Insn) -> str:
    right = _alu_reg(op, i.src) if op.opcode & table.X else s.imm(i.imm)
    return f"{_alu_reg(op, i.dst)} {ALU_SIGNS[op.kind]} {right}"


def _movsx(_: _Style, op: table.Op, i: Insn) -> str:
    return f"{_alu_reg(op, i.dst)} = (s{i.off}){_alu_reg(op, i.src)}"


def _neg(_: _Style, op: table.Op, i: Insn) -> str:
    reg = _alu_reg(op, i.dst)
    return f"{reg} = -{reg}"


def _swap(_: _Style, op: table.Op, i: Insn) -> str:
    return f"r{i.dst} = {op.kind}{i.imm} r{i.dst}"


def _jump(s: _Style, op: table.Op, i: Insn) -> str:
    prefix = "w" if op.cls == table.JMP32 else "r"
    right = f"{prefix}{i.src}" if op.opcode & table.X else s.jump_imm(i.imm)
    return f"if {prefix}{i.dst} {JMP_SIGNS[op.kind]} {right} goto {s.target(i.off)}"


def _call(s: _Style, _: table.Op, i: Insn) -> str:
    if s is LLVM:
        return f"call {i.imm & 0xFFFFFFFF:#x}"
    known = i.src == 0 and 0 <= i.imm < len(HELPER_NAMES)
    return f"call bpf_{HELPER_NAMES[i.imm]}#{i.imm}" if known else f"call unknown#{i.imm}"


def _call_kfunc(_: _Style, op: table.Op, i: Insn) -> str:
    return f"call kfunc#{i.imm}" + (f"@{i.off}" if i.off else "")


def _type(op: table.Op, sign: str = "u") -> str:
    return f"{sign}{op.nbytes * 8} *"


def _place(s: _Style, op: table.Op, reg: int, off: int, sign: str = "u") -> str:
    return f"*({_type(op, sign)})(r{reg}{s.mem_off(off)})"


def _mem_reg(s: _Style, op: table.Op, number: int) -> str:
    return f"{'r' if op.nbytes == 8 else s.narrow}{number}"


def _load(s: _Style, op: table.Op, i: Insn) -> str:
    return f"{_mem_reg(s, op, i.dst)} = {_place(s, op, i.src, i.off)}"


def _load_signed(s: _Style, op: table.Op, i: Insn) -> str:
    return f"r{i.dst} = {_place(s, op, i.src, i.off, 's')}"


def _store(s: _Style, op: table.Op, i: Insn) -> str:
    right = s.imm(i.imm) if op.kind == "st" else _mem_reg(s, op, i.src)
    return f"{_place(s, op, i.dst, i.off)} = {right}"


def _skb(s: _Style, op: table.Op, i: Insn) -> str:
    where = s.imm(i.imm) if op.kind == "ld_abs" else f"r{i.src}{s.skb_off(i.imm)}"
    return f"r0 = *({_type(op)})skb[{where}]"


def _atomic(s: _Style, op: table.Op, i: Insn) -> str:
    return f"lock {_place(s, op, i.dst, i.off)} {ATOMIC_SIGNS[op.kind]} {_mem_reg(s, op, i.src)}"


def _atomic_fetch(s: _Style, op: table.Op, i: Insn) -> str:
    reg = _mem_reg(s, op, i.src)
    wide = s.wide_atomic if op.nbytes == 8 else ""
    verb = op.kind.removeprefix("atomic_")
    return f"{reg} = atomic{wide}_{verb}(({_type(op)})(r{i.dst}{s.mem_off(i.off)}), {reg})"


def _exchange(s: _Style, op: table.Op, i: Insn) -> str:
    reg, r0 = _mem_reg(s, op, i.src), _mem_reg(s, op, 0)
    compare = op.kind == "atomic_cmpxchg"
    return s.exchange.format(
        dst=r0 if compare else reg,
        wide=s.wide_atomic if op.nbytes == 8 else "",
        sizes="_64" if op.nbytes == 8 else "32_32",
        verb=op.kind.removeprefix("atomic_"),
        type=_type(op),
        mem=f"r{i.dst}{s.mem_off(i.off)}",
        args=f"{r0}, {reg}" if compare else reg,
    )


def _load_acquire(s: _Style, op: table.Op, i: Insn) -> str:
    return f"{_mem_reg(s, op, i.dst)} = load_acquire(({_type(op)})(r{i.src}{s.mem_off(i.off)}))"


def _store_release(s: _Style, op: table.Op, i: Insn) -> str:
    return f"store_release(({_type(op)})(r{i.dst}{s.mem_off(i.off)}), {_mem_reg(s, op, i.src)})"


_FORMS: Final[dict[str, Callable[[_Style, table.Op, Insn], str]]] = {
    **dict.fromkeys(ALU_SIGNS, _alu),
    **dict.fromkeys(JMP_SIGNS, _jump),
    **dict.fromkeys(ATOMIC_SIGNS, _atomic),
    **dict.fromkeys([kind for kind in table.ATOMIC_OPS if "fetch" in kind], _atomic_fetch),
    **dict.fromkeys(("atomic_xchg", "atomic_cmpxchg"), _exchange),
    **dict.fromkeys(("le", "be", "bswap"), _swap),
    **dict.fromkeys(("st", "stx"), _store),
    **dict.fromkeys(("ld_abs", "ld_ind"), _skb),
    "movsx": _movsx,
    "neg": _neg,
    "ja": lambda s, _, i: f"goto {s.target(i.off)}",
    "gotol": lambda s, _, i: f"gotol {s.target(i.imm)}",
    "may_goto": lambda s, _, i: f"may_goto {s.target(i.off)}",
    "call": _call,
    "call_local": lambda s, _, i: f"call {s.target(i.imm)}",
    "call_kfunc": _call_kfunc,
    "exit": lambda s, op, i: "exit",
    "ldx": _load,
    "ldxsx": _load_signed,
    "load_acq": _load_acquire,
    "store_rel": _store_release,
}


def _unknown_linux(i: Insn) -> str:
    """What Linux prints of an encoding that no row has, just before it refuses the program."""
    rows = table.BY_OPCODE.get(i.opcode, ())
    if not rows or (i.opcode & 0xE7 == table.STX | table.ATOMIC):
        # Atomics on 1 and 2 bytes exist only as load_acquire and store_release; Linux prints the others all the same.
        wide = table.find(table.STX | table.ATOMIC | table.DW, i.src, i.off, i.imm)
        if rows and wide is not None:
            op = table.Op("", i.opcode, wide.kind, "dso", table.SIZE_BYTES[i.opcode & 0x18])
            return f"({i.opcode:02x}) {_FORMS[op.kind](LINUX, op, i)}"
        return f"BUG_{i.opcode:02x}"
    op = rows[0]
    if op.kind == "may_goto":
        text = f"if r{i.dst} (null) {LINUX.jump_imm(i.imm)} goto {LINUX.target(i.off)}"
    elif op.name == "MOV64_X" and i.off == 1:
        text = f"r{i.dst} = addr_space_cast(r{i.src}, {i.imm >> 16 & 0xFFFF}, {i.imm & 0xFFFF})"
    else:
        text = _FORMS[op.kind](LINUX, op, i) if op.kind in _FORMS else f"r{i.dst} = {i.imm & 0xFFFFFFFF:#x}"
    return f"({i.opcode:02x}) {text}"


def _constant(s: _Style, i: Insn, following: Insn | None, constant: int | None) -> str:
    high = following.imm if following is not None else 0
    if constant is not None:
        return f"r{i.dst} = {s.constant(constant)}"
    if i.src:
        return f"r{i.dst} = {PSEUDO_FORMS[i.src].format(i.imm, high)}{s.pseudo_end}"
    value = (high << 32) | (i.imm & 0xFFFFFFFF)
    return f"r{i.dst} = {s.constant(value)}"


def format_insn(
    insn: Insn,
    following: Insn | None = None,
    *,
    style: StyleName = "linux",
    constant: int | None = None,
    callee: str = "",
) -> str:
    """The text of one instruction.

    following: the slot after it, the high half of a 64-bit constant.
    constant: printed instead of what a 64-bit constant names; Linux's log has addresses of maps there.
    callee: printed instead of the number of a kernel function.
    Encodings that no row of the table has give Linux's text for them, or "<unknown>" in llvm style.
    """
    s = STYLES[style]
    op = insn.op
    if op is None:
        return _unknown_linux(insn) if s is LINUX else "<unknown>"
    if op.kind == "ld_imm64":
        text = _constant(s, insn, following, constant)
    elif op.kind == "call_kfunc" and callee:
        text = f"call {callee}#{insn.imm}"
    else:
        text = _FORMS[op.kind](s, op, insn)
    return f"({insn.opcode:02x}) {text}" if s is LINUX else text


def disassemble(code: bytes, style: StyleName = "linux") -> Iterator[tuple[int, str]]:
    """(instruction number, text) of each instruction; a 64-bit constant takes two numbers and one line."""
    insns = list(decode(code))
    index = 0
    while index < len(insns):
        following = insns[index + 1] if index + 1 < len(insns) else None
        yield index, format_insn(insns[index], following, style=style)
        op = insns[index].op
        index += 2 if op is not None and op.kind == "ld_imm64" else 1
