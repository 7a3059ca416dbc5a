/* The interpreter: the reference for every instruction. */
#pragma once

#include "prog.h"

/* An ebpf_fn: runs run->prog. */
uint64_t interp_run(void *r1, uint64_t r2, struct ebpf_run *run);
