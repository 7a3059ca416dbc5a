"""Tristate numbers: `tv` holds the known one bits, `tm` the unknown bits; a bit is never in both.

The functions change the tnum of their first argument. Theory: Vishwanathan et al., "Sound, Precise,
and Fast Abstract Interpretation with Tristate Numbers", CGO 2022.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import HIGH32, U32_MAX, U64_MAX, cbool, fls64, i32, low_mask, sext, shl64, u64, wrap64
    from pyebpf.verify.model import RegP


def set_tnum(d: RegP, value: u64, mask: u64) -> None:
    """Give it value and mask."""
    d.tv = value
    d.tm = mask


def tnum_const(d: RegP, value: u64) -> None:
    """Known exactly."""
    d.tv = value
    d.tm = 0


def tnum_unknown(d: RegP) -> None:
    """Nothing known."""
    d.tv = 0
    d.tm = U64_MAX


def tnum_is_const(d: RegP) -> cbool:
    """All 64 bits known."""
    return d.tm == 0


def tnum_low_is_const(d: RegP) -> cbool:
    """The low 32 bits known."""
    return d.tm & U32_MAX == 0


def tnum_add(d: RegP, bv: u64, bm: u64) -> None:
    """Sum."""
    sm: u64 = wrap64(d.tm + bm)
    sv: u64 = wrap64(d.tv + bv)
    sigma: u64 = wrap64(sm + sv)
    mu: u64 = sigma ^ sv | d.tm | bm
    d.tv = sv & ~mu
    d.tm = mu


def tnum_sub(d: RegP, bv: u64, bm: u64) -> None:
    """Difference."""
    dv: u64 = wrap64(d.tv - bv)
    alpha: u64 = wrap64(dv + d.tm)
    beta: u64 = wrap64(dv - bm)
    mu: u64 = alpha ^ beta | d.tm | bm
    d.tv = dv & ~mu
    d.tm = mu


def tnum_and(d: RegP, bv: u64, bm: u64) -> None:
    """Bitwise and."""
    alpha: u64 = d.tv | d.tm
    beta: u64 = bv | bm
    v: u64 = d.tv & bv
    d.tv = v
    d.tm = alpha & beta & ~v


def tnum_or(d: RegP, bv: u64, bm: u64) -> None:
    """Bitwise or."""
    v: u64 = d.tv | bv
    mu: u64 = d.tm | bm
    d.tv = v
    d.tm = mu & ~v


def tnum_xor(d: RegP, bv: u64, bm: u64) -> None:
    """Bitwise exclusive or."""
    v: u64 = d.tv ^ bv
    mu: u64 = d.tm | bm
    d.tv = v & ~mu
    d.tm = mu


def tnum_union(d: RegP, bv: u64, bm: u64) -> None:
    """The smallest tnum that holds both."""
    mu: u64 = (d.tv ^ bv) | d.tm | bm
    d.tv = d.tv & bv & ~mu
    d.tm = mu


def tnum_mul(d: RegP, bv: u64, bm: u64) -> None:
    """Product: long multiplication, the certain partial products apart from the uncertain ones."""
    av: u64 = d.tv
    am: u64 = d.tm
    accv: u64 = 0
    accm: u64 = 0
    while av or am:
        if av & 1:
            d.tv = accv
            d.tm = accm
            tnum_add(d, bv, bm)
            accv = d.tv
            accm = d.tm
        elif am & 1:
            # the bit is 0 or 1: either sum is possible
            d.tv = accv
            d.tm = accm
            tnum_add(d, bv, bm)
            tnum_union(d, accv, accm)
            accv = d.tv
            accm = d.tm
        av >>= 1
        am >>= 1
        bv = shl64(bv, 1)
        bm = shl64(bm, 1)
    d.tv = accv
    d.tm = accm


def tnum_lshift(d: RegP, shift: i32) -> None:
    """Left shift by 0..63."""
    d.tv = shl64(d.tv, shift)
    d.tm = shl64(d.tm, shift)


def tnum_rshift(d: RegP, shift: i32) -> None:
    """Logical right shift by 0..63."""
    d.tv = d.tv >> shift
    d.tm = d.tm >> shift


def tnum_arshift(d: RegP, shift: i32, nbits: i32) -> None:
    """Arithmetic right shift of the low 32 or of all 64 bits."""
    nbytes: i32 = nbits // 8
    mask: u64 = low_mask(nbits)
    d.tv = wrap64(sext(d.tv, nbytes) >> shift) & mask
    d.tm = wrap64(sext(d.tm, nbytes) >> shift) & mask


def tnum_intersect(d: RegP, bv: u64, bm: u64) -> None:
    """What both say; they must not contradict."""
    v: u64 = d.tv | bv
    mu: u64 = d.tm & bm
    d.tv = v & ~mu
    d.tm = mu


def tnum_clip(d: RegP, lo: u64, hi: u64) -> None:
    """Intersect with the smallest tnum that holds lo..hi."""
    bits: i32 = fls64(lo ^ hi)
    delta: u64 = low_mask(bits)
    tnum_intersect(d, lo & ~delta, delta)


def tnum_clip_low(d: RegP, lo: u64, hi: u64) -> None:
    """Intersect the low 32 bits with the smallest tnum that holds lo..hi."""
    bits: i32 = fls64(lo ^ hi)
    delta: u64 = low_mask(bits)
    tnum_intersect_low(d, lo & ~delta, delta)


def tnum_intersect_low(d: RegP, bv: u64, bm: u64) -> None:
    """Intersect the low 32 bits with a 32-bit tnum."""
    v: u64 = (d.tv | bv) & U32_MAX
    mu: u64 = d.tm & bm & U32_MAX
    d.tv = (d.tv & HIGH32) | (v & ~mu)
    d.tm = (d.tm & HIGH32) | mu


def tnum_set_low(d: RegP, bv: u64, bm: u64) -> None:
    """Replace the low 32 bits."""
    d.tv = (d.tv & HIGH32) | (bv & U32_MAX)
    d.tm = (d.tm & HIGH32) | (bm & U32_MAX)


def tnum_cast(d: RegP, nbytes: i32) -> None:
    """Keep the low bytes; the others become zero."""
    mask: u64 = low_mask(nbytes * 8)
    d.tv &= mask
    d.tm &= mask


def tnum_in(av: u64, am: u64, bv: u64, bm: u64) -> cbool:
    """Whether every value of b is one of a's."""
    if bm & ~am:
        return False
    return av == bv & ~am


def tnum_is_aligned(value: u64, mask: u64, size: u64) -> cbool:
    """Whether every value is a multiple of the power of two `size`."""
    return ((value | mask) & (size - 1)) == 0
