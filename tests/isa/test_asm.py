"""The assembler reads what the disassembler writes, in both styles, and what people write by hand."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyebpf.errors import AsmError
from pyebpf.isa.asm import assemble
from pyebpf.isa.disasm import StyleName, disassemble, format_insn
from pyebpf.isa.insn import Insn, decode, encode
from pyebpf.isa.table import BY_NAME, OPS, Op
from tests import linux, require
from tests.isa import objdump
from tests.isa.test_disasm import samples

STYLES: list[StyleName] = ["linux", "llvm"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_row_survives_the_round_trip(op: Op, style: StyleName) -> None:
    for slots in samples(op):
        if op.kind == "call" and slots[0].imm < 0 and style == "llvm":
            slots = [Insn(slots[0].opcode, imm=211)]
        text = format_insn(slots[0], slots[1] if slots[1:] else None, style=style)
        if op.name in ("LD_MAP_FD", "LD_MAP_IDX", "LD_FUNC"):  # the second half of these is 0
            slots[1] = Insn(0)
        assert assemble(text) == slots, text


@st.composite
def programs(draw: st.DrawFn) -> bytes:
    code = b""
    for op in draw(st.lists(st.sampled_from(OPS), max_size=20)):
        insn = Insn(
            op.opcode,
            draw(st.integers(0, 10)) if "d" in op.uses else 0,
            draw(st.integers(0, 10)) if "s" in op.uses else op.src or 0,
            draw(st.integers(-(1 << 15), (1 << 15) - 1)) if "o" in op.uses else op.off or 0,
            draw(st.integers(0 if op.kind == "call" else -(1 << 31), (1 << 31) - 1)) if "i" in op.uses else op.imm or 0,
        )
        code += bytes(insn)
        if op.kind == "ld_imm64":
            has_high = op.name not in ("LD_MAP_FD", "LD_MAP_IDX", "LD_FUNC")
            code += bytes(Insn(0, imm=draw(st.integers(-(1 << 31), (1 << 31) - 1)) if has_high else 0))
    return code


@pytest.mark.parametrize("style", STYLES)
@given(code=programs())
def test_whole_programs_survive_the_round_trip(style: StyleName, code: bytes) -> None:
    text = "\n".join(f"{index}: {line}" if style == "linux" else line for index, line in disassemble(code, style))
    assert encode(assemble(text)) == code


def test_linux_log_is_read_back() -> None:
    require.linux()
    source = "r2 = 7\n r2 *= -3\n if r2 s> 5 goto +2\n r2 = 0x123456789 ll\n *(u64 *)(r10 - 8) = r2\n"
    source += "lock *(u64 *)(r10 - 8) += r2\n r3 = 1\n r3 = atomic_fetch_add((u64 *)(r10 -8), r3)\n w0 = w3\n exit"
    insns = assemble(source)
    log = linux.verdict(insns, "xdp", log_level=2).log
    lines = {}
    for line in log.splitlines():
        head, _, rest = line.partition(": ")
        if head.isdigit() and rest.startswith("("):
            lines[int(head)] = line
    assert len(lines) == 10
    assert assemble("\n".join(lines[n] for n in sorted(lines))) == insns


def test_llvm_objdump_is_read_back() -> None:
    tool = objdump.path()
    require.need("clang", None if tool else "llvm-objdump is not installed")
    assert tool is not None
    source = "l: r1 = *(u32 *)(r2 + 4)\n if w1 != 7 goto l\n r0 = 0xfedcba9876543210 ll\n r0 = be32 r0\n goto l\n exit"
    insns = assemble(source)
    theirs = objdump.disassemble(encode(insns), tool)
    assert assemble("\n".join(theirs[n] for n in sorted(theirs))) == insns


def op(name: str, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> Insn:
    row = BY_NAME[name]
    return Insn(row.opcode, dst, row.src or src, row.off or off, row.imm or imm)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1 = *(u32 *)(r2)", [op("LDX_W", 1, 2)]),
        ("r1=*(u32*)(r2+4)", [op("LDX_W", 1, 2, 4)]),
        ("r1 = *(s8 *)(r2 -4)", [op("LDXSX_B", 1, 2, -4)]),
        ("w1 = *(u16 *)(r2 - 0x4)", [op("LDX_H", 1, 2, -4)]),
        ("*(u8 *)(r1 + 0) = 255", [op("ST_B", 1, imm=255)]),
        ("*(u32 *)(r1 + 0) = 0xffffffff", [op("ST_W", 1, imm=-1)]),
        ("*(u64 *)(r10 - 8) = -1", [op("ST_DW", 10, 0, -8, -1)]),
        ("w1 = 0xffffffff", [op("MOV32_K", 1, imm=-1)]),
        ("w1 &= 0xffff0000", [op("AND32_K", 1, imm=-0x10000)]),
        ("r1 = 0xffffffff ll", [op("LD_IMM64", 1, imm=-1), Insn(0)]),
        ("r1 = -1 ll", [op("LD_IMM64", 1, imm=-1), Insn(0, imm=-1)]),
        ("1: (18) r1 = 0x5 ; R1=5", [op("LD_IMM64", 1, imm=5), Insn(0)]),
        ("if r1 == 0xffffffff goto pc+1", [op("JEQ64_K", 1, off=1, imm=-1)]),
        ("if w1 s<= -5 goto -2", [op("JSLE32_K", 1, off=-2, imm=-5)]),
        ("call map_lookup_elem", [op("CALL_HELPER", imm=1)]),
        ("call bpf_map_lookup_elem", [op("CALL_HELPER", imm=1)]),
        ("call 5 // ktime", [op("CALL_HELPER", imm=5)]),
        ("call pc-3", [op("CALL_LOCAL", imm=-3)]),
        ("call kfunc#12@2", [op("CALL_KFUNC", off=2, imm=12)]),
        ("r0 = *(u8 *)skb[23]", [op("LD_ABS_B", imm=23)]),
        ("r0 = *(u16 *)skb[r6 + -2]", [op("LD_IND_H", 0, 6, 0, -2)]),
        ("r0 = *(u16 *)skb[r6]", [op("LD_IND_H", 0, 6)]),
        ("r3 = xchg_64(r2 - 0x8, r3)", [op("ATOMIC_XCHG64", 2, 3, -8)]),
        ("w3 = atomic_xchg((u32 *)(r2 +0), w3)", [op("ATOMIC_XCHG32", 2, 3)]),
        ("r0 = cmpxchg_64(r2 + 8, r0, r3)", [op("ATOMIC_CMPXCHG64", 2, 3, 8)]),
        ("r1 = m ll", [op("LD_MAP_FD", 1, imm=9), Insn(0)]),
        ("r1 = m[0]+4 ll", [op("LD_MAP_VALUE", 1, imm=9), Insn(0, imm=4)]),
        ("r1 = m[0] ll", [op("LD_MAP_VALUE", 1, imm=9), Insn(0)]),
        ("ld_pseudo r1, 1, 9", [op("LD_MAP_FD", 1, imm=9), Insn(0)]),
        ("r1 = f ll\nf: exit", [op("LD_FUNC", 1, imm=1), Insn(0), op("EXIT")]),
        ("call f\nexit\nf:\nexit", [op("CALL_LOCAL", imm=1), op("EXIT"), op("EXIT")]),
        ("a: b: goto a\ngotol b\nmay_goto a", [op("JA", off=-1), op("JA_LONG", imm=-2), op("MAY_GOTO", off=-3)]),
        ("  # nothing\n\n; nothing\n/* no */ exit // end", [op("EXIT")]),
        ("loop: exit\ncall loop", [op("EXIT"), op("CALL_LOCAL", imm=-2)]),
    ],
)  # fmt: skip
def test_forms_people_write(text: str, expected: list[Insn]) -> None:
    assert assemble(text, {"m": 9}) == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "seen"),
    [
        ("exit\n  r1 = = 5", 2, 8, "found '='"),
        ("r11 = 5", 1, 1, "found 'r11'"),
        ("r1 += w2", 1, 7, "both r or both w"),
        ("r1 = r2 r3", 1, 9, "unexpected 'r3'"),
        ("goto nowhere", 1, 6, "no label 'nowhere'"),
        ("call nothing", 1, 6, "no helper or label 'nothing'"),
        ("call bpf_map_lookup_elem#2", 1, 6, "is helper 1, not 2"),
        ("a: exit\na: exit", 2, 1, "already defined"),
        ("r1 = 0x1ffffffff", 1, 6, "does not fit 32 bits signed"),
        ("r1 = 0x10000000000000000 ll", 1, 6, "does not fit"),
        ("r1 = *(u32 *)(r2 + 32768)", 1, 18, "offset 32768 does not fit"),
        ("r1 = *(u24 *)(r2 + 0)", 1, 8, "expected a type"),
        ("r1 = unknown ll", 1, 6, "no label 'unknown'"),
        ("r1 = unknown[0]+4 ll", 1, 6, "no map 'unknown'"),
        ("r1 = -r2", 1, 7, "expected r1"),
        ("r1 = be16 r2", 1, 6, "in place"),
        ("r1 = cmpxchg_64(r2 + 0, r0, r1)", 1, 29, "comes back in r0"),
        ("r1 = @", 1, 6, "found '@'"),
        ("r1 = ~5", 1, 6, "unexpected character '~'"),
        ("lock *(u8 *)(r1 + 0) += r2", 1, 25, "u32 and u64"),
        ("if r1 == w2 goto +1", 1, 10, "both r or both w"),
        ("if r1 goto +1", 1, 7, "found 'goto'"),
        ("0: (b7) r1 = r2", 1, 9, "opcode b7 is not that of the text, bf"),
        ("w1 = *(u64 *)(r2 + 0)", 1, 8, "w1 has 32 bits"),
        ("*(u64 *)(r1 + 0) = w2", 1, 20, "w2 has 32 bits"),
        ("exit exit", 1, 6, "unexpected 'exit'"),
        ("r1", 1, 3, "found 'end of line'"),
    ],
)  # fmt: skip
def test_errors_say_where_what_was_seen_and_what_was_wanted(text: str, line: int, column: int, seen: str) -> None:
    with pytest.raises(AsmError) as e:
        assemble(text)
    assert (e.value.errno, e.value.line, e.value.column) == (errno.EINVAL, line, column)
    assert seen in str(e.value)


def test_distance_beyond_16_bits_is_an_error_for_goto_and_not_for_gotol() -> None:
    body = "r0 = 0\n" * 40000
    assert assemble(f"gotol end\n{body}end: exit")[0].imm == 40000
    with pytest.raises(AsmError, match="40000 instructions away"):
        assemble(f"goto end\n{body}end: exit")


@given(st.text(alphabet="r0123456789wx=+-*/()[]<>u8su16 ll\nexitgocalj:,#;&|^%.", max_size=60))
def test_any_text_is_assembled_or_refused(text: str) -> None:
    try:
        insns = assemble(text, {"m": 1})
    except AsmError:
        return
    assert list(decode(encode(insns))) == insns
