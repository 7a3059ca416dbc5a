"""The program's stack: what each byte of it holds.

Byte n of slot spi is fp - 8 * spi - 1 - n, so bit 7 of a slot's masks is its lowest address.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, s64, sign64, status, u64, wrap64
    from pyebpf.verify.access import assign_id, is_null, is_pointer, tnum_str, unknown_reg
    from pyebpf.verify.bounds import mark_known, mark_unknown
    from pyebpf.verify.env import Env, Subfunc, fail, reg, scratch_slot, slot
    from pyebpf.verify.history import push_step, stack_flags
    from pyebpf.verify.livestack import mark_read, mark_write
    from pyebpf.verify.model import (
        EACCES,
        EFAULT,
        EINVAL,
        MAX_VAR_OFF,
        NOT_INIT,
        SCALAR,
        STACK,
        RegP,
        clear_reg,
    )  # fmt: skip
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.state import Frame, copy_value, grow_stack, is_spilled, is_spilled_scalar


def width(r: RegP) -> i32:
    """Bits that a scalar needs."""
    n: i32 = 0
    v: u64 = r.umax
    while v:
        v >>= 1
        n += 1
    return n


def pointee(env: Env, r: RegP) -> Frame:
    """The frame a stack pointer points into."""
    f: Frame = env.state.frames[r.frameno]
    return f


def check_bounds(env: Env, regno: i32, off: i32, size: i32, is_write: cbool) -> status:
    """The access lies in the 512 bytes of its frame; the frame grows to hold it."""
    r = reg(env, regno)
    f = pointee(env, r)
    lo: s64
    hi: s64
    err: i32 = 0
    what = "write to" if is_write else "read from"
    if r.tm == 0:
        lo = sign64(r.tv) + off
        hi = lo + size
    else:
        if r.smax >= MAX_VAR_OFF or r.smin <= -MAX_VAR_OFF:
            return fail(env, EACCES, f"invalid unbounded variable-offset {what} stack R{regno}")
        lo = r.smin + off
        hi = r.smax + off + size
    lowest: i32 = -512
    if not is_write and not env.allow_uninit_stack:
        lowest = -8 * f.nslots
    if lo < lowest or lo > -1:
        err = EACCES
    elif hi > 0:
        err = EINVAL
    elif size < 0:
        err = EFAULT
    if err:
        if r.tm == 0:
            return fail(env, err, f"invalid {what} stack R{regno} off={lo} size={size}")
        text = f"invalid variable-offset {what} stack R{regno} var_off={tnum_str(r)} off={off} size={size}"
        return fail(env, err, text)
    need: i32 = (7 - lo) // 8
    if need > f.nslots:
        grow_stack(f, need)
        fn: Subfunc = env.funcs[f.subprog]
        if fn.depth < 8 * need:
            fn.depth = 8 * need
    return 0


def scrub(s: RegP) -> None:
    """The slot of a spilled register becomes data: what was written, zeros too, is misc."""
    s.misc = s.misc | s.spill | s.zero
    s.spill = 0
    s.zero = 0


def save_reg(env: Env, s: RegP, r: RegP, size: i32) -> None:
    """Spill a register's low `size` bytes into a slot."""
    copy_value(s, r)
    mask: i32 = 0xFF << (8 - size) & 0xFF
    rest: i32 = 0xFF & ~mask
    keep_zero: i32 = s.zero & rest
    # the bytes above: zero stays, unwritten stays where uninitialised reads are allowed, else misc
    misc: i32 = (s.misc | s.spill) & rest
    if not env.allow_ptr_leaks:
        misc = rest & ~keep_zero
    s.spill = mask
    s.zero = keep_zero
    s.misc = misc


def write_bytes(s: RegP, mask: i32, is_zero: cbool) -> None:
    """Bytes of a slot become zero or misc."""
    s.misc = s.misc & ~mask & 0xFF
    s.zero = s.zero & ~mask & 0xFF
    s.spill = s.spill & ~mask & 0xFF
    if is_zero:
        s.zero = s.zero | mask
    else:
        s.misc = s.misc | mask


def byte_mask(off: i32, size: i32) -> i32:
    """Bits of the bytes off .. off + size - 1, all in one slot."""
    first: i32 = (-off - 1) & 7
    mask: i32 = 0
    i: i32
    for i in range(size):
        mask |= 1 << (first - i)
    return mask


def write_fixed(env: Env, f: Frame, off: i32, size: i32, src: i32, imm: i32) -> status:
    """A store at a known offset. src: the register stored, -1 for the constant `imm`, -2 for an unknown value."""
    spi: i32 = (-off - 1) // 8
    s = slot(f, spi)
    r = env.fake + 0
    has_reg: cbool = src >= 0
    if has_reg:
        r = reg(env, src)
    if not env.allow_ptr_leaks and is_spilled(s) and not is_spilled_scalar(s) and size != 8:
        return fail(env, EACCES, "attempt to corrupt spilled pointer on stack")
    scratch_slot(env, spi)
    if off % 8 == 0 and size == 8:
        mark_write(env, f.frameno, spi)
    if off % 8 == 0 and env.bpf_capable and (src == -1 or (has_reg and r.kind == SCALAR)):
        if has_reg:
            fits: cbool = width(r) <= 8 * size
            if fits:
                assign_id(env, r)
            save_reg(env, s, r, size)
            if not fits:
                s.id = 0
        else:
            clear_reg(r)
            r.kind = SCALAR
            mark_known(r, wrap64(imm))
            save_reg(env, s, r, size)
        return push_step(env, stack_flags(f.frameno, spi), 0)
    if has_reg and is_pointer(r):
        if size != 8:
            return fail(env, EACCES, "invalid size of register spill")
        if f.frameno != env.state.curframe and r.kind == STACK:
            return fail(env, EINVAL, "cannot spill pointers to stack into stack frame of the caller")
        save_reg(env, s, r, size)
        return push_step(env, stack_flags(f.frameno, spi), 0)
    return write_data(env, s, off, size, src, imm)


def write_data(env: Env, s: RegP, off: i32, size: i32, src: i32, imm: i32) -> status:
    """A store that keeps no register: bytes become misc or zero."""
    s.kind = NOT_INIT
    if is_spilled(s):
        scrub(s)
    is_zero: cbool = src == -1 and imm == 0
    if src >= 0:
        is_zero = is_null(reg(env, src))
    if is_zero:
        # zero bytes stay zero in later states only if the stored register is always zero
        if src >= 0:
            mark_precise(env, src)
    write_bytes(s, byte_mask(off, size), is_zero)
    return 0


def write_variable(env: Env, f: Frame, ptr: i32, off: i32, size: i32, src: i32, imm: i32) -> status:
    """A store somewhere in a range: what was spilled there is lost."""
    p = reg(env, ptr)
    lo: i32 = p.smin + off
    hi: i32 = p.smax + off + size
    i: i32
    b: i32
    zeroing: cbool = src == -1 and imm == 0
    if src >= 0:
        zeroing = is_null(reg(env, src))
    used_zero: cbool = False
    for i in range(lo, hi):
        s = slot(f, (-i - 1) // 8)
        b = 1 << ((-i - 1) & 7)
        scratch_slot(env, (-i - 1) // 8)
        if not env.allow_ptr_leaks and not (s.misc | s.zero) & b:
            text = f"spilled ptr in range of var-offset stack write; insn {env.insn_idx}, ptr off: {i}"
            return fail(env, EINVAL, text)
        if zeroing and s.spill & b and is_spilled_scalar(s) and s.tm == 0 and s.tv == 0:
            used_zero = True
            continue
        if is_spilled(s):
            scrub(s)
        s.kind = NOT_INIT
        if not (s.spill | s.misc | s.zero) & b and not env.allow_uninit_stack:
            text = f"uninit stack in range of var-offset write prohibited for !root; insn {env.insn_idx}, off: {i}"
            return fail(env, EINVAL, text)
        if zeroing and s.zero & b:
            used_zero = True
        else:
            write_bytes(s, b, False)
    if used_zero and src >= 0:
        mark_precise(env, src)
    return 0


def write_stack(env: Env, ptr: i32, off: i32, size: i32, src: i32, imm: i32) -> status:
    """A store through a stack pointer."""
    check_bounds(env, ptr, off, size, True)
    p = reg(env, ptr)
    f = pointee(env, p)
    at: i32
    if p.tm == 0:
        at = sign64(p.tv) + off
        return write_fixed(env, f, at, size, src, imm)
    return write_variable(env, f, ptr, off, size, src, imm)


def zero_reg(env: Env, regno: i32) -> None:
    """The register is zero."""
    r = reg(env, regno)
    mark_known(r, 0)
    r.kind = SCALAR
    r.precise = 0 if env.bpf_capable else 1


def read_bytes(env: Env, f: Frame, lo: i32, hi: i32, dst: i32) -> None:
    """A load of data: zero if every byte that it may read is."""
    i: i32
    for i in range(lo, hi):
        s = slot(f, (-i - 1) // 8)
        scratch_slot(env, (-i - 1) // 8)
        if not s.zero & 1 << ((-i - 1) & 7):
            unknown_reg(env, dst)
            return
    zero_reg(env, dst)


def check_readable(env: Env, s: RegP, off: i32, size: i32, spills_ok: cbool) -> status:
    """Every byte was written, unless reading what was not is allowed."""
    i: i32
    b: i32
    if env.allow_uninit_stack and (spills_ok or not s.spill & byte_mask(off, size)):
        return 0
    for i in range(size):
        b = 1 << ((-off - 1 - i) & 7)
        if (s.misc | s.zero) & b or (spills_ok and s.spill & b):
            continue
        if not s.spill & b and env.allow_uninit_stack:
            continue
        return fail(env, EACCES, f"invalid read from stack off {off}+{i} size {size}")
    return 0


def fill_part(env: Env, s: RegP, off: i32, size: i32, dst: i32, spilled: i32, flags: i32) -> status:
    """Load part of a spilled scalar, or more than was spilled."""
    d = reg(env, dst)
    mask: i32
    if size <= spilled and off % 8 == 0:
        if env.bpf_capable and size == 4 and spilled == 4 and width(s) <= 32:
            assign_id(env, s)
        copy_value(d, s)
        if width(s) > size * 8:
            d.id = 0
        return push_step(env, flags, 0)
    check_readable(env, s, off, size, True)
    mask = byte_mask(off, size)
    if s.spill & mask == mask and s.tm == 0 and s.tv == 0:
        zero_reg(env, dst)
        return push_step(env, flags, 0)
    if s.zero & mask == mask:
        zero_reg(env, dst)
    else:
        unknown_reg(env, dst)
    return 0


def read_fixed(env: Env, f: Frame, off: i32, size: i32, dst: i32) -> status:
    """A load at a known offset; dst -1: only whether it is allowed."""
    spi: i32 = (-off - 1) // 8
    s = slot(f, spi)
    flags: i32 = stack_flags(f.frameno, spi)
    spilled: i32 = 0
    scratch_slot(env, spi)
    mark_read(env, f.frameno, spi)
    if is_spilled(s):
        while spilled < 8 and s.spill & 1 << (7 - spilled):
            spilled += 1
        if size != 8 or spilled != 8:
            if s.kind != SCALAR:
                return fail(env, EACCES, "invalid size of register fill")
            if dst < 0:
                return 0
            return fill_part(env, s, off, size, dst, spilled, flags)
        if dst >= 0:
            if env.bpf_capable:
                assign_id(env, s)
            copy_value(reg(env, dst), s)
        elif not env.allow_ptr_leaks and is_pointer(s):
            return fail(env, EACCES, f"leaking pointer from stack off {off}")
        return push_step(env, flags, 0)
    check_readable(env, s, off, size, False)
    if dst >= 0:
        read_bytes(env, f, off, off + size, dst)
    return 0


def check_initialised(env: Env, regno: i32, off: i32, size: i32, zero_ok: cbool, is_write: cbool) -> status:
    """A helper may read the bytes; is_write: and write anything into them."""
    r = reg(env, regno)
    f = pointee(env, r)
    if size == 0 and not zero_ok:
        return fail(env, EACCES, "invalid zero-sized read")
    check_bounds(env, regno, off, size, is_write)
    lo: i32
    hi: i32
    if r.tm == 0:
        lo = sign64(r.tv) + off
        hi = lo + size
    else:
        if not env.bypass_spec:
            text = f"R{regno} variable offset stack access prohibited for !root, var_off={tnum_str(r)}"
            return fail(env, EACCES, text)
        lo = r.smin + off
        hi = r.smax + off + size
    i: i32
    b: i32
    for i in range(lo, hi):
        s = slot(f, (-i - 1) // 8)
        b = 1 << ((-i - 1) & 7)
        if s.misc & b:
            pass
        elif s.zero & b or (not s.spill & b and env.allow_uninit_stack):
            if is_write:
                write_bytes(s, b, False)
        elif is_spilled(s) and s.spill & b and (s.kind == SCALAR or env.allow_ptr_leaks):
            if is_write:
                mark_unknown(s)
                scrub(s)
        elif r.tm == 0:
            return fail(env, EACCES, f"invalid read from stack R{regno} off {lo}+{i - lo} size {size}")
        else:
            text = f"invalid read from stack R{regno} var_off {tnum_str(r)}+{i - lo} size {size}"
            return fail(env, EACCES, text)
        mark_read(env, r.frameno, (-i - 1) // 8)
    return 0


def read_stack(env: Env, ptr: i32, off: i32, size: i32, dst: i32) -> status:
    """A load through a stack pointer."""
    check_bounds(env, ptr, off, size, False)
    p = reg(env, ptr)
    f = pointee(env, p)
    at: i32
    if p.tm == 0:
        at = sign64(p.tv) + off
        return read_fixed(env, f, at, size, dst)
    if dst < 0:
        text = "variable offset stack pointer cannot be passed into helper function; "
        return fail(env, EACCES, text + f"var_off={tnum_str(p)} off={off} size={size}")
    if not env.bypass_spec:
        text = f"R{ptr} variable offset stack access prohibited for !root, var_off={tnum_str(p)}"
        return fail(env, EACCES, text)
    lo: i32 = p.smin + off
    hi: i32 = p.smax + off + size
    check_initialised(env, ptr, off, size, False, False)
    read_bytes(env, f, lo, hi, dst)
    return 0
