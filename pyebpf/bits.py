"""Integers of fixed width: the only place that wraps them.

Names of C types are aliases here, so that annotations read the same when the verifier is interpreted
and when Cython compiles it; cbits.pxd beside this file holds the C side.
"""

from typing import Final

u64 = int
s64 = int
u32 = int
s32 = int
u16 = int
u8 = int
i32 = int
cbool = bool
status = int
"""Result of a function that may raise: 0, or a small answer."""

U64_MAX: Final = (1 << 64) - 1
S64_MIN: Final = -(1 << 63)
S64_MAX: Final = (1 << 63) - 1
U32_MAX: Final = (1 << 32) - 1
S32_MIN: Final = -(1 << 31)
S32_MAX: Final = (1 << 31) - 1
SIGN32: Final = 1 << 31
SIGN64: Final = 1 << 63
HIGH32: Final = U64_MAX ^ U32_MAX


def wrap64(x: int) -> u64:
    """Low 64 bits, unsigned."""
    return x & U64_MAX


def wrap32(x: int) -> u32:
    """Low 32 bits, unsigned."""
    return x & U32_MAX


def sign64(x: int) -> s64:
    """Low 64 bits, as two's complement."""
    return ((x & U64_MAX) ^ (1 << 63)) - (1 << 63)


def sign32(x: int) -> s32:
    """Low 32 bits, as two's complement."""
    return ((x & U32_MAX) ^ (1 << 31)) - (1 << 31)


def sext(x: int, nbytes: int) -> s64:
    """The low `nbytes` bytes (1, 2, 4, 8), sign-extended."""
    top = 1 << (8 * nbytes - 1)
    return ((x & (2 * top - 1)) ^ top) - top


def low_mask(nbits: int) -> u64:
    """The low `nbits` (0..64) bits set."""
    return (1 << nbits) - 1


def shl64(x: int, n: int) -> u64:
    """x << n, n in 0..63."""
    return (x << n) & U64_MAX


def sadd_overflows(a: int, b: int) -> cbool:
    """Whether the sum leaves s64."""
    return not S64_MIN <= a + b <= S64_MAX


def ssub_overflows(a: int, b: int) -> cbool:
    """Whether the difference leaves s64."""
    return not S64_MIN <= a - b <= S64_MAX


def smul_overflows(a: int, b: int) -> cbool:
    """Whether the product leaves s64."""
    return not S64_MIN <= a * b <= S64_MAX


def umul_overflows(a: int, b: int) -> cbool:
    """Whether the product leaves u64."""
    return a * b > U64_MAX


def fls64(x: int) -> i32:
    """Number of the highest set bit, from 1; 0 for 0."""
    return x.bit_length()


def popcount64(x: int) -> i32:
    """Number of set bits."""
    return x.bit_count()


def swap_bytes(x: int, nbytes: int) -> u64:
    """The low bytes in reverse order, the others gone."""
    return int.from_bytes((x & ((1 << 8 * nbytes) - 1)).to_bytes(nbytes, "little"), "big")
