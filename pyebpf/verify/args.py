"""Arguments of helpers: what a register must hold, and how much memory behind it."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.spec.helpers import Arg
from pyebpf.spec.kinds import MapType

if not cython.compiled:
    from pyebpf.bits import cbool, i32, sign64, status, u64
    from pyebpf.verify.access import (
        check_alignment,
        check_region,
        check_unmodified,
        is_null,
        leaks,
        not_known,
        read_reg,
    )  # fmt: skip
    from pyebpf.verify.env import Env, fail, reg, slot
    from pyebpf.verify.memory import can_access_packet, check_map_kind, check_packet
    from pyebpf.verify.model import (
        BUF,
        CTX,
        EACCES,
        EINVAL,
        FUNC,
        KIND_MASK,
        MAP_KEY,
        MAP_PTR,
        MAP_VALUE,
        MAYBE_NULL,
        MEM,
        PKT,
        PKT_META,
        RDONLY,
        STACK,
    )  # fmt: skip
    from pyebpf.verify.precision import mark_precise, mark_slot_precise
    from pyebpf.verify.show import kind_name
    from pyebpf.verify.stack import check_bounds, check_initialised, pointee
    from pyebpf.verify.state import is_spilled_scalar

MAX_VAR_SIZE = 1 << 29
VALUE_KIND = 4
MEM_KINDS = (6, 8, 7, 5, VALUE_KIND, 15, 16)
EXPECTED = {
    Arg.CTX: "ctx",
    Arg.CTX_OR_NULL: "ctx",
    Arg.CONST_MAP_PTR: "map_ptr",
    Arg.FUNC: "func",
    Arg.STACK_OR_NULL: "fp",
    Arg.CONST_SIZE: "scalar",
    Arg.CONST_SIZE_OR_ZERO: "scalar",
    Arg.CONST_STR: "map_value",
}
MEM_TEXT = "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"
KINDS = {
    Arg.CTX: (2,),
    Arg.CTX_OR_NULL: (2,),
    Arg.CONST_MAP_PTR: (3,),
    Arg.FUNC: (17,),
    Arg.STACK_OR_NULL: (6,),
    Arg.CONST_SIZE: (1,),
    Arg.CONST_SIZE_OR_ZERO: (1,),
    Arg.MAP_KEY: MEM_KINDS,
    Arg.MAP_VALUE: MEM_KINDS,
    Arg.MAP_VALUE_UNINIT: MEM_KINDS,
    Arg.CONST_STR: (VALUE_KIND,),
    Arg.MEM: MEM_KINDS,
    Arg.MEM_WRITE: MEM_KINDS,
    Arg.MEM_UNINIT: MEM_KINDS,
    Arg.MEM_UNINIT_OR_NULL: MEM_KINDS,
    Arg.MEM_OR_NULL: MEM_KINDS,
    Arg.LONG: MEM_KINDS,
}
NULLABLE = frozenset({Arg.MEM_OR_NULL, Arg.MEM_UNINIT_OR_NULL, Arg.STACK_OR_NULL, Arg.CTX_OR_NULL})
WRITES = frozenset({Arg.MEM_WRITE, Arg.MEM_UNINIT, Arg.MEM_UNINIT_OR_NULL, Arg.MAP_VALUE_UNINIT, Arg.LONG})
RAW = frozenset({Arg.MEM_UNINIT, Arg.MEM_UNINIT_OR_NULL, Arg.MAP_VALUE_UNINIT, Arg.LONG})
READ_ONLY_OK = frozenset({Arg.MEM, Arg.MEM_OR_NULL})
WRITES_PACKET = 1


class Call:
    """A call being checked.

    map: index of its map, -1.  func: first instruction of its callback, -1.  raw_reg, raw_size: stack that the
    helper fills.  max_size: bound of its last size.  const_key: the key if constant, -1.
    """

    __slots__ = ("const_key", "func", "map", "max_size", "number", "packet_ok", "raw_reg", "raw_size")
    number: i32
    packet_ok: cbool
    map: i32
    func: i32
    raw_reg: i32
    raw_size: i32
    max_size: u64
    const_key: i32

    def __init__(self, number: i32, packet_ok: cbool) -> None:
        self.number = number
        self.packet_ok = packet_ok
        self.map = -1
        self.func = -1
        self.raw_reg = -1
        self.raw_size = 0
        self.max_size = 0
        self.const_key = -1


def check_kind(env: Env, regno: i32, arg: Any) -> status:
    """The register holds a kind that the argument may be."""
    r = reg(env, regno)
    kind: i32 = r.kind
    if arg in NULLABLE:
        kind &= ~MAYBE_NULL
    if arg in READ_ONLY_OK:
        kind &= ~RDONLY
    if kind in KINDS[arg]:
        return 0
    expected = EXPECTED.get(arg)
    if expected is None:
        expected = MEM_TEXT
    return fail(env, EACCES, f"R{regno} type={kind_name(r.kind)} expected={expected}")


def check_memory(env: Env, call: Call, regno: i32, size: i32, is_write: cbool, zero_ok: cbool, raw: cbool) -> status:
    """`size` bytes behind the register may be read, or written."""
    r = reg(env, regno)
    base: i32 = r.kind & KIND_MASK
    if base == PKT or base == PKT_META:
        if is_write:
            if not can_access_packet(env, True):
                return not_known(env, "a helper that writes into a packet it may not write to")
            env.flags |= WRITES_PACKET
        return check_packet(env, regno, r.off, size, zero_ok)
    if base == MAP_KEY:
        if is_write:
            return fail(env, EACCES, f"R{regno} cannot write into {kind_name(r.kind)}")
        return check_region(env, regno, r.off, size, env.maps[r.map].key_size, False)
    if base == MAP_VALUE and not r.kind & MAYBE_NULL:
        check_map_kind(env, regno, r.off, size, is_write)
        return check_region(env, regno, r.off, size, env.maps[r.map].value_size, zero_ok)
    if base == MEM and not r.kind & MAYBE_NULL:
        if is_write and r.kind & RDONLY:
            return fail(env, EACCES, f"R{regno} cannot write into {kind_name(r.kind)}")
        return check_region(env, regno, r.off, size, r.size, zero_ok)
    if base == STACK:
        return check_stack(env, call, regno, size, is_write, zero_ok, raw)
    if base == BUF or base == MEM:
        return not_known(env, "a buffer as a helper's argument")
    if zero_ok and size == 0 and is_null(r):
        return 0
    return fail(env, EACCES, f"R{regno} type={kind_name(r.kind)} expected=fp")


def check_stack(env: Env, call: Call, regno: i32, size: i32, is_write: cbool, zero_ok: cbool, raw: cbool) -> status:
    """Stack behind the register; raw: it need not be initialised, the helper fills it."""
    r = reg(env, regno)
    if raw and r.tm == 0:
        if size == 0 and not zero_ok:
            return fail(env, EACCES, "invalid zero-sized read")
        check_bounds(env, regno, r.off, size, is_write)
        call.raw_reg = regno
        call.raw_size = size
        return 0
    return check_initialised(env, regno, r.off, size, zero_ok, is_write)


def check_size(env: Env, call: Call, regno: i32, before: Any, zero_ok: cbool) -> status:
    """The size of the memory in the register before."""
    r = reg(env, regno)
    call.max_size = r.umax
    raw: cbool = before in RAW and r.tm == 0
    if r.smin < 0:
        return fail(env, EACCES, f"R{regno} min value is negative, either use unsigned or 'var &= const'")
    if r.umin == 0 and not zero_ok:
        return fail(env, EACCES, f"R{regno} invalid zero-sized read: u64=[{sign64(r.umin)},{sign64(r.umax)}]")
    if r.umax >= MAX_VAR_SIZE:
        text = f"R{regno} unbounded memory access, use 'var &= const' or 'if (var < const)'"
        return fail(env, EACCES, text)
    check_memory(env, call, regno - 1, r.umax, before in WRITES, zero_ok, raw)
    return mark_precise(env, regno)


def constant_key(env: Env, call: Call, regno: i32, size: i32) -> status:
    """A key on the stack whose value is known lets a lookup in an array succeed for sure."""
    r = reg(env, regno)
    if not env.bpf_capable or r.kind != STACK or r.tm:
        return 0
    f = pointee(env, r)
    at: i32 = -(r.off + sign64(r.tv)) - 1
    s = slot(f, at // 8)
    n: i32 = 0
    i: i32 = at & 7
    while i >= 0 and s.zero >> i & 1:
        n += 1
        i -= 1
    if n >= size:
        call.const_key = 0
        return 0
    if not is_spilled_scalar(s):
        return 0
    n = 0
    i = at & 7
    while i >= 0 and s.spill >> i & 1:
        n += 1
        i -= 1
    if n != size or s.tm:
        return 0
    mark_slot_precise(env, r.frameno, at // 8)
    if s.tv < 0x7FFFFFFF:
        call.const_key = s.tv
    return 0


def check_map_memory(env: Env, call: Call, regno: i32, arg: Any) -> status:
    """A key or a value of the call's map."""
    is_key: cbool = arg == Arg.MAP_KEY
    if call.map < 0:
        return fail(env, EACCES, f"invalid map_ptr to access map->{'key' if is_key else 'value'}")
    desc = env.maps[call.map]
    if not is_key:
        return check_memory(env, call, regno, desc.value_size, arg in WRITES, False, arg in RAW)
    check_memory(env, call, regno, desc.key_size, False, False, False)
    if desc.type == MapType.ARRAY or desc.type == MapType.PERCPU_ARRAY:
        return constant_key(env, call, regno, desc.key_size)
    return 0


def check_string(env: Env, regno: i32) -> status:
    """A zero-terminated string in a frozen read-only array."""
    r = reg(env, regno)
    desc: Any = env.maps[r.map]
    if desc.frozen is None:
        return fail(env, EACCES, f"R{regno} does not point to a readonly map'")
    if r.tm:
        return fail(env, EACCES, f"R{regno} is not a constant address'")
    if desc.type != MapType.ARRAY or desc.max_entries != 1:
        return fail(env, EACCES, "no direct value access support for this map type")
    check_region(env, regno, r.off, desc.value_size - r.off, desc.value_size, False)
    at: i32 = r.off + sign64(r.tv)
    if 0 not in desc.frozen[at:]:
        return fail(env, EINVAL, "string is not zero-terminated")
    return 0


def check_arg(env: Env, call: Call, index: i32, args: Any) -> status:
    """Argument number `index` of the prototype, in register index + 1."""
    regno: i32 = index + 1
    arg = args[index]
    read_reg(env, regno)
    r = reg(env, regno)
    base: i32 = r.kind & KIND_MASK
    if arg == Arg.ANYTHING:
        if leaks(env, r):
            return fail(env, EACCES, f"R{regno} leaks addr into helper function")
        return 0
    if (base == PKT or base == PKT_META) and not (call.packet_ok and can_access_packet(env, False)):
        return fail(env, EACCES, "helper access to the packet is not allowed")
    if arg not in KINDS:
        return not_known(env, f"arguments of kind {arg.name}")
    if is_null(r) and arg in NULLABLE:
        return 0
    check_kind(env, regno, arg)
    if base == CTX or base == MAP_PTR or base == FUNC:
        check_unmodified(env, r, regno, False)
    if arg == Arg.CONST_MAP_PTR:
        call.map = r.map
    elif arg == Arg.FUNC:
        call.func = r.size
    elif arg == Arg.MAP_KEY or arg == Arg.MAP_VALUE or arg == Arg.MAP_VALUE_UNINIT:
        return check_map_memory(env, call, regno, arg)
    elif arg == Arg.LONG:
        check_memory(env, call, regno, 8, True, False, True)
        return check_alignment(env, r, 0, 8, True)
    elif arg == Arg.CONST_STR:
        return check_string(env, regno)
    elif arg == Arg.CONST_SIZE:
        return check_size(env, call, regno, args[index - 1], False)
    elif arg == Arg.CONST_SIZE_OR_ZERO:
        return check_size(env, call, regno, args[index - 1], True)
    return 0
