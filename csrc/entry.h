/* Entries for native callers: code of ours that knows its program. */
#pragma once

#include "prog.h"

/* The address of a uint64_t (*)(void *r1, uint64_t r2), made on first use and good while the program lives.
 * guarded: a whole run (vCPU, epoch, budget, release); 0 when it ended early.
 * raw: the compiled function itself, without any of this: for programs without helpers, and one thread at a time
 * where the program counts a budget (its own, which never ends).  -EINVAL: raw, but calls helpers or is not
 * compiled; -EACCES, -ENOMEM. */
int prog_entry(struct ebpf_prog *prog, bool raw, uint64_t *address, struct ebpf_error *err);
void prog_entry_free(struct ebpf_prog *prog);
