"""Transfer functions against brute force: whatever the operands may be, the result holds every outcome.

Abstract operands are made from small sets of numbers round the places where 32- and 64-bit arithmetic
wraps or changes sign; every pair is computed concretely.
"""

import itertools
import operator
import random
from collections.abc import Callable, Iterable

import pytest

from pyebpf.bits import S32_MIN, U32_MAX, U64_MAX, sext, sign32, sign64, wrap64
from pyebpf.isa.table import ALU_OPS, JMP_OPS
from pyebpf.verify import probe

Value = tuple[int, ...]
BASES = (0, 1 << 31, 1 << 32, 3 << 32, 1 << 63, wrap64(S32_MIN), (1 << 63) + (1 << 31), 0x1234_5678_9ABC)


def abstract(values: Iterable[int]) -> Value:
    """The best description of a set of u64 numbers."""
    xs = list(values)
    low = [x & U32_MAX for x in xs]
    ones, zeros = U64_MAX, U64_MAX
    for x in xs:
        ones &= x
        zeros &= ~x
    s64, s32 = [sign64(x) for x in xs], [sign32(x) for x in low]
    return (
        *(min(xs), max(xs), min(s64), max(s64), min(low), max(low), min(s32), max(s32)),
        *(ones, U64_MAX & ~(ones | zeros)),
    )


def holds(value: Value, x: int) -> bool:
    """Whether the description allows the number."""
    umin, umax, smin, smax, u32min, u32max, s32min, s32max, tv, tm = value
    return (
        umin <= x <= umax
        and smin <= sign64(x) <= smax
        and u32min <= (x & U32_MAX) <= u32max
        and s32min <= sign32(x) <= s32max
        and x & ~tm & U64_MAX == tv
    )


def sets(seed: int, count: int) -> list[list[int]]:
    """Small sets of numbers: arcs across a boundary, and numbers that share bits."""
    r = random.Random(seed)
    out = []
    for _ in range(count):
        base = r.choice(BASES)
        if r.random() < 0.6:
            first = base + r.randint(-6, 3)
            out.append([wrap64(first + i) for i in range(r.randint(1, 8))])
        else:
            mask = sum(1 << r.choice((0, 1, 2, 7, 31, 32, 63)) for _ in range(3))
            out.append(sorted({wrap64(base ^ (r.getrandbits(64) & mask)) for _ in range(r.randint(1, 8))}))
    return out


def shift_left(a: int, n: int, bits: int) -> int:
    return a << n if n < bits else 0


CONCRETE: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "and": lambda a, b, _: a & b,
    "or": lambda a, b, _: a | b,
    "xor": lambda a, b, _: a ^ b,
}
SHIFTS: dict[str, Callable[[int, int, int], int]] = {
    "lsh": lambda a, n, bits: a << n,
    "rsh": lambda a, n, bits: a >> n,
    "arsh": lambda a, n, bits: (sign64(a) if bits == 64 else sign32(a)) >> n,
}


def computed(name: str, a: int, b: int, bits: int) -> int:
    mask = (1 << bits) - 1
    return (CONCRETE | SHIFTS)[name](a & mask, b & mask, bits) & mask


@pytest.mark.parametrize("bits", (64, 32))
@pytest.mark.parametrize("name", CONCRETE)
def test_results_hold_every_outcome(name: str, bits: int) -> None:
    xs, ys = sets(len(name) + bits, 120), sets(1000 + bits, 120)
    for a, b in zip(xs, ys, strict=True):
        result = probe.compute(ALU_OPS[name], bits == 64, abstract(a), abstract(b))
        for x, y in itertools.product(a, b):
            assert holds(result, computed(name, x, y, bits)), (name, hex(x), hex(y))


@pytest.mark.parametrize("bits", (64, 32))
@pytest.mark.parametrize("name", SHIFTS)
def test_shifts_by_every_count_hold_every_outcome(name: str, bits: int) -> None:
    for a in sets(bits, 30):
        for n in range(bits):
            result = probe.compute(ALU_OPS[name], bits == 64, abstract(a), abstract([n]))
            assert all(holds(result, computed(name, x, n, bits)) for x in a), (name, n)


@pytest.mark.parametrize("name", CONCRETE)
def test_constants_give_constants(name: str) -> None:
    for a, b in itertools.product(BASES, repeat=2):
        result = probe.compute(ALU_OPS[name], True, abstract([a]), abstract([b]))
        want = computed(name, a, b, 64)
        assert result[8:] == (want, 0)
        assert result[:2] == (want, want)


@pytest.mark.parametrize("nbytes", (1, 2, 4, 8))
def test_unary_operations_hold_every_outcome(nbytes: int) -> None:
    mask = (1 << 8 * nbytes) - 1
    for a in sets(nbytes, 200):
        value = abstract(a)
        assert all(holds(probe.unary("sync", value, 0), x) for x in a)
        if nbytes < 8:
            assert all(holds(probe.unary("truncate", value, nbytes), x & mask) for x in a)
            assert all(holds(probe.unary("sext", value, nbytes), wrap64(sext(x, nbytes))) for x in a)
        if nbytes >= 4:
            assert all(holds(probe.unary("neg", value, nbytes), -x & mask) for x in a)


UNSIGNED = {"jgt": operator.gt, "jge": operator.ge, "jlt": operator.lt, "jle": operator.le}
SIGNED = {"jsgt": operator.gt, "jsge": operator.ge, "jslt": operator.lt, "jsle": operator.le}


def compared(name: str, a: int, b: int, is32: bool) -> bool:
    if is32:
        a, b = a & U32_MAX, b & U32_MAX
    if name in ("jeq", "jne"):
        return (a == b) == (name == "jeq")
    if name == "jset":
        return a & b != 0
    if name in UNSIGNED:
        return bool(UNSIGNED[name](a, b))
    sign = sign32 if is32 else sign64
    return bool(SIGNED[name](sign(a), sign(b)))


@pytest.mark.parametrize("is32", (False, True))
@pytest.mark.parametrize("name", JMP_OPS)
def test_a_comparison_keeps_every_pair_for_which_it_holds(name: str, is32: bool) -> None:
    op = JMP_OPS[name]
    for a, b in zip(sets(3, 150), sets(4, 75) + [[x] for x in range(75)], strict=True):
        left, right = probe.learn_from(op, is32, abstract(a), abstract(b))
        way = probe.decide(op, is32, abstract(a), abstract(b))
        outcomes = set()
        for x, y in itertools.product(a, b):
            outcomes.add(compared(name, x, y, is32))
            if compared(name, x, y, is32):
                assert holds(left, x) and holds(right, y), (name, hex(x), hex(y))
        assert way < 0 or outcomes == {way == 1}, name
