"""States as text, in the form of Linux's log."""

from __future__ import annotations

import cython

if not cython.compiled:
    from pyebpf.bits import S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX, U64_MAX, i32, s64, sign64, status, u64, wrap64
    from pyebpf.verify.env import Env, insn_text, say, slot
    from pyebpf.verify.log import Log, log_reset, log_write
    from pyebpf.verify.model import (
        ADD_CONST,
        KIND_MASK,
        MAP_KEY,
        MAP_PTR,
        MAP_VALUE,
        MAX_REG,
        MAYBE_NULL,
        MEM,
        NOT_INIT,
        PKT,
        PKT_META,
        RDONLY,
        SCALAR,
        STACK,
        RegP,
    )  # fmt: skip
    from pyebpf.verify.state import Frame, State

ALIGNMENT = 40
MIN_ALIGNMENT = 8
NAMES = {
    0: "?", 1: "scalar", 2: "ctx", 3: "map_ptr", 4: "map_value", 5: "map_key", 6: "fp", 7: "pkt_meta", 8: "pkt",
    9: "pkt_end", 10: "flow_keys", 11: "sock_common", 12: "sock", 13: "tcp_sock", 14: "tp_buffer", 15: "mem",
    16: "buf", 17: "func",
}  # fmt: skip


def snum(value: s64) -> str:
    """Decimal when it fits 16 bits."""
    if -32768 <= value <= 32767:
        return str(value)
    return f"{wrap64(value):#x}"


def unum(value: u64) -> str:
    """Decimal when it fits 16 bits."""
    if value <= 65535:
        return str(value)
    return f"{value:#x}"


def kind_name(kind: i32) -> str:
    """A register kind with its flags."""
    name = NAMES[kind & KIND_MASK]
    if kind & RDONLY:
        name = "rdonly_" + name
    if kind & MAYBE_NULL:
        name += "_or_null"
    return str(name)


def half(value: s64) -> s64:
    """A signed 32-bit bound as it is shown: in decimal as it is, in hex without the high half."""
    if -32768 <= value <= 32767:
        return value
    return wrap64(value) & U32_MAX


def ranges_text(r: RegP) -> list:
    """smin=... and so on, equal ones together."""
    j: i32
    rows = [
        ("smin", r.smin, r.smin == S64_MIN),
        ("smax", r.smax, r.smax == S64_MAX),
        ("umin", r.umin, r.umin == 0),
        ("umax", r.umax, r.umax == U64_MAX),
        ("smin32", half(r.s32min), r.s32min == S32_MIN),
        ("smax32", half(r.s32max), r.s32max == S32_MAX),
        ("umin32", r.u32min, r.u32min == 0),
        ("umax32", r.u32max, r.u32max == U32_MAX),
    ]
    out = []
    done = [bool(row[2]) for row in rows]
    for i, (name, value, _) in enumerate(rows):
        if done[i]:
            continue
        text = name + "="
        for j in range(i + 2, 8, 2):
            if not done[j] and rows[j][1] == value:
                done[j] = True
                text += rows[j][0] + "="
        out.append(text + (snum(value) if name[0] == "s" else unum(value)))
    return out


def reg_text(env: Env, f: Frame, r: RegP) -> str:
    """A register's value."""
    head = "P" if r.kind == SCALAR and r.precise else ""
    if r.kind == SCALAR and r.tm == 0:
        return head + snum(sign64(r.tv + wrap64(r.off)))
    head += kind_name(r.kind)
    base = r.kind & KIND_MASK
    if r.kind == STACK:
        if r.frameno != f.frameno:
            head += f"[{r.frameno}]"
        if r.tm == 0:
            return head + snum(sign64(r.tv + wrap64(r.off)))
    parts = []
    if r.id:
        text = f"id={r.id & ~ADD_CONST & U32_MAX}"
        if r.id & ADD_CONST:
            text += f"{r.off:+d}"
        parts.append(text)
    if r.ref_id:
        parts.append(f"ref_obj_id={r.ref_id}")
    if base == MAP_PTR or base == MAP_VALUE or base == MAP_KEY:
        desc = env.maps[r.map]
        if desc.name:
            parts.append(f"map={desc.name}")
        parts.append(f"ks={desc.key_size},vs={desc.value_size}")
    if r.kind != SCALAR and r.off:
        parts.append("off=" + snum(r.off))
    if base == PKT or base == PKT_META:
        parts.append("r=" + unum(wrap64(r.range)))
    if base == MEM:
        parts.append("sz=" + unum(r.size))
    if r.tm == 0:
        if r.tv:
            parts.append("imm=" + snum(sign64(r.tv)))
    else:
        parts += ranges_text(r)
        if r.tm != U64_MAX:
            parts.append(f"var_off=({r.tv:#x}; {r.tm:#x})")
    return head + "(" + ",".join(parts) + ")"


def slot_text(env: Env, f: Frame, spi: i32) -> str:
    """A stack slot, "" when nothing was written to it."""
    j: i32
    s = slot(f, spi)
    if not (s.spill | s.misc | s.zero):
        return ""
    letters = ""
    for j in range(8):
        bit = 1 << j
        if s.spill & bit:
            break
        letters += "m" if s.misc & bit else "0" if s.zero & bit else "?"
    text = f" fp{-8 * (spi + 1)}={letters}"
    if s.spill & 0x80:
        text += reg_text(env, f, s)
    return text


def state_text(env: Env, state: State, frameno: i32, everything: i32) -> str:
    """One frame of a state; everything, or what changed since the last line."""
    i: i32
    f: Frame = state.frames[frameno]
    text = f" frame{f.frameno}:" if f.frameno else ""
    for i in range(MAX_REG):
        r = f.regs + i
        if r.kind == NOT_INIT or not (everything or env.scr_regs >> i & 1):
            continue
        text += f" R{i}=" + reg_text(env, f, r)
    for i in range(f.nslots):
        if everything or env.scr_slots >> i & 1:
            text += slot_text(env, f, i)
    if f.callback:
        text += " cb"
    if not everything:
        env.scr_regs = 0
        env.scr_slots = 0
    return text + "\n"


def show_state(env: Env, state: State, frameno: i32, everything: i32) -> status:
    """Log a frame of a state."""
    say(env, state_text(env, state, frameno, everything))
    return 0


def show_changes(env: Env) -> status:
    """Log what the last instruction read and wrote, behind its text."""
    log: Log = env.log
    if env.prev_log_pos and env.prev_log_pos == log.pos:
        log_reset(log, env.prev_log_pos - 1)
        want = max(env.prev_insn_pos + MIN_ALIGNMENT // 2, ALIGNMENT)
        want = (want + MIN_ALIGNMENT - 1) // MIN_ALIGNMENT * MIN_ALIGNMENT
        log_write(log, " " * (want - env.prev_insn_pos - 1) + ";")
    else:
        log_write(log, f"{env.insn_idx}:")
    show_state(env, env.state, env.state.curframe, 0)
    return 0


def line_text(env: Env, idx: i32, prefix: str) -> status:
    """Log the source line of an instruction, once."""
    info = env.lines.get(idx)
    if info is None or info is env.last_linfo:
        return 0
    env.last_linfo = info
    name = info.file.rsplit("/", 1)[-1]
    say(env, f"{prefix}{info.text.strip()} @ {name}:{info.line}\n")
    return 0


def show_insn(env: Env) -> status:
    """Log the instruction about to be processed."""
    log: Log = env.log
    if env.scr_regs or env.scr_slots:
        show_changes(env)
    line_text(env, env.insn_idx, "; ")
    env.prev_log_pos = log.pos
    log_write(log, f"{env.insn_idx}: ")
    log_write(log, insn_text(env, env.insn_idx) + "\n")
    env.prev_insn_pos = log.pos - env.prev_log_pos
    env.prev_log_pos = log.pos
    return 0
