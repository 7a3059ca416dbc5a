/* Errors with a place: text travels only through struct ebpf_error. */
#pragma once

#include <stdint.h>

struct ebpf_error {
	int code;         /* -errno, 0 when unset */
	int64_t insn_idx; /* -1 when no instruction is to blame */
	char text[256];   /* where, what was seen, what was wanted; NUL-terminated */
};

/* Fills *err (may be NULL) and returns code, so that callers write `return ebpf_fail(...)`. */
__attribute__((format(printf, 4, 5))) int ebpf_fail(struct ebpf_error *err, int code, int64_t insn_idx,
						    const char *format, ...);
