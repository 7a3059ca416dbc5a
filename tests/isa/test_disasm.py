"""The disassembler's text is Linux's own and llvm-objdump's, instruction by instruction."""

import re
from collections.abc import Iterator

import pytest

from pyebpf.isa import table
from pyebpf.isa.disasm import disassemble, format_insn
from pyebpf.isa.helper_names import HELPER_NAMES
from pyebpf.isa.insn import Insn, encode
from pyebpf.isa.table import BY_NAME, OPS, Op
from pyebpf.spec.helpers import HELPERS
from tests import linux, require
from tests.isa import objdump

EXIT = Insn(BY_NAME["EXIT"].opcode)
OFFSETS = (-8, 0, 6, 32767, -32768)
IMMEDIATES = (7, 0, -1, 0x7FFFFFFF, -0x80000000)


def samples(op: Op) -> Iterator[list[Insn]]:
    """The instruction with several operand values; a 64-bit constant with its second slot."""
    for index, (off, imm) in enumerate(zip(OFFSETS, IMMEDIATES, strict=True)):
        insn = Insn(
            op.opcode,
            (index * 2) % 11 if "d" in op.uses else 0,
            (index * 2 + 3) % 11 if "s" in op.uses else op.src or 0,
            off if "o" in op.uses else op.off or 0,
            imm if "i" in op.uses else op.imm or 0,
        )
        yield [insn, Insn(0, imm=IMMEDIATES[4 - index])] if op.kind == "ld_imm64" else [insn]


def kernel_text(insns: list[Insn], **options: object) -> dict[int, str]:
    """Instruction number to the text in Linux's log; the program need not be accepted."""
    log = linux.verdict(insns, "socket_filter", log_level=2, **options).log
    lines = re.findall(r"^(\d+): (\(..\) .*?)\s*(?:; .*)?$", log, re.MULTILINE)
    return {int(n): text for n, text in lines}


def preamble() -> list[Insn]:
    """r6 = context, r2 = 1, r0 = 1, eight stack bytes written."""
    mov = BY_NAME["MOV64_K"].opcode
    return [
        Insn(BY_NAME["MOV64_X"].opcode, 6, 1),
        Insn(BY_NAME["ST_DW"].opcode, 10, 0, -8, -5),
        Insn(mov, 2, imm=1),
        Insn(mov, 0, imm=1),
    ]


def runnable(op: Op) -> Iterator[Insn]:
    """The instruction with operands that Linux's verifier accepts after `preamble`."""
    values = (1, 63, 31) if op.kind in ("lsh", "rsh", "arsh") else (7, -1, -0x80000000)
    if op.kind in ("lsh", "rsh", "arsh") and op.nbytes == 4:
        values = (1, 31, 5)
    for value in values if "i" in op.uses else (7,):
        memory = op.kind in ("ldx", "ldxsx", "load_acq", "st", "stx", "store_rel") or op.kind.startswith("atomic")
        load = op.kind in ("ldx", "ldxsx", "load_acq")
        yield Insn(
            op.opcode,
            10 if memory and not load else 2 if "d" in op.uses else 0,
            10 if load else 2 if "s" in op.uses else op.src or 0,
            (-8 if memory else 0) if "o" in op.uses else op.off or 0,
            value if "i" in op.uses else op.imm or 0,
        )


EASY = [
    op for op in OPS
    if op.kind not in ("ld_imm64", "ld_abs", "ld_ind", "call", "call_local", "call_kfunc", "gotol", "exit")
]  # fmt: skip


def test_each_row_prints_as_in_linux_log() -> None:
    require.linux()
    for op in EASY:
        insns = list(runnable(op))
        start = preamble()
        texts = kernel_text([*start, *insns, Insn(BY_NAME["MOV64_K"].opcode), EXIT])
        for index, insn in enumerate(insns, len(start)):
            assert format_insn(insn) == texts[index], op.name


def test_packet_loads_constants_calls_and_long_jumps_print_as_in_linux_log() -> None:
    require.linux()
    mov, lddw = BY_NAME["MOV64_K"].opcode, BY_NAME["LD_IMM64"].opcode
    body = preamble()
    for size in ("B", "H", "W"):
        body += [Insn(BY_NAME[f"LD_ABS_{size}"].opcode, imm=imm) for imm in (14, -0x1000)]
        body += [Insn(BY_NAME[f"LD_IND_{size}"].opcode, src=7, imm=imm) for imm in (14, -5)]
    body.insert(0, Insn(mov, 7, imm=1))
    for low, high in ((-1, 5), (-1, 0), (0, -1), (0, 0), (5, -0x80000000)):
        body += [Insn(lddw, 1, imm=low), Insn(0, imm=high)]
    body += [Insn(BY_NAME["JA_LONG"].opcode, imm=0), Insn(0x85, imm=5), Insn(0x85, src=1, imm=2)]
    body += [Insn(mov), EXIT, Insn(mov, 0, imm=3), EXIT]
    texts = kernel_text(body)
    ours = dict(disassemble(encode(body)))
    assert {n: ours[n] for n in texts} == texts
    assert len(texts) >= len(body) - 5


def test_refused_encodings_print_as_in_linux_log() -> None:
    require.linux()
    odd = [
        Insn(0x37, 1, 0, 2, 5), Insn(0xBF, 1, 1, 5), Insn(0xD4, 1, 0, 0, 17), Insn(0x85, 0, 3, 0, 5),
        Insn(0x85, imm=9999), Insn(0x85, imm=-1), Insn(0x85, imm=0), Insn(0xBF, 1, 1, 1, 1), Insn(0x07, 12, 0, 0, 1),
        Insn(0xE5, 0, 1), Insn(0x05, imm=7), Insn(0xD3, 10, 1, -8), Insn(0xCB, 10, 1, -8, 0xF1),
        Insn(0x62, 10, 1, -8, -1),
    ]  # fmt: skip
    for insn in odd:
        texts = kernel_text([insn, Insn(BY_NAME["MOV64_K"].opcode), EXIT])
        assert texts[0] == format_insn(insn)


def test_atomic_without_meaning_is_a_bug_line_as_in_linux() -> None:
    require.linux()
    insn = Insn(0xC3, 1, 1, 0, 0x77)
    log = linux.verdict([insn, EXIT], "socket_filter", log_level=2).log
    assert f"0: {format_insn(insn)}\n" in log


def test_helper_names_are_linux_names() -> None:
    require.linux()
    for number in range(len(HELPER_NAMES) + 1):
        call = Insn(0x85, imm=number)
        assert kernel_text([call, EXIT])[0] == format_insn(call)


def test_prototypes_have_the_names_of_their_numbers() -> None:
    assert [(h.id, h.name) for h in HELPERS] == [(h.id, HELPER_NAMES[h.id]) for h in HELPERS]


def llvm_knows(op: Op) -> bool:
    """llvm-objdump 19 has no load-acquire and store-release, and shows neither pseudo sources nor an LD_IND offset;
    a call's meaning is not in its text, and a helper's number is not negative."""
    pseudo = op.kind == "ld_imm64" and op.src != 0
    return not pseudo and op.kind not in ("load_acq", "store_rel", "ld_ind", "call_local", "call_kfunc")


def test_each_row_prints_as_in_llvm_objdump() -> None:
    tool = objdump.path()
    require.need("clang", None if tool else "llvm-objdump is not installed")
    assert tool is not None
    code = [slots for op in OPS if llvm_knows(op) for slots in samples(op) if op.kind != "call" or slots[0].imm >= 0]
    theirs = objdump.disassemble(encode(i for slots in code for i in slots), tool)
    index = 0
    for slots in code:
        assert format_insn(slots[0], slots[1] if slots[1:] else None, style="llvm") == theirs[index]
        index += len(slots)


@pytest.mark.parametrize("style", ["linux", "llvm"])
def test_what_a_constant_refers_to_is_named(style: str) -> None:
    end = "" if style == "linux" else " ll"
    head = "(18) " if style == "linux" else ""
    for name, low, high, text in (
        ("LD_MAP_FD", 3, 0, "map[fd:3]"),
        ("LD_MAP_VALUE", 3, 8, "map[fd:3][0]+8"),
        ("LD_MAP_IDX", 0, 0, "map[idx:0]"),
        ("LD_MAP_IDX_VALUE", 1, 4, "map[idx:1][0]+4"),
        ("LD_FUNC", -5, 0, "subprog[-5]"),
        ("LD_BTF_ID", 77, 1, "btf[77]+1"),
    ):
        insn = Insn(table.LD | table.DW, 1, BY_NAME[name].src or 0, imm=low)
        assert format_insn(insn, Insn(0, imm=high), style=style) == f"{head}r1 = {text}{end}"  # type: ignore[arg-type]


def test_constant_and_callee_can_be_given() -> None:
    insn = Insn(table.LD | table.DW, 1, table.PSEUDO_MAP_FD, imm=3)
    assert format_insn(insn, Insn(0), constant=0xFFFF888100000000) == "(18) r1 = 0xffff888100000000"
    assert format_insn(Insn(0x85, src=2, imm=9), callee="bpf_iter_num_new") == "(85) call bpf_iter_num_new#9"
