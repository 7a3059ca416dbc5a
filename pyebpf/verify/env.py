"""The verifier's workspace for one program."""

from __future__ import annotations

import struct
from typing import Any

import cython

from pyebpf.errors import VerifierError
from pyebpf.isa.disasm import format_insn
from pyebpf.isa.insn import INSN_SIZE, Insn

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status, u32, u64
    from pyebpf.verify.log import Log, log_text, log_write
    from pyebpf.verify.model import (
        ID_MAP_SIZE,
        MAX_FRAMES,
        SLOT0,
        U64P,
        AuxP,
        HistP,
        InsP,
        RegP,
        alloc_aux,
        alloc_ins,
        alloc_regs,
        alloc_u64,
        free_array,
        new_hist,
    )  # fmt: skip
    from pyebpf.verify.state import Frame, State

SLOT = struct.Struct("<BBhi")


class Subfunc:
    """A function of the program: instructions start..end-1, and what is known of it.

    depth: bytes of stack it uses.  is_callback: entered by a helper.
    """

    __slots__ = (
        "changes_pkt",
        "depth",
        "end",
        "has_ld_abs",
        "has_tail_call",
        "is_async",
        "is_callback",
        "name",
        "start",
        "tail_reachable",
    )  # fmt: skip
    start: i32
    end: i32
    depth: i32
    is_callback: cbool
    is_async: cbool
    has_tail_call: cbool
    tail_reachable: cbool
    has_ld_abs: cbool
    changes_pkt: cbool
    name: str

    def __init__(self, start: i32) -> None:
        self.start = start
        self.end = 0
        self.depth = 0
        self.is_callback = False
        self.is_async = False
        self.has_tail_call = False
        self.tail_reachable = False
        self.has_ld_abs = False
        self.changes_pkt = False
        self.name = ""


class Env:
    """Everything the verification of one program shares.

    program: VerifierInput.  maps: MapDesc of the maps it uses.
    state: the state explored, frame: its current frame.  pending: branches not taken yet, newest last.
    explored: stored states by bucket.  bt_*: what precision tracking looks for.
    """

    __slots__ = (
        "allow_ptr_leaks",
        "allow_uninit_stack",
        "aux",
        "bpf_capable",
        "bt_frame",
        "bt_regs",
        "bt_slots",
        "bypass_spec",
        "ctx_rules",
        "cur_hist",
        "explored",
        "explored_size",
        "fake",
        "flags",
        "frame",
        "free_list",
        "func_infos",
        "func_names",
        "funcs",
        "gpl",
        "hist",
        "hist_cap",
        "hist_len",
        "id_gen",
        "idmap_cur",
        "idmap_n",
        "idmap_old",
        "insn_idx",
        "insns",
        "jmps",
        "kind_of_attach",
        "last_linfo",
        "lines",
        "linked",
        "linked_n",
        "live",
        "live_cur",
        "live_mask",
        "log",
        "map_refs",
        "maps",
        "max_ctx_off",
        "max_states",
        "n",
        "peak_states",
        "pending",
        "prev_idx",
        "prev_insn_pos",
        "prev_jmps",
        "prev_log_pos",
        "prev_processed",
        "processed",
        "prog_type",
        "program",
        "sccs",
        "scr_regs",
        "scr_slots",
        "sleepable",
        "state",
        "state_freq",
        "strict_align",
        "tmp_id",
        "total_states",
        "write_masks",
    )  # fmt: skip
    program: object
    prog_type: i32
    insns: InsP
    aux: AuxP
    n: i32
    maps: list
    map_refs: dict
    funcs: list
    func_names: dict
    log: Log
    lines: dict
    last_linfo: object
    state: State
    frame: Frame
    pending: list
    explored: list
    free_list: list
    explored_size: i32
    insn_idx: i32
    prev_idx: i32
    processed: i32
    prev_processed: i32
    jmps: i32
    prev_jmps: i32
    total_states: i32
    peak_states: i32
    max_states: i32
    id_gen: u32
    hist: HistP
    hist_len: i32
    hist_cap: i32
    cur_hist: i32
    fake: RegP
    scr_regs: u32
    scr_slots: u64
    prev_log_pos: i32
    prev_insn_pos: i32
    bt_frame: i32
    bt_regs: U64P
    bt_slots: U64P
    idmap_old: U64P
    idmap_cur: U64P
    idmap_n: i32
    tmp_id: u32
    linked: U64P
    linked_n: i32
    write_masks: U64P
    live: dict
    live_cur: Any
    live_mask: u64
    sccs: dict
    bpf_capable: cbool
    allow_ptr_leaks: cbool
    allow_uninit_stack: cbool
    bypass_spec: cbool
    strict_align: cbool
    sleepable: cbool
    state_freq: cbool
    gpl: cbool
    func_infos: cbool
    max_ctx_off: i32
    ctx_rules: object
    flags: i32
    kind_of_attach: u32

    def __init__(self, program: Any, log: Log) -> None:
        self.program = program
        self.log = log
        self.prog_type = program.prog_type
        self.n = len(program.insns) // INSN_SIZE
        self.insns = alloc_ins(self.n + 1)
        self.aux = alloc_aux(self.n + 1)
        self.hist = new_hist(256)
        self.hist_cap = 256
        self.fake = alloc_regs(8)
        self.bt_regs = alloc_u64(MAX_FRAMES)
        self.bt_slots = alloc_u64(MAX_FRAMES)
        self.idmap_old = alloc_u64(ID_MAP_SIZE)
        self.idmap_cur = alloc_u64(ID_MAP_SIZE)
        self.linked = alloc_u64(8)
        self.write_masks = alloc_u64(MAX_FRAMES)
        self.maps = []
        self.map_refs = {}
        self.funcs = []
        self.func_names = {}
        self.lines = {}
        self.last_linfo = None
        self.live = {}
        self.sccs = {}
        self.ctx_rules = None
        clear_counters(self)
        set_privileges(self, program)
        fill_insns(self, program.insns)

    def __dealloc__(self) -> None:
        free_array(self.insns)
        free_array(self.aux)
        free_array(self.hist)
        free_array(self.fake)
        free_array(self.bt_regs)
        free_array(self.bt_slots)
        free_array(self.idmap_old)
        free_array(self.idmap_cur)
        free_array(self.linked)
        free_array(self.write_masks)


def clear_counters(env: Env) -> status:
    """Nothing explored yet."""
    env.state = None
    env.frame = None
    env.pending = []
    env.explored = []
    env.free_list = []
    env.explored_size = 0
    env.insn_idx = 0
    env.prev_idx = -1
    env.processed = 0
    env.prev_processed = 0
    env.jmps = 0
    env.prev_jmps = 0
    env.total_states = 0
    env.peak_states = 0
    env.max_states = 0
    env.id_gen = 0
    env.hist_len = 0
    env.cur_hist = -1
    env.scr_regs = 0
    env.scr_slots = 0
    env.prev_log_pos = 0
    env.prev_insn_pos = 0
    env.bt_frame = 0
    env.idmap_n = 0
    env.tmp_id = 0
    env.linked_n = 0
    env.live_cur = None
    env.live_mask = 0
    env.max_ctx_off = 0
    env.flags = 0
    return 0


def set_privileges(env: Env, program: Any) -> status:
    """What the caller's capabilities and flags allow."""
    caps = program.caps
    env.bpf_capable = caps != "none"
    env.allow_ptr_leaks = caps == "all"
    env.allow_uninit_stack = caps == "all"
    env.bypass_spec = caps == "all"
    env.strict_align = bool(program.prog_flags & 1)
    env.state_freq = bool(program.prog_flags & 8)
    env.sleepable = bool(program.prog_flags & 16)
    env.gpl = False
    env.func_infos = bool(program.func_info)
    env.kind_of_attach = program.expected_attach_type
    return 0


def fill_insns(env: Env, code: bytes) -> status:
    """Decode the instructions into records."""
    i: i32 = 0
    for opcode, regs, off, imm in SLOT.iter_unpack(code):
        ins = env.insns + i
        ins.code = opcode
        ins.cls = opcode & 7
        ins.dst = regs & 15
        ins.src = regs >> 4
        ins.off = off
        ins.imm = imm
        i += 1
    return 0


def reg(env: Env, regno: i32) -> RegP:
    """A register of the current frame."""
    return env.frame.regs + regno


def slot(f: Frame, spi: i32) -> RegP:
    """A stack slot: spi 0 is fp-8."""
    return f.regs + (SLOT0 + spi)


def say(env: Env, text: str) -> object:
    """Write to the log."""
    log_write(env.log, text)
    return None


def fail(env: Env, errno: i32, message: str) -> status:
    """Reject the program; the message is a line of the log."""
    log_write(env.log, message + "\n")
    raise reject(env, errno, message, False)


def unsupported(env: Env, message: str) -> status:
    """Refuse what this verifier cannot judge."""
    log_write(env.log, "unsupported: " + message + "\n")
    raise reject(env, 95, "unsupported: " + message, True)


def reject(env: Env, errno: i32, message: str, is_unsupported: cbool) -> Any:
    """The exception of a rejection; the caller of the verifier adds the log."""
    return VerifierError(errno, message, insn_idx=env.insn_idx, unsupported=is_unsupported)


def scratch_reg(env: Env, regno: i32) -> None:
    """The register goes into the next line about the state."""
    env.scr_regs |= 1 << regno


def scratch_slot(env: Env, spi: i32) -> None:
    """The slot goes into the next line about the state."""
    one: u64 = 1
    env.scr_slots |= one << spi


def scratch_all(env: Env) -> None:
    """Everything goes into the next line about the state."""
    env.scr_regs = 0x7FF
    env.scr_slots = 0xFFFFFFFFFFFFFFFF


def new_id(env: Env) -> u32:
    """A fresh identity."""
    env.id_gen += 1
    return env.id_gen


def raw_insn(env: Env, i: i32) -> Any:
    """An instruction as a value."""
    ins = env.insns + i
    return Insn(ins.code, ins.dst, ins.src, ins.off, ins.imm)


def insn_text(env: Env, idx: i32) -> str:
    """An instruction as the log shows it."""
    raw = raw_insn(env, idx)
    following = raw_insn(env, idx + 1) if raw.opcode == 0x18 and idx + 1 < env.n else None
    return str(format_insn(raw, following, style="linux"))


def finish_log(env: Env) -> str:
    """The whole log."""
    return log_text(env.log)
