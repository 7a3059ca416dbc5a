"""64-bit constants: the maps they name, through the caller's MapSource."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.isa import table
from pyebpf.spec.kinds import MapType

if not cython.compiled:
    from pyebpf.bits import i32, status
    from pyebpf.verify.env import Env, fail, unsupported
    from pyebpf.verify.model import (
        C_LDX,
        EBADF,
        EINVAL,
        M_MEM,
        M_MEMSX,
        MAX_VAR_OFF,
        S_FUNC,
    )  # fmt: skip

LD_IMM64 = 0x18
MAP_FD = table.PSEUDO_MAP_FD
MAP_VALUE_FD = table.PSEUDO_MAP_VALUE
BTF_ID = table.PSEUDO_BTF_ID
MAP_IDX = table.PSEUDO_MAP_IDX
MAP_IDX_VALUE = table.PSEUDO_MAP_IDX_VALUE
MAX_USED_MAPS = 64
KNOWN_OPCODES = frozenset(table.BY_OPCODE)
ATOMIC_SMALL = frozenset({table.STX | table.ATOMIC | table.B, table.STX | table.ATOMIC | table.H})
DIRECT_VALUE = frozenset({MapType.ARRAY})
SLEEPABLE_MAPS = frozenset(
    MapType[name]
    for name in """HASH LRU_HASH ARRAY PERCPU_HASH PERCPU_ARRAY LRU_PERCPU_HASH ARRAY_OF_MAPS HASH_OF_MAPS RINGBUF
    USER_RINGBUF INODE_STORAGE SK_STORAGE TASK_STORAGE CGRP_STORAGE QUEUE STACK ARENA""".split()
)
"""Map types that a program which may sleep may use."""


def map_of(env: Env, maps: Any, source: i32, imm: i32) -> status:
    """Index in env.maps of the map that a constant names."""
    by_fd = source in (MAP_FD, MAP_VALUE_FD)
    desc = maps.by_fd(imm) if by_fd else maps.by_index(imm)
    if desc is None and by_fd:
        fail(env, EBADF, f"fd {imm} is not pointing to valid bpf_map")
    if desc is None:
        fail(env, EINVAL, "fd 0 is not pointing to valid bpf_map")
    for i, known in enumerate(env.maps):
        if known is desc or (known.id and known.id == desc.id):
            return int(i)
    if len(env.maps) >= MAX_USED_MAPS:
        fail(env, 7, f"The total number of maps per program has reached the limit of {MAX_USED_MAPS}")
    if env.sleepable and desc.type not in SLEEPABLE_MAPS:
        fail(env, EINVAL, "Sleepable programs can only use array, hash, ringbuf and local storage maps")
    env.maps.append(desc)
    return len(env.maps) - 1


def check_value_offset(env: Env, desc: Any, off: i32) -> status:
    """The map has one value in one place, and the offset is inside."""
    if off < 0 or off >= MAX_VAR_OFF:
        return fail(env, EINVAL, f"direct value offset of {off & 0xFFFFFFFF} is not allowed")
    if desc.type not in DIRECT_VALUE:
        return fail(env, EINVAL, "no direct value access support for this map type")
    if desc.max_entries != 1:
        return fail(env, 524, f"invalid access to map value pointer, value_size={desc.value_size} off={off}")
    if off >= desc.value_size:
        return fail(env, EINVAL, f"invalid access to map value pointer, value_size={desc.value_size} off={off}")
    return 0


def resolve_one(env: Env, maps: Any, i: i32) -> status:
    """One 64-bit constant."""
    ins = env.insns + i
    high = env.insns + (i + 1)
    if i == env.n - 1 or high.code or high.dst or high.src or high.off:
        return fail(env, EINVAL, "invalid bpf_ld_imm64 insn")
    if ins.src == 0:
        return 0
    if ins.src == S_FUNC:
        return 0
    if ins.src == BTF_ID:
        return unsupported(env, "BTF-typed kernel variables")
    is_value = ins.src in (MAP_VALUE_FD, MAP_IDX_VALUE)
    if ins.src > MAP_IDX_VALUE or (not is_value and high.imm):
        return fail(env, EINVAL, "unrecognized bpf_ld_imm64 insn")
    index = map_of(env, maps, ins.src, ins.imm)
    if is_value:
        check_value_offset(env, env.maps[index], high.imm)
    env.map_refs[i] = index
    return 0


def resolve(env: Env, maps: Any) -> status:
    """All of them; and opcodes that do not exist."""
    i: i32 = 0
    while i < env.n:
        ins = env.insns + i
        mode: i32 = ins.code & 0xE0
        if ins.cls == C_LDX and ((mode != M_MEM and mode != M_MEMSX) or ins.imm):
            env.insn_idx = i
            return fail(env, EINVAL, "BPF_LDX uses reserved fields")
        if ins.code == LD_IMM64:
            resolve_one(env, maps, i)
            i += 2
            continue
        if ins.code not in KNOWN_OPCODES:
            env.insn_idx = i
            return fail(env, EINVAL, f"unknown opcode {ins.code:02x}")
        i += 1
    return 0
