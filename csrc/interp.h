/* The interpreter: the reference for every instruction. */
#pragma once

#include "prog.h"

/* The ebpf_fn that runs a program with these PROG_* flags: run->prog, from its first instruction. */
ebpf_fn interp_entry(uint32_t flags);

/* A callback: insn is what LD_FUNC gave, a struct ebpf_dinsn of run->prog. */
uint64_t interp_call(struct ebpf_run *run, uint64_t insn, const uint64_t args[5]);
