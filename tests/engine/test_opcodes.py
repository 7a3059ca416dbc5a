"""Every instruction and its corner cases: Linux, interpreter and JIT give what the model of RFC 9669 says."""

import pytest

from pyebpf.isa.asm import assemble
from pyebpf.isa.table import OPS
from pyebpf.spec.kinds import ProgType
from tests import require
from tests.engine import cases, model
from tests.engine.runners import run

EVERYWHERE = ["linux", "interp", "jit"]
CASES = list(cases.cases())


@pytest.fixture(params=EVERYWHERE)
def where(request: pytest.FixtureRequest) -> str:
    if request.param == "linux":
        require.linux()
    return str(request.param)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_instruction(case: cases.Case, where: str) -> None:
    r0, ctx, maps = model.run(case.insns, case.ctx, regions=case.maps)
    got = run(where, case.insns, ctx=case.ctx, maps=case.maps)
    assert got.ctx == ctx
    assert got.maps == tuple(maps)
    assert got.retval == r0


def test_every_row_but_calls_and_jumps_without_condition_has_a_case() -> None:
    names = {case.name.split()[0] for case in CASES}
    others = {op.name for op in OPS} - names
    assert others == {
        *("JA", "JA_LONG", "MAY_GOTO", "CALL_HELPER", "CALL_LOCAL", "CALL_KFUNC", "EXIT"),
        *("LD_MAP_FD", "LD_MAP_VALUE", "LD_BTF_ID", "LD_FUNC", "LD_MAP_IDX", "LD_MAP_IDX_VALUE"),
        *(f"LD_{mode}_{size}" for mode in ("ABS", "IND") for size in "BHW"),
    }


FLOW = {
    "jump over": "r2 = *(u64 *)(r1 + 0)\n r0 = 1\n if r2 == 0 goto +1\n goto +1\n r0 = 2\n exit",
    "jump back": "r0 = 0\n goto b\n a: r0 += 4\n exit\n b: r0 = 3\n goto a",
    "long jump over": "r2 = *(u64 *)(r1 + 0)\n r0 = 1\n if r2 == 0 goto +1\n gotol +1\n r0 = 2\n exit",
    "long jump back": "r0 = 0\n gotol b\n a: r0 += 4\n exit\n b: r0 = 3\n gotol a",
    "bounded loop": "r0 = 0\n r2 = 0\n l: r0 += r2\n r2 += 1\n if r2 < 100 goto l\n exit",
    "loop on the low half": "r0 = 0\n w2 = -5\n l: r0 += 1\n w2 += 1\n if w2 != 0 goto l\n exit",
    "jump of distance 0": "r0 = 9\n goto +0\n if r0 == 9 goto +0\n gotol +0\n exit",
    "may_goto goes on": "r0 = 1\n may_goto +1\n r0 = 2\n exit",
    "local call": "r1 = 20\n r2 = 22\n r6 = 5\n call f\n r0 += r6\n exit\n f: r6 = 100\n r0 = r1\n r0 += r2\n exit",
    "local call takes five arguments": """
        r1 = 1\n r2 = 2\n r3 = 3\n r4 = 4\n r5 = 5\n call f\n exit
        f: r0 = r1\n r0 *= 10\n r0 += r2\n r0 *= 10\n r0 += r3\n r0 *= 10\n r0 += r4\n r0 *= 10\n r0 += r5\n exit""",
    "callee-saved registers survive nested calls": """
        r6 = 6\n r7 = 7\n r8 = 8\n r9 = 9\n call f\n r0 += r6\n r0 += r7\n r0 += r8\n r0 += r9\n exit
        f: r6 = 60\n r7 = 70\n r8 = 80\n r9 = 90\n call g\n r0 += r6\n r0 += r7\n r0 += r8\n r0 += r9\n exit
        g: r6 = 1\n r7 = 1\n r8 = 1\n r9 = 1\n r0 = 5\n exit""",
    "each frame has its own stack": """
        *(u64 *)(r10 - 8) = 1\n r1 = r10\n r1 += -8\n call f\n r1 = *(u64 *)(r10 - 8)\n r0 += r1\n exit
        f: *(u64 *)(r10 - 8) = 50\n r0 = *(u64 *)(r1 + 0)
        *(u64 *)(r1 + 0) = 7\n r2 = *(u64 *)(r10 - 8)\n r0 += r2\n exit""",
    "eight frames": "r1 = 0\n call f1\n exit\n" + "".join(
        f"f{i}: r1 += {i}\n" + (f"call f{i + 1}\n" if i < 7 else "r0 = r1\n") + "r0 += 1\n exit\n" for i in range(1, 8)
    ),
    "call backwards": "r1 = 14\n call g\n exit\n f: r0 = r1\n r0 *= 3\n exit\n g: r1 += 1\n call f\n exit",
    "exit in the middle": "r0 = 3\n if r0 == 3 goto a\n r0 = 4\n exit\n a: exit",
    "whole stack": """
        *(u64 *)(r10 - 512) = 1\n *(u8 *)(r10 - 1) = 2\n r0 = *(u64 *)(r10 - 512)\n r1 = *(u8 *)(r10 - 1)
        r0 += r1\n exit""",
}  # fmt: skip


@pytest.mark.parametrize("name", FLOW)
def test_flow(name: str, where: str) -> None:
    insns = assemble(FLOW[name])
    assert run(where, insns, ctx=bytes(8)).retval == model.run(insns, bytes(8))[0]


def test_r0_has_64_bits_inside_and_32_outside(where: str) -> None:
    insns = assemble("r6 = r1\n call f\n *(u64 *)(r6 + 0) = r0\n exit\n f: r0 = 0x123456789abcdef0 ll\n exit")
    got = run(where, insns, ctx=bytes(8))
    assert got.ctx == (0x123456789ABCDEF0).to_bytes(8, "little")
    assert got.retval == 0x9ABCDEF0


def test_jump_further_than_16_bits(where: str) -> None:
    body = "r0 += 1\n" * 40000
    insns = assemble(
        f"r2 = *(u64 *)(r1 + 0)\n r0 = 0\n if r2 == 1 goto back\n gotol end\n back: {body} exit\n end: r0 += 5\n exit"
    )
    assert run(where, insns, ctx=bytes(8)).retval == 5


PACKET = bytes(range(14, 114))
SIZES = {"u8": 1, "u16": 2, "u32": 4}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", [0, 1, 3, 50, 82, 83, 84, 85, 86, 100, 1000])
def test_packet_load_gives_the_field_in_host_order_or_leaves_with_0(size: str, offset: int, where: str) -> None:
    for text in (
        f"r6 = r1\n r0 = *({size} *)skb[{offset}]\n exit",
        f"r6 = r1\n r7 = {offset - 2}\n r0 = *({size} *)skb[r7 + 2]\n exit",
        f"r6 = r1\n r7 = {offset + 2}\n r0 = *({size} *)skb[r7 + -2]\n exit",
    ):
        insns = assemble(text)
        got = run(where, insns, type=ProgType.SOCKET_FILTER, data=PACKET).retval
        assert got == model.run(insns, packet=PACKET[14:])[0], text
        field = PACKET[14 + offset :][: SIZES[size]]
        assert got == (int.from_bytes(field, "big") if len(field) == SIZES[size] else 0), text


def test_packet_load_keeps_saved_registers_and_leaves_from_a_function(where: str) -> None:
    load = "r6 = r1\n r7 = 7\n r8 = 8\n r9 = 9\n r0 = *(u8 *)skb[0]\n r0 += r7\n r0 += r8\n r0 += r9\n exit"
    insns = assemble(load)
    assert run(where, insns, type=ProgType.SOCKET_FILTER, data=PACKET).retval == PACKET[14] + 24


def test_packet_load_beyond_the_packet_ends_the_program(where: str) -> None:
    insns = assemble("r6 = r1\n r0 = 5\n r0 = *(u32 *)skb[84]\n r0 = 7\n exit")
    assert run(where, insns, type=ProgType.SOCKET_FILTER, data=PACKET).retval == 0
