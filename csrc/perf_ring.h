/* Trace points as an event source: the rings of perf events, one a CPU, records in the kernel's format.
 *
 * ctx of a tracepoint program is the raw record.  For a raw_tracepoint program args[] is put together from fields
 * of the record (struct perf_arg), since the arguments themselves do not leave the kernel.
 */
#pragma once

#include "pump.h"

/* One argument: bytes of the record, sign-extended if asked. */
struct perf_arg {
	uint16_t offset;
	uint8_t size; /* 1, 2, 4, 8; 0: the argument is 0 */
	bool is_signed;
};

#define PERF_MAX_ARGS 12

struct perf_source_desc {
	const int *fds; /* perf events, opened with PERF_SAMPLE_RAW, or with PERF_SAMPLE_CALLCHAIN and _RAW */
	uint32_t n_fds;
	uint32_t pages; /* of each ring, a power of two */
	bool callchain;
	bool raw_args; /* args[] instead of the record */
	struct perf_arg args[PERF_MAX_ARGS];
};

/* Maps the rings; the descriptors are taken over on success.  -errno of mmap, -ENOMEM. */
int perf_source_create(const struct perf_source_desc *desc, struct event_source **out, struct ebpf_error *err);
