"""One instruction: its legality and its effect, by class."""

from __future__ import annotations

from typing import Any

import cython

if not cython.compiled:
    from pyebpf.bits import cbool, i32, shl64, status, u64, wrap32, wrap64
    from pyebpf.verify.access import check_unmodified, leaks, read_reg, unknown_reg, write_reg
    from pyebpf.verify.atomic import check_atomic
    from pyebpf.verify.bounds import mark_const_scalar, mark_known
    from pyebpf.verify.compute import check_alu
    from pyebpf.verify.env import Env, fail, reg, scratch_reg, unsupported
    from pyebpf.verify.frames import check_local_call, clear_caller_saved, leave
    from pyebpf.verify.helpers import check_helper
    from pyebpf.verify.jump import check_jump
    from pyebpf.verify.memory import access, check_load, check_store
    from pyebpf.verify.model import (
        C_ALU,
        C_ALU64,
        C_JMP,
        C_JMP32,
        C_LDX,
        C_ST,
        C_STX,
        CTX,
        EACCES,
        EINVAL,
        FUNC,
        JA,
        JCALL,
        JEXIT,
        M_ABS,
        M_ATOMIC,
        M_IMM,
        M_IND,
        M_MEM,
        M_MEMSX,
        MAP_PTR,
        MAP_VALUE,
        S_CALL,
        S_FUNC,
        S_KFUNC,
        SRC_X,
        SZ_DW,
        InsP,
    )  # fmt: skip

PATH_DONE = 1
CTX_REG = 6


def size_of(code: i32) -> i32:
    """Bytes of a memory instruction."""
    size: i32 = code & 0x18
    if size == 0x00:
        return 4
    if size == 0x08:
        return 2
    if size == 0x10:
        return 1
    return 8


def check_ptr_kind(env: Env, kind: i32) -> status:
    """Context rewriting needs one kind of pointer at an instruction on all paths."""
    a = env.aux + env.insn_idx
    is_ctx: i32 = 1 if kind == CTX else 2
    if a.ctx_use == 0:
        a.ctx_use = is_ctx
    elif a.ctx_use != is_ctx:
        return fail(env, EINVAL, "same insn cannot be used with different pointers")
    return 0


def load(env: Env, ins: InsP) -> status:
    """dst = *(size *)(src + off)"""
    kind: i32 = reg(env, ins.src).kind if ins.src < 11 else 0
    check_load(env, ins.dst, ins.src, ins.off, size_of(ins.code), False, ins.code & 0xE0 == M_MEMSX)
    return check_ptr_kind(env, kind)


def store(env: Env, ins: InsP) -> status:
    """Class ST and STX."""
    kind: i32
    if ins.cls == C_STX and ins.code & 0xE0 == M_ATOMIC:
        return check_atomic(env, ins, size_of(ins.code))
    if ins.cls == C_STX:
        if ins.code & 0xE0 != M_MEM or ins.imm:
            return fail(env, EINVAL, "BPF_STX uses reserved fields")
        kind = reg(env, ins.dst).kind if ins.dst < 11 else 0
        check_store(env, ins.dst, ins.src, ins.off, size_of(ins.code), False)
        return check_ptr_kind(env, kind)
    if ins.code & 0xE0 != M_MEM or ins.src:
        return fail(env, EINVAL, "BPF_ST uses reserved fields")
    read_reg(env, ins.dst)
    kind = reg(env, ins.dst).kind
    access(env, ins.dst, ins.off, size_of(ins.code), True, -1, ins.imm, -1, False, False)
    return check_ptr_kind(env, kind)


def load_packet(env: Env, ins: InsP) -> status:
    """LD_ABS and LD_IND: R0 = packet bytes of the skb in R6, or the program ends."""
    indirect: cbool = ins.code & 0xE0 == M_IND
    rules: Any = env.ctx_rules
    if not rules.ld_abs:
        return fail(env, EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type")
    if ins.dst or ins.off or ins.code & 0x18 == SZ_DW or (not indirect and ins.src):
        return fail(env, EINVAL, "BPF_LD_[ABS|IND] uses reserved fields")
    read_reg(env, CTX_REG)
    r6 = reg(env, CTX_REG)
    if r6.kind != CTX:
        return fail(env, EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")
    if indirect:
        read_reg(env, ins.src)
    check_unmodified(env, r6, CTX_REG, False)
    if env.state.curframe:
        return unsupported(env, "LD_ABS in a function that is called")
    clear_caller_saved(env)
    unknown_reg(env, 0)
    return 0


def load_constant(env: Env, ins: InsP) -> status:
    """ld_imm64: a number, a map, a map's value or a function."""
    dst: i32 = ins.dst
    value: u64
    if ins.code & 0x18 != SZ_DW:
        return fail(env, EINVAL, "invalid BPF_LD_IMM insn")
    if ins.off:
        return fail(env, EINVAL, "BPF_LD_IMM64 uses reserved fields")
    write_reg(env, dst)
    d = reg(env, dst)
    unknown_reg(env, dst)
    if ins.src == 0:
        value = wrap32(wrap64((env.insns + (env.insn_idx + 1)).imm))
        mark_const_scalar(d, shl64(value, 32) | wrap32(wrap64(ins.imm)))
        return 0
    mark_known(d, 0)
    d.precise = 0
    if ins.src == S_FUNC:
        if not env.func_infos:
            return fail(env, EINVAL, "missing btf func_info")
        d.kind = FUNC
        d.size = env.insn_idx + ins.imm + 1
        return 0
    d.map = env.map_refs[env.insn_idx]
    if ins.src == 2 or ins.src == 6:
        d.kind = MAP_VALUE
        d.off = (env.insns + (env.insn_idx + 1)).imm
    else:
        d.kind = MAP_PTR
    return 0


def call(env: Env, ins: InsP) -> status:
    """A helper or a function of the program."""
    if ins.code & SRC_X or ins.off or ins.src > S_KFUNC or ins.dst or ins.cls == C_JMP32:
        return fail(env, EINVAL, "BPF_CALL uses reserved fields")
    if ins.src == S_KFUNC:
        return unsupported(env, "kernel functions")
    if ins.src == S_CALL:
        check_local_call(env, env.insn_idx + ins.imm + 1)
        scratch_reg(env, 0)
        return 0
    check_helper(env, ins)
    scratch_reg(env, 0)
    env.insn_idx += 1
    return 0


def leave_program(env: Env, ins: InsP) -> status:
    """exit: from a function to its caller, or from the program."""
    if ins.code & SRC_X or ins.imm or ins.src or ins.dst or ins.cls == C_JMP32:
        return fail(env, EINVAL, "BPF_EXIT uses reserved fields")
    if env.state.curframe:
        leave(env)
        return 2
    read_reg(env, 0)
    if leaks(env, reg(env, 0)):
        return fail(env, EACCES, "R0 leaks addr as return value")
    return PATH_DONE


def jump(env: Env, ins: InsP) -> status:
    """Class JMP and JMP32."""
    op: i32 = ins.code & 0xF0
    env.jmps += 1
    if op == JCALL:
        return call(env, ins)
    if op == JA:
        if ins.code & SRC_X or ins.src or ins.dst or (ins.imm if ins.cls == C_JMP else ins.off):
            return fail(env, EINVAL, "BPF_JA uses reserved fields")
        env.insn_idx += 1 + (ins.off if ins.cls == C_JMP else ins.imm)
        return 0
    if op == JEXIT:
        return leave_program(env, ins)
    return check_jump(env, ins)


def check_insn(env: Env) -> status:
    """Process the current instruction and go to the next; PATH_DONE at the program's exit, 2 after a return."""
    ins = env.insns + env.insn_idx
    cls: i32 = ins.cls
    if cls == C_ALU or cls == C_ALU64:
        check_alu(env, ins)
    elif cls == C_LDX:
        load(env, ins)
    elif cls == C_JMP or cls == C_JMP32:
        return jump(env, ins)
    elif cls == C_ST or cls == C_STX:
        store(env, ins)
    elif ins.code & 0xE0 == M_IMM:
        load_constant(env, ins)
        env.insn_idx += 1
    elif ins.code & 0xE0 == M_ABS or ins.code & 0xE0 == M_IND:
        load_packet(env, ins)
    else:
        return fail(env, EINVAL, "invalid BPF_LD mode")
    env.insn_idx += 1
    return 0
