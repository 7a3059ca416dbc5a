"""Checks that several kinds of memory share: registers read and written, alignment, regions of known size."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import S64_MIN, cbool, i32, s64, sign32, sign64, status, u32, u64, wrap64
    from pyebpf.verify.bounds import mark_unknown
    from pyebpf.verify.env import Env, fail, new_id, reg, scratch_reg, unsupported
    from pyebpf.verify.model import (
        ADD_CONST,
        CTX,
        EACCES,
        EINVAL,
        FLOW_KEYS,
        FP,
        KIND_MASK,
        MAP_KEY,
        MAP_VALUE,
        MAX_REG,
        MAX_VAR_OFF,
        NOT_INIT,
        PKT,
        PKT_END,
        PKT_META,
        SCALAR,
        SOCK_COMMON,
        SOCKET,
        STACK,
        TCP_SOCK,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.show import kind_name
    from pyebpf.verify.tnum import tnum_is_aligned

DESCRIPTIONS = {
    FLOW_KEYS: "flow keys ", MAP_KEY: "key ", MAP_VALUE: "value ", CTX: "context ", STACK: "stack ", SOCKET: "sock ",
    SOCK_COMMON: "sock_common ", TCP_SOCK: "tcp_sock ",
}  # fmt: skip


def read_reg(env: Env, regno: i32) -> status:
    """The register must hold something."""
    if regno >= MAX_REG:
        return fail(env, EINVAL, f"R{regno} is invalid")
    scratch_reg(env, regno)
    if reg(env, regno).kind == NOT_INIT:
        return fail(env, EACCES, f"R{regno} !read_ok")
    return 0


def write_reg(env: Env, regno: i32) -> status:
    """The register may be written; its value is left to the caller."""
    if regno >= MAX_REG:
        return fail(env, EINVAL, f"R{regno} is invalid")
    scratch_reg(env, regno)
    if regno == FP:
        return fail(env, EACCES, "frame pointer is read only")
    return 0


def unknown_reg(env: Env, regno: i32) -> None:
    """The register holds a scalar of which nothing is known."""
    r = reg(env, regno)
    mark_unknown(r)
    if not env.bpf_capable:
        r.precise = 1


def is_pointer(r: RegP) -> cbool:
    """Anything readable but a scalar."""
    return r.kind != SCALAR and r.kind != NOT_INIT


def leaks(env: Env, r: RegP) -> cbool:
    """A pointer that this program must not show."""
    return not env.allow_ptr_leaks and r.kind != SCALAR


def is_null(r: RegP) -> cbool:
    """A scalar known to be zero."""
    return r.kind == SCALAR and r.tm == 0 and r.tv == 0


def tnum_str(r: RegP) -> str:
    """(value; mask), or the value alone when it is known; zero has no prefix."""
    if r.tm == 0:
        return f"{r.tv:#x}" if r.tv else "0"
    return f"({r.tv:#x}; {r.tm:#x})"


def assign_id(env: Env, r: RegP) -> None:
    """Give a scalar that is about to be copied an identity, so that both are refined together."""
    if r.kind != SCALAR:
        return
    if r.id & ADD_CONST:
        # equal to another scalar plus a constant: that relation ends, a copy begins its own
        r.id = 0
        r.off = 0
    if r.id == 0 and r.tm != 0:
        r.id = new_id(env)


def check_alignment(env: Env, r: RegP, off: i32, size: i32, strict_once: cbool) -> status:
    """Aligned where it must be: the stack always, anything else under BPF_F_STRICT_ALIGNMENT."""
    strict: cbool = env.strict_align or strict_once or r.kind == STACK
    if not strict or size == 1:
        return 0
    total: i32
    value: u64
    if r.kind == PKT or r.kind == PKT_META:
        total = 2 + r.off + off  # an Ethernet header of 14 bytes makes what follows aligned
        value = wrap64(r.tv + wrap64(total))
        if not tnum_is_aligned(value, r.tm, size):
            return fail(env, EACCES, f"misaligned packet access off 2+{tnum_str(r)}+{r.off}+{off} size {size}")
        return 0
    total = r.off + off
    value = wrap64(r.tv + wrap64(total))
    if not tnum_is_aligned(value, r.tm, size):
        what = DESCRIPTIONS.get(r.kind, "")
        return fail(env, EACCES, f"misaligned {what}access off {tnum_str(r)}+{r.off}+{off} size {size}")
    return 0


def region_error(env: Env, r: RegP, regno: i32, off: i32, size: i32, nbytes: u32) -> status:
    """The message of an access outside of a region."""
    base: i32 = r.kind & KIND_MASK
    if base == MAP_KEY:
        text = f"invalid access to map key, key_size={nbytes} off={off} size={size}"
    elif base == MAP_VALUE:
        text = f"invalid access to map value, value_size={nbytes} off={off} size={size}"
    elif base == PKT or base == PKT_META or base == PKT_END:
        text = f"invalid access to packet, off={off} size={size}, R{regno}(id={r.id},off={off},r={nbytes})"
    else:
        text = f"invalid access to memory, mem_size={nbytes} off={off} size={size}"
    env.log.parts.append(text + "\n")
    env.log.pos += len(text) + 1
    return 0


def inside(off: s64, size: s64, nbytes: u32, zero_ok: cbool) -> cbool:
    """off .. off + size - 1 lie in a region."""
    return off >= 0 and (size > 0 or (size == 0 and zero_ok)) and off + size <= nbytes


def check_region(env: Env, regno: i32, off: i32, size: i32, nbytes: u32, zero_ok: cbool) -> status:
    """Every value of the register's variable offset keeps the access inside its region."""
    r = reg(env, regno)
    low: s64 = r.smin
    if low < 0 and (low == S64_MIN or low + off != sign32(wrap64(low + off)) or low + off < 0):
        return fail(
            env,
            EACCES,
            f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.",
        )
    at: i32 = sign32(wrap64(low + off))
    if not inside(at, size, nbytes, zero_ok):
        region_error(env, r, regno, at, size, nbytes)
        return fail(env, EACCES, f"R{regno} min value is outside of the allowed memory range")
    if r.umax >= MAX_VAR_OFF:
        return fail(env, EACCES, f"R{regno} unbounded memory access, make sure to bounds check any such access")
    at = sign32(wrap64(sign64(r.umax) + off))
    if not inside(at, size, nbytes, zero_ok):
        region_error(env, r, regno, at, size, nbytes)
        return fail(env, EACCES, f"R{regno} max value is outside of the allowed memory range")
    return 0


def check_unmodified(env: Env, r: RegP, regno: i32, fixed_ok: cbool) -> status:
    """The pointer is as it was handed out, but for a fixed offset where that is allowed."""
    if r.off < 0:
        return fail(env, EACCES, f"negative offset {kind_name(r.kind)} ptr R{regno} off={r.off} disallowed")
    if not fixed_ok and r.off:
        text = f"dereference of modified {kind_name(r.kind)} ptr R{regno} off={r.off} disallowed"
        return fail(env, EACCES, text)
    if r.tm or r.tv:
        return fail(env, EACCES, f"variable {kind_name(r.kind)} access var_off={tnum_str(r)} disallowed")
    return 0


def not_known(env: Env, what: str) -> status:
    """Refuse a feature."""
    return unsupported(env, what)
