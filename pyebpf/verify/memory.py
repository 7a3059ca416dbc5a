"""Loads and stores: what may be done through each kind of pointer."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.spec.kinds import BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, MapType

if not cython.compiled:
    from pyebpf.bits import cbool, i32, s64, sext, sign64, status, u64, wrap64
    from pyebpf.verify.access import check_alignment, check_region, leaks, read_reg, unknown_reg, write_reg
    from pyebpf.verify.alu import truncate
    from pyebpf.verify.bounds import check_sane, mark_const_scalar
    from pyebpf.verify.ctx import access_ctx
    from pyebpf.verify.env import Env, fail, reg, unsupported
    from pyebpf.verify.facts import note_access
    from pyebpf.verify.model import (
        CTX,
        EACCES,
        EINVAL,
        ENOTSUPP,
        FLOW_KEYS,
        KIND_MASK,
        MAP_KEY,
        MAP_PTR,
        MAP_VALUE,
        MAYBE_NULL,
        MEM,
        PKT,
        PKT_META,
        RDONLY,
        SCALAR,
        STACK,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.show import kind_name
    from pyebpf.verify.signext import sign_extend
    from pyebpf.verify.stack import read_stack, write_stack

FLOW_KEYS_SIZE = 56
WRITES_PACKET = 1


def can_access_packet(env: Env, is_write: cbool) -> cbool:
    """The program type may read or write packets directly."""
    rules: Any = env.ctx_rules
    return ("w" if is_write else "r") in rules.packet


def check_packet(env: Env, regno: i32, off: i32, size: i32, zero_ok: cbool) -> status:
    """The bytes are within what comparisons with the packet's end have shown to be there."""
    r = reg(env, regno)
    if r.smin < 0:
        return fail(
            env,
            EACCES,
            f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.",
        )
    if r.range < 0:
        return fail(env, EINVAL, f"R{regno} offset is outside of the packet")
    end: s64 = off
    end += size
    if off < 0 or size < 0 or (size == 0 and not zero_ok) or end > r.range:
        text = f"invalid access to packet, off={off} size={size}, R{regno}(id={r.id},off={off},r={r.range})"
        env.log.parts.append(text + "\n")
        env.log.pos += len(text) + 1
        return fail(env, EACCES, f"R{regno} offset is outside of the packet")
    return 0


def check_map_kind(env: Env, regno: i32, off: i32, size: i32, is_write: cbool) -> status:
    """The map may be read, or written, by programs."""
    desc: Any = env.maps[reg(env, regno).map]
    if is_write and desc.flags & BPF_F_RDONLY_PROG:
        return fail(env, EACCES, f"write into map forbidden, value_size={desc.value_size} off={off} size={size}")
    if not is_write and desc.flags & BPF_F_WRONLY_PROG:
        return fail(env, EACCES, f"read from map forbidden, value_size={desc.value_size} off={off} size={size}")
    return 0


def read_constant(env: Env, r: RegP, desc: Any, off: i32, size: i32, dst: i32, signed: cbool) -> status:
    """A load from a frozen read-only array: its bytes are constants."""
    if desc.type != MapType.ARRAY or desc.max_entries != 1:
        return fail(env, ENOTSUPP, "")
    at: i32 = off + sign64(r.tv)
    value: u64 = int.from_bytes(desc.frozen[at : at + size], "little")
    if signed:
        value = wrap64(sext(value, size))
    d = reg(env, dst)
    d.precise = 0
    mark_const_scalar(d, value)
    return 0


def access_map_value(
    env: Env, regno: i32, off: i32, size: i32, is_write: cbool, src: i32, dst: i32, signed: cbool
) -> status:
    """A load or store of a map's value."""
    r = reg(env, regno)
    if is_write and src >= 0 and leaks(env, reg(env, src)):
        return fail(env, EACCES, f"R{src} leaks addr into map")
    check_map_kind(env, regno, off, size, is_write)
    desc: Any = env.maps[r.map]
    check_region(env, regno, off, size, desc.value_size, False)
    if is_write or dst < 0:
        return 0
    if r.tm == 0 and desc.frozen is not None:
        return read_constant(env, r, desc, off, size, dst, signed)
    unknown_reg(env, dst)
    return 0


def access_mem(env: Env, regno: i32, off: i32, size: i32, is_write: cbool, src: i32, dst: i32) -> status:
    """A load or store of plain memory of known size."""
    r = reg(env, regno)
    if r.kind & MAYBE_NULL:
        return fail(env, EACCES, f"R{regno} invalid mem access '{kind_name(r.kind)}'")
    if is_write and r.kind & RDONLY:
        return fail(env, EACCES, f"R{regno} cannot write into {kind_name(r.kind)}")
    if is_write and src >= 0 and leaks(env, reg(env, src)):
        return fail(env, EACCES, f"R{src} leaks addr into mem")
    check_region(env, regno, off, size, r.size, False)
    if not is_write and dst >= 0:
        unknown_reg(env, dst)
    return 0


def access_packet(env: Env, regno: i32, off: i32, size: i32, is_write: cbool, src: i32, dst: i32) -> status:
    """A load or store of packet bytes."""
    if is_write and not can_access_packet(env, True):
        return fail(env, EACCES, "cannot write into packet")
    if is_write and src >= 0 and leaks(env, reg(env, src)):
        return fail(env, EACCES, f"R{src} leaks addr into packet")
    check_packet(env, regno, off, size, False)
    if is_write:
        env.flags |= WRITES_PACKET
    elif dst >= 0:
        unknown_reg(env, dst)
    return 0


def access_flow_keys(env: Env, off: i32, size: i32, is_write: cbool, src: i32, dst: i32) -> status:
    """A load or store of the flow dissector's result."""
    if is_write and src >= 0 and leaks(env, reg(env, src)):
        return fail(env, EACCES, f"R{src} leaks addr into flow keys")
    if size < 0 or off < 0 or off + size > FLOW_KEYS_SIZE:
        return fail(env, EACCES, f"invalid access to flow keys off={off} size={size}")
    if not is_write and dst >= 0:
        unknown_reg(env, dst)
    return 0


def access_map_key(env: Env, regno: i32, off: i32, size: i32, is_write: cbool, dst: i32) -> status:
    """A load of a key that a callback was given."""
    if is_write:
        return fail(env, EACCES, f"write to change key R{regno} not allowed")
    desc: Any = env.maps[reg(env, regno).map]
    check_region(env, regno, off, size, desc.key_size, False)
    if dst >= 0:
        unknown_reg(env, dst)
    return 0


def access(
    env: Env,
    regno: i32,
    off: i32,
    size: i32,
    is_write: cbool,
    src: i32,
    imm: i32,
    dst: i32,
    strict: cbool,
    signed: cbool,
) -> status:
    """A memory access of `size` bytes at register + off.

    src: register stored, -1 for the constant imm or for an unknown value (imm 1).  dst: register loaded, -1 for none.
    """
    r = reg(env, regno)
    kind: i32 = r.kind
    base: i32 = kind & KIND_MASK
    check_alignment(env, r, off, size, strict)
    note_access(env, r, off, size)
    off += r.off
    if kind == STACK:
        if is_write:
            return write_stack(env, regno, off, size, src, imm)
        read_stack(env, regno, off, size, dst)
    elif kind == PKT or kind == PKT_META:
        access_packet(env, regno, off, size, is_write, src, dst)
    elif kind == MAP_VALUE:
        access_map_value(env, regno, off, size, is_write, src, dst, signed)
    elif kind == CTX:
        if is_write and src >= 0 and leaks(env, reg(env, src)):
            return fail(env, EACCES, f"R{src} leaks addr into ctx")
        access_ctx(env, regno, off, size, is_write, dst, signed)
    elif base == MEM:
        access_mem(env, regno, off, size, is_write, src, dst)
    elif kind == FLOW_KEYS:
        access_flow_keys(env, off, size, is_write, src, dst)
    elif kind == MAP_KEY:
        access_map_key(env, regno, off, size, is_write, dst)
    elif kind == MAP_PTR:
        return unsupported(env, "fields of the kernel's map structures")
    else:
        return fail(env, EACCES, f"R{regno} invalid mem access '{kind_name(kind)}'")
    if not is_write and size < 8 and dst >= 0:
        d = reg(env, dst)
        if d.kind == SCALAR:
            if signed:
                sign_extend(d, size)
            else:
                truncate(d, size)
    return 0


def check_load(env: Env, dst: i32, src: i32, off: i32, size: i32, strict: cbool, signed: cbool) -> status:
    """dst = *(size *)(src + off)"""
    read_reg(env, src)
    write_reg(env, dst)
    access(env, src, off, size, False, -1, 0, dst, strict, signed)
    check_sane(reg(env, dst))
    return 0


def check_store(env: Env, dst: i32, src: i32, off: i32, size: i32, strict: cbool) -> status:
    """*(size *)(dst + off) = src"""
    read_reg(env, src)
    read_reg(env, dst)
    return access(env, dst, off, size, True, src, 0, -1, strict, False)
