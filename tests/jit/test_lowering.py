"""What the JIT emits for an instruction or a pattern, read back by a disassembler.

One row a rule: assembly, instructions that must be there (in this order), texts that no instruction may contain.
Registers: R0 rax, R1 rdi, R2 rsi, R3 rdx, R4 rcx, R5 r8, R6 rbx, R7 r13, R8 r14, R9 r15, R10 rbp, the run r12.
"""

import pytest

from pyebpf.native import NativeMap
from pyebpf.spec.kinds import MapType, ProgType
from pyebpf.spec.verified import FactFlag, ProgFlag
from tests.engine.differential import Differential
from tests.jit.machine import DEAD, cpu_has, emitted

ROTATE_BY_COPIES = "w2 = w1\nw2 >>= 13\nw3 = w1\nw3 <<= 19\nw3 |= w2\nw0 = w3\nw0 += w1\nexit"
ROTATE_IN_PLACE = "w2 = w1\nw2 >>= 28\nw3 -= w1\nw1 <<= 4\nw1 |= w2\nw0 = w1\nw0 += w3\nexit"

RULES = {
    # moves and constants
    "a constant of 32 bits": ("r0 = 5\nexit", ["mov eax, 5"], ["movabs"]),
    "a constant of 64 bits": ("r0 = 0x123456789abcdef0 ll\nexit", ["movabs rax, 0x123456789abcdef0"], []),
    "a negative constant": ("r0 = -1\nexit", ["mov rax, 0xffffffffffffffff"], ["movabs"]),
    "zero": ("r0 = 0\nexit", ["xor eax, eax"], ["mov"]),
    "sign extension": ("r0 = (s8)r1\nexit", ["movsx rax, dil"], []),
    "sign extension to 32 bits": ("w0 = (s16)w1\nexit", ["movsx eax, di"], []),
    # arithmetic
    "sum": ("r0 = r1\nr0 ^= r2\nexit", ["mov rax, rdi", "xor rax, rsi"], []),
    "sum of 128 fits a byte": ("r0 = r1\nr0 *= r2\nr0 += 128\nexit", ["sub rax, -0x80"], ["0x80000000"]),
    "multiplication by a power of two": ("r0 = r1\nr0 *= 8\nexit", ["shl rax, 3"], ["imul"]),
    "multiplication": ("r0 = r1\nr0 *= 10\nexit", ["imul rax, rax, 0xa"], []),
    "mask of a byte": ("r0 = r1\nr0 &= 255\nexit", ["movzx eax, al"], ["and"]),
    "positive mask in 32 bits": ("r0 = r1\nr0 &= 0xfff\nexit", ["and eax, 0xfff"], ["and rax"]),
    "negative mask in 64 bits": ("r0 = r1\nr0 &= -16\nexit", ["and rax, 0xfffffffffffffff0"], []),
    "unsigned division by a power of two": ("r0 = r1\nr0 /= 16\nexit", ["shr rax, 4"], ["div"]),
    "unsigned rest by a power of two": ("r0 = r1\nr0 %= 16\nexit", ["and eax, 0xf"], ["div"]),
    "division by the constant 0": ("r0 = r1\nr0 /= 0\nexit", ["xor eax, eax"], ["div"]),
    "signed division by the constant -1": ("r0 = r1\nr0 s/= -1\nexit", ["neg rax"], ["div", "cmp"]),
    "division tests for 0": ("r0 = r1\nr0 /= r2\nexit", ["test r11, r11", "div r11"], ["idiv"]),
    "signed division tests for 0 and -1": (
        "w0 = w1\nw0 s/= w2\nexit", ["test r11d, r11d", "cmp r11d, -1", "cdq", "idiv r11d"], [],
    ),
    "byte swap of 16 bits": ("r0 = r1\nr0 = be16 r0\nexit", ["rol ax, 8", "movzx eax, ax"], []),
    "byte swap of 64 bits": ("r0 = r1\nr0 = bswap64 r0\nexit", ["bswap rax"], []),
    # memory
    "load of a byte": ("r0 = *(u8 *)(r1 + 7)\nexit", ["movzx eax, byte ptr [rdi + 7]"], []),
    "load of a word": ("r0 = *(u32 *)(r1 - 8)\nexit", ["mov eax, dword ptr [rdi - 8]"], []),
    "load with sign": ("r0 = *(s32 *)(r1 + 0)\nexit", ["movsxd rax, dword ptr [rdi]"], []),
    "store of a constant": ("r0 = 0\n*(u16 *)(r1 + 2) = 7\nexit", ["mov word ptr [rdi + 2], 7"], []),
    "store of a register": ("r0 = 0\n*(u8 *)(r2 + 300) = r1\nexit", ["mov byte ptr [rsi + 0x12c], dil"], []),
    "atomic addition": ("r0 = 0\nlock *(u64 *)(r1 + 8) += r2\nexit", ["lock add qword ptr [rdi + 8], rsi"], []),
    "atomic addition that fetches": (
        "r0 = atomic_fetch_add((u32 *)(r1 + 8), r0)\nexit", ["lock xadd dword ptr [rdi + 8], eax"], ["cmpxchg"],
    ),
    "atomic or that fetches": (
        "r2 = atomic64_fetch_or((u64 *)(r1 + 0), r2)\nr0 = r2\nexit",
        ["mov rax, qword ptr [rdi]", "or r10, rsi", "lock cmpxchg qword ptr [rdi], r10", "jne"], [],
    ),
    "exchange": ("r2 = xchg_64(r1 + 0, r2)\nr0 = r2\nexit", ["xchg qword ptr [rdi], rsi"], []),
    "32-bit compare and exchange extends R0": (
        "w0 = 1\nr0 = cmpxchg32_32(r1 + 0, r0, r2)\nexit", ["lock cmpxchg dword ptr [rdi], esi", "mov eax, eax"], [],
    ),
    "load-acquire is a load": ("r0 = load_acquire((u64 *)(r1 + 0))\nexit", ["mov rax, qword ptr [rdi]"], ["lock"]),
    "store-release is a store": (
        "r0 = 0\nstore_release((u64 *)(r1 + 0), r2)\nexit", ["mov qword ptr [rdi], rsi"], ["lock", "xchg"],
    ),
    # jumps
    "comparison with zero": ("r0 = 1\nif r1 == 0 goto +1\nr0 = 2\nexit", ["test rdi, rdi", "je"], ["cmp"]),
    "32-bit comparison": ("r0 = 1\nif w1 s> 7 goto +1\nr0 = 2\nexit", ["cmp edi, 7", "jg"], []),
    "test of low bits": ("r0 = 1\nif r1 & 8 goto +1\nr0 = 2\nexit", ["test dil, 8", "jne"], []),
    "a jump to the next instruction": ("goto +0\nr0 = 2\nexit", ["mov eax, 2"], ["jmp"]),
    # patterns
    "copy and sum": ("r0 = r1\nr0 += 14\nexit", ["lea rax, [rdi + 0xe]"], ["add", "mov"]),
    "copy and difference": ("r0 = r1\nr0 -= 8\nexit", ["lea rax, [rdi - 8]"], ["sub"]),
    "sum of two": ("r0 = r1\nr0 += r2\nexit", ["lea rax, [rdi + rsi]"], ["add"]),
    "32-bit sum of two": ("w0 = w1\nw0 += w2\nexit", ["lea eax, [rdi + rsi]"], ["add", "mov"]),
    "address of an element": ("r0 = r1\nr0 <<= 3\nr0 += r2\nexit", ["lea rax, [rsi + rdi*8]"], ["shl", "add"]),
    "rotation by copies": (ROTATE_BY_COPIES, ["rorx edx, edi, 0xd"], ["shl", "shr", "or "]),
    "rotation in place": (ROTATE_IN_PLACE, ["rol edi, 4"], ["shl", "shr", "or "]),
    "shifts that extend": ("r0 = r1\nr0 <<= 32\nr0 >>= 32\nexit", ["mov eax, edi"], ["shl", "shr", "rax"]),
    "shifts that extend with sign": ("r0 = r1\nr0 <<= 32\nr0 s>>= 32\nexit", ["movsxd rax, edi"], ["shl", "sar"]),
    "32-bit shift spelled in 64 bits": (
        "r0 = r1\nr0 <<= 32\nr0 >>= 45\nexit", ["mov rax, rdi", "shr eax, 0xd"], ["shl"],
    ),
    "signed 32-bit shift spelled in 64 bits, upper half read": (
        "r0 = r1\nr0 <<= 32\nr0 s>>= 45\nexit", ["shl rax, 0x20", "sar rax, 0x2d"], [],
    ),
    "64-bit sum of which 32 are read": (
        "r1 *= r2\nw0 = w1\nexit", ["imul edi, esi", "mov eax, edi"], [],
    ),
    "load and swap": ("r0 = *(u32 *)(r1 + 4)\nr0 = be32 r0\nexit", ["movbe eax, dword ptr [rdi + 4]"], ["bswap"]),
    "load and swap of 16 bits needs no extension": (
        "r0 = *(u16 *)(r1 + 4)\nr0 = be16 r0\nexit", ["movzx eax, word ptr [rdi + 4]", "rol ax, 8"], ["movzx eax, ax"],
    ),
    "load and compare": (
        "r0 = 1\nr2 = *(u8 *)(r1 + 3)\nif r2 == 6 goto +1\nr0 = 0\nexit",
        ["cmp byte ptr [rdi + 3], 6", "je"], ["movzx"],
    ),
    "mask and compare": (
        "r0 = 1\nr1 &= 64\nif r1 == 0 goto +1\nr0 = 0\nexit", ["test dil, 0x40", "je"], ["and", "cmp"],
    ),
    "mask that lives on sets the flags": (
        "r0 = 1\nr1 &= 0x4000\nif r1 == 0 goto +1\nr0 = r1\nexit", ["and edi, 0x4000", "je"], ["test", "cmp"],
    ),
    "address of two registers": (
        "r2 = r1\nr2 += r3\nr0 = *(u16 *)(r2 + 4)\nexit", ["movzx eax, word ptr [rdi + rdx + 4]"], ["lea", "add"],
    ),
    "store through an address that dies": (
        "r2 = r1\nr2 += -40\n*(u8 *)(r2 + 8) = 1\nr0 = 0\nexit", ["mov byte ptr [rdi - 0x20], 1"], ["lea", "add"],
    ),
    "store through an address that lives on": (
        "r2 = r1\nr2 += -40\n*(u8 *)(r2 + 8) = 1\nr0 = r2\nexit",
        ["lea rsi, [rdi - 0x28]", "mov byte ptr [rsi + 8], 1"], [],
    ),
    "copy, mask and compare": (
        "r0 = 1\nr2 = r1\nr2 &= 64\nif r2 == 0 goto +1\nr0 = r1\nexit", ["test dil, 0x40", "je"], ["and", "mov rsi"],
    ),
    "store of a constant in a register": (
        "r0 = 0\nw2 = 0xdd86\n*(u16 *)(r1 + 10) = r2\nexit", ["mov word ptr [rdi + 0xa], 0xdd86"], ["esi"],
    ),
    "store of a constant that 8 bytes cannot extend": (
        "r0 = 0\nw2 = 0x80000000\n*(u64 *)(r1 + 8) = r2\nexit",
        ["mov esi, 0x80000000", "mov qword ptr [rdi + 8], rsi"], [],
    ),
    "zeroing 48 bytes": (
        "r0 = 0\n" + "".join(f"*(u32 *)(r1 + {n}) = r0\n" for n in range(0, 48, 4)) + "exit",
        ["xorps xmm0, xmm0"] + ["movups xmmword ptr"] * 3, ["mov dword"],
    ),
    "zeroing the stack keeps to alignment": (
        "r0 = 0\n" + "".join(f"*(u64 *)(r10 - {n}) = r0\n" for n in range(8, 48, 8)) + "r0 = *(u64 *)(r10 - 40)\nexit",
        ["mov qword ptr [rbp - 0x28], 0", "movups xmmword ptr [rbp - 0x20]", "movups xmmword ptr [rbp - 0x10]"],
        [],
    ),
    # what is not there
    "a result nobody reads": ("r0 = 1\nr1 *= r2\nr3 = 7\nexit", ["mov eax, 1"], ["imul", "edx"]),
    "an extension of a value that has 32 bits": ("w0 = w1\nw0 = w0\nexit", ["mov eax, edi"], ["mov eax, eax"]),
    "an extension that nobody sees": (
        "r1 += r2\nw1 = w1\nr0 = 0\n*(u32 *)(r2 + 0) = r1\nexit", ["add edi, esi"], ["mov edi, edi"],
    ),
    "a mask of a loaded byte": ("r0 = *(u8 *)(r1 + 0)\nr0 &= 255\nexit", ["movzx eax, byte"], ["and", "movzx eax, al"]),
    "a frame that is not used": ("r0 = r1\nexit", ["mov rax, rdi", "ret"], ["push", "rbp", "rsp"]),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    text, must, must_not = RULES[rule]
    if any(line.startswith(("rorx", "movbe")) for line in must) and not cpu_has("bmi2", "movbe"):
        pytest.skip("the CPU has neither rorx nor movbe")
    code = emitted(text)
    rest = iter(code)
    for wanted in must:
        assert any(line.startswith(wanted) for line in rest), f"{wanted!r} in this order in {code}"
    for unwanted in must_not:
        assert not any(unwanted in line for line in code), f"no {unwanted!r} in {code}"


def test_a_rotation_is_not_made_of_other_shifts() -> None:
    for text in (
        ROTATE_BY_COPIES.replace("<<= 19", "<<= 18"),  # not 32 together
        ROTATE_BY_COPIES.replace("w3 = w1", "w3 = w4"),  # of two values
        ROTATE_BY_COPIES.replace("w3 = w1\n", "w1 += 1\nw3 = w1\n"),  # of two values
        ROTATE_BY_COPIES.replace("w0 += w1", "w0 += w2"),  # a part lives on
        ROTATE_BY_COPIES.replace("w3 |= w2", "if w5 == 1 goto +1\nw3 |= w2"),  # a way around it
        ROTATE_IN_PLACE.replace("w3 -= w1", "w1 -= w3"),
    ):
        assert not any(line.startswith(("ror", "rol")) for line in emitted(text)), text


def test_a_pattern_ends_where_a_jump_lands() -> None:
    code = emitted("r0 = r1\nif r2 == 0 goto +1\nr0 = r3\nr0 += 14\nexit")
    assert "add rax, 0xe" in code


def test_a_loop_is_entered_by_its_test_and_repeats_it_below() -> None:
    text = "r0 = 0\ntop: if r1 == 1 goto out\nr1 -= 1\nr0 += r1\ngoto top\nout: exit"
    code = emitted(text)
    assert sum(line.startswith("cmp rdi, 1") for line in code) == 2
    assert not any(line.startswith("jmp") for line in code)


def test_packet_loads_look_at_the_bounds_and_call_for_the_rest() -> None:
    code = emitted("r6 = r1\nr0 = *(u16 *)skb[12]\nexit", type=ProgType.SOCKET_FILTER)
    fast = ["mov r9, qword ptr [rbx", "lea r10, [r9 + 0xe]", "cmp r10, qword ptr [rbx", "ja"]
    fast += ["movzx eax, word ptr [r9 + 0xc]", "rol ax, 8", "pop rbx", "ret"]
    slow = [
        "mov esi, 0xc",
        "mov rdi, rbx",
        "mov edx, 2",
        "call",
        "test rax, rax",
        "jns",
        "xor eax, eax",
        "pop rbx",
        "ret",
    ]
    start = code.index("mov rbx, rdi") + 1
    assert [line for line, wanted in zip(code[start:], fast + slow, strict=True) if not line.startswith(wanted)] == []


def test_packet_loads_by_register_wrap_at_32_bits() -> None:
    code = emitted("r6 = r1\nr2 = 4\nr0 = *(u32 *)skb[r2 + 8]\nexit", type=ProgType.SOCKET_FILTER)
    assert "lea r11d, [rsi + 8]" in code and "movbe eax, dword ptr [r9 + r11]" in code and "mov esi, r11d" in code


def test_a_decided_jump_needs_no_comparison() -> None:
    text = "r0 = 1\nif r1 == 5 goto +1\nr0 = 2\nexit"
    never = emitted(text, facts={1: FactFlag.NEVER})
    always = emitted(text, facts={1: FactFlag.ALWAYS})
    assert not any("cmp" in line for line in never + always)
    assert any(line.startswith("jmp") for line in always) and not any(line.startswith("j") for line in never)


def test_dead_code_is_not_emitted() -> None:
    text = "r0 = 1\ngoto +1\nr0 = 2\nexit"
    assert "mov eax, 2" in emitted(text, facts={})
    assert "mov eax, 2" not in emitted(text, facts={2: DEAD})


def test_an_upper_half_the_verifier_saw_dead_is_not_cleared() -> None:
    text = "r1 >>= r2\nw1 = w1\nr0 = r1\nexit"
    assert "mov edi, edi" in emitted(text)
    assert "mov edi, edi" not in emitted(text, facts={1: FactFlag.DST_UPPER_DEAD})


def lookup(kind: MapType, key: int, value: int, entries: int) -> list[str]:
    text = "*(u64 *)(r10 - 8) = 3\nr2 = r10\nr2 += -8\nr1 = m ll\ncall map_lookup_elem\nexit"
    return emitted(text, {"m": NativeMap(kind, key, value, entries)})


def test_an_array_lookup_needs_no_call() -> None:
    code = lookup(MapType.ARRAY, 4, 16, 10)
    assert not any(line.startswith("call") for line in code)
    assert "cmp eax, 0xa" in code and "shl rax, 4" in code
    code = lookup(MapType.ARRAY, 4, 24, 10)
    assert "imul rax, rax, 0x18" in code


def test_a_hash_lookup_calls_the_lookup_of_its_key_size() -> None:
    code = lookup(MapType.HASH, 8, 8, 10)
    assert sum(line.startswith("call") for line in code) == 1
    assert "mov r9, r12" not in code and not any("cmp dword ptr [r12" in line for line in code)


def test_other_helpers_get_the_run_and_can_end_it() -> None:
    text = "*(u64 *)(r10 - 8) = 3\nr2 = r10\nr2 += -8\nr1 = m ll\ncall map_delete_elem\nexit"
    code = emitted(text, {"m": NativeMap(MapType.HASH, 8, 8, 10)})
    call = next(n for n, line in enumerate(code) if line.startswith("call"))
    assert "mov r9, r12" in code[:call]
    assert any(line.startswith("cmp dword ptr [r12") for line in code[call:])


def test_only_budgeted_programs_count_back_edges() -> None:
    text = "r0 = 10\nr0 -= 1\nif r0 != 0 goto -2\nexit"
    assert not any("r12" in line for line in emitted(text))
    assert any(line.startswith("sub qword ptr [r12") for line in emitted(text, flags=ProgFlag.NEEDS_BUDGET))


BASELINE = {
    "shift by a register": ("r1 <<= r2\nr0 = r1\nexit", ["mov r9, rcx", "mov ecx, esi", "shl rdi, cl", "mov rcx, r9"]),
    "shift by R4": ("r1 >>= r4\nr0 = r1\nexit", ["shr rdi, cl"]),
    "shift of R4": ("r4 s>>= r2\nr0 = r4\nexit", ["mov r9, rcx", "mov ecx, esi", "sar r9, cl", "mov rcx, r9"]),
    "rotation": (ROTATE_BY_COPIES, ["mov edx, edi", "rol edx, 0x13"]),
    "load and swap": ("r0 = *(u32 *)(r1 + 4)\nr0 = be32 r0\nexit", ["mov eax, dword ptr [rdi + 4]", "bswap eax"]),
}


@pytest.mark.parametrize("rule", BASELINE)
def test_rule_without_cpu_features(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYEBPF_JIT_BASELINE", "1")
    text, must = BASELINE[rule]
    code = emitted(text)
    rest = iter(code)
    for wanted in must:
        assert wanted in rest, f"{wanted!r} in this order in {code}"


def test_random_programs_agree_without_cpu_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYEBPF_JIT_BASELINE", "1")
    differential = Differential(None)
    for seed in range(50_000, 50_300):
        differential.run_seed(seed)
    assert differential.accepted == 300
