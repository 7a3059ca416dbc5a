"""Calls of helpers: the prototype's arguments, its result, and what it does to the state."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.isa.helper_names import HELPER_NAMES
from pyebpf.spec.helper_access import MAX_HELPER, allowed
from pyebpf.spec.helpers import BY_ID, Ret
from pyebpf.spec.kinds import BPF_F_RDONLY_PROG, MapType, ProgType
from pyebpf.spec.mapuse import check_use

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.access import unknown_reg
    from pyebpf.verify.args import Call, check_arg
    from pyebpf.verify.bounds import mark_known, mark_not_init, mark_unknown, sync_bounds
    from pyebpf.verify.callbacks import call_back
    from pyebpf.verify.env import Env, fail, new_id, reg, unsupported
    from pyebpf.verify.facts import note_map
    from pyebpf.verify.frames import clear_caller_saved
    from pyebpf.verify.memory import access
    from pyebpf.verify.model import (
        EACCES,
        EINVAL,
        MAP_VALUE,
        MAYBE_NULL,
        NOT_INIT,
        PKT,
        PKT_END,
        PKT_META,
        SCALAR,
        SLOT0,
        InsP,
    )  # fmt: skip
    from pyebpf.verify.precision import mark_precise
    from pyebpf.verify.state import Frame, State, is_spilled

MAX_ERRNO = 4095
MAX_CPUS = 256
TAIL_CALL = 12
GET_SMP_PROCESSOR_ID = 8
MAP_LOOKUP_ELEM = 1
FOR_EACH_MAP_ELEM = 164
XDP_GET_BUFF_LEN = 188
LOOP = 181
SNPRINTF = 165  # its format would have to be read
TRACED = frozenset({46, 107, 108, 188})  # take kernel objects, not the context, in programs of type syscall
BOUNDED_BY_SIZE = frozenset({45, 67, 114, 115, 141})
WRITES_MAP = frozenset({2, 3, 87, 88})
UNPRIVILEGED = frozenset({1, 2, 3, 5, 7, 8, 12, 26, 42, 68})
RESIZES_PACKET = 2
CALLS_HELPERS = 8
TAIL_CALLS = 16
PLAIN_ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})


def helper_text(number: i32) -> str:
    """name#number"""
    name = HELPER_NAMES[number] if 0 <= number < len(HELPER_NAMES) else "unknown"
    return f"bpf_{name}#{number}" if 0 <= number < len(HELPER_NAMES) else f"unknown#{number}"


def prototype(env: Env, number: i32) -> Any:
    """The helper's row, if this program may call it."""
    if number <= 0 or number > MAX_HELPER:
        fail(env, EINVAL, f"invalid func {helper_text(number)}")
    if not allowed(ProgType(env.prog_type), number):
        fail(env, EINVAL, f"program of this type cannot use helper {helper_text(number)}")
    proto: Any = BY_ID.get(number)
    if proto is None or number == SNPRINTF or (env.prog_type == 31 and number in TRACED):
        unsupported(env, f"helper {helper_text(number)}")
    if number == XDP_GET_BUFF_LEN and env.prog_type != ProgType.XDP:
        unsupported(env, f"{helper_text(number)} on a kernel object")
    if not env.allow_ptr_leaks and number not in UNPRIVILEGED:
        unsupported(env, f"helper {helper_text(number)} without CAP_PERFMON")
    if proto.gpl_only and not env.gpl:
        fail(env, EINVAL, "cannot call GPL-restricted function from non-GPL compatible program")
    return proto


def record_map(env: Env, call: Call, number: i32) -> status:
    """The map of a call: may this helper have it, may programs write to it."""
    if call.map < 0:
        return 0
    desc = env.maps[call.map]
    note_map(env, call.map)
    if number in WRITES_MAP and desc.flags & BPF_F_RDONLY_PROG:
        return fail(env, EACCES, "write into map forbidden")
    return 0


def check_map_use(env: Env, call: Call, number: i32) -> status:
    """Map type and helper go together."""
    if call.map < 0:
        return 0
    desc = env.maps[call.map]
    if not check_use(desc.type, number):
        return fail(env, EINVAL, f"cannot pass map_type {int(desc.type)} into func {helper_text(number)}")
    return 0


def write_results(env: Env, call: Call) -> status:
    """Stack that the helper fills becomes data."""
    i: i32
    for i in range(call.raw_size):
        access(env, call.raw_reg, i, 1, True, -2, 1, -1, False, False)
    return 0


def forget_packets(env: Env) -> status:
    """Packet pointers mean nothing after the packet has moved."""
    i: i32
    j: i32
    state: State = env.state
    for i in range(state.curframe + 1):
        f: Frame = state.frames[i]
        for j in range(SLOT0 + f.nslots):
            r = f.regs + j
            if (r.kind == PKT or r.kind == PKT_META or r.kind == PKT_END) and (j < SLOT0 or is_spilled(r)):
                if env.allow_ptr_leaks:
                    mark_unknown(r)
                else:
                    mark_not_init(r)
    return 0


def set_result(env: Env, call: Call, proto: Any, number: i32) -> status:
    """R0."""
    r0 = reg(env, 0)
    nullable: cbool = True
    if proto.ret == Ret.VOID:
        r0.kind = NOT_INIT
        return 0
    if proto.ret == Ret.INTEGER:
        unknown_reg(env, 0)
        return refine_result(env, call, number)
    if proto.ret == Ret.MAP_VALUE_OR_NULL:
        desc = env.maps[call.map]
        if desc.inner is not None:
            return unsupported(env, "a map in a map")
        mark_known(r0, 0)
        r0.precise = 0
        r0.map = call.map
        if number == MAP_LOOKUP_ELEM and desc.type in PLAIN_ARRAYS and 0 <= call.const_key < desc.max_entries:
            nullable = False
        r0.kind = MAP_VALUE
        if nullable:
            r0.kind = MAP_VALUE | MAYBE_NULL
            r0.id = new_id(env)
        return 0
    return unsupported(env, f"result of {helper_text(number)}")


def refine_result(env: Env, call: Call, number: i32) -> status:
    """Results whose range is known."""
    r0 = reg(env, 0)
    if number in BOUNDED_BY_SIZE:
        r0.smax = call.max_size
        r0.s32max = call.max_size
        r0.smin = -MAX_ERRNO
        r0.s32min = -MAX_ERRNO
        sync_bounds(r0)
    elif number == GET_SMP_PROCESSOR_ID:
        r0.umax = MAX_CPUS - 1
        r0.u32max = MAX_CPUS - 1
        r0.smax = MAX_CPUS - 1
        r0.s32max = MAX_CPUS - 1
        r0.smin = 0
        r0.s32min = 0
        sync_bounds(r0)
    return 0


def constant_tail_index(env: Env, call: Call) -> status:
    """A tail call by a constant index depends on it."""
    r3 = reg(env, 3)
    desc = env.maps[call.map]
    if desc.type != MapType.PROG_ARRAY:
        return fail(env, EINVAL, "expected prog array map for tail call")
    if r3.kind == SCALAR and r3.tm == 0 and r3.tv < desc.max_entries:
        mark_precise(env, 3)
    return 0


def check_helper(env: Env, ins: InsP) -> status:
    """call number"""
    number: i32 = ins.imm
    i: i32
    proto = prototype(env, number)
    call = Call(number, proto.pkt_access)
    for i in range(len(proto.args)):
        check_arg(env, call, i, proto.args)
    record_map(env, call, number)
    if number == TAIL_CALL and env.maps[call.map].type != MapType.PROG_ARRAY:
        return fail(env, EINVAL, "expected prog array map for tail call")
    if number == TAIL_CALL:
        constant_tail_index(env, call)
        env.flags |= TAIL_CALLS
    write_results(env, call)
    if number == LOOP or number == FOR_EACH_MAP_ELEM:
        call_back(env, call)
    clear_caller_saved(env)
    set_result(env, call, proto, number)
    check_map_use(env, call, number)
    env.flags |= CALLS_HELPERS
    if proto.changes_pkt:
        env.flags |= RESIZES_PACKET
        forget_packets(env)
    return 0


def text_of(number: i32) -> str:
    """For messages elsewhere."""
    return helper_text(number)
