/* Memory for machine code: written first, executable after, never both.
 *
 * A region is reserved readable and writable between two guard pages, filled, and sealed: shrunk to what was used
 * and turned readable and executable.  It is never written again.  Freed when no run can be in it (prog_put's
 * grace period).  Any thread may call; two threads never share a region that is not sealed.
 */
#pragma once

#include "common.h"
#include "error.h"

struct jit_mem {
	uint8_t *code; /* page-aligned; fixed from jit_mem_reserve on, so that calls can be made relative */
	size_t nbytes; /* pages from code on */
	void *map;     /* with the guard pages */
	size_t map_nbytes;
};

/* 0 or -ENOMEM. */
int jit_mem_reserve(struct jit_mem *mem, size_t nbytes, struct ebpf_error *err);
/* Keeps the pages of the first `used` bytes, executable.  0; -EACCES: the machine forbids it; -ENOMEM.  The caller
 * frees the region after an error too. */
int jit_mem_seal(struct jit_mem *mem, size_t used, struct ebpf_error *err);
void jit_mem_free(struct jit_mem *mem);

/* Tells perf(1) of a function: one line in /tmp/perf-PID.map if the environment has PYEBPF_PERF_MAP=1.  Failing to
 * write it fails nothing. */
void jit_mem_perf_map(const char *name, const uint8_t *code, size_t nbytes);
