/* Batches: one native loop over many events, on one or more threads. */
#pragma once

#include "packet.h"

/* Event i: nbytes = lengths ? lengths[i] : row; at base + (offsets ? offsets[i] : i * stride). */
struct prog_batch {
	const uint8_t *base;
	const uint64_t *offsets;
	const uint32_t *lengths;
	uint64_t stride;
	uint64_t row; /* bytes of an event without lengths; the most with lengths and without offsets */
	uint64_t n;
	/* One of both, or neither: n of R0. */
	uint64_t *retvals;
	uint32_t *retvals32;
	/* n rows of out_width bytes, or NULL: what each run left, as PROG_TEST_RUN's data_out, cut to fit. */
	uint8_t *out;
	uint64_t out_width;
	uint32_t *out_lengths; /* n lengths before cutting, or NULL */
};

/* Event i that does not lie inside `size` bytes from base, or n when all do. */
uint64_t prog_batch_check(const struct prog_batch *batch, uint64_t size);

/* Runs prog over every event, on `threads` threads with a contiguous share each; not with the GIL held.  0, or the
 * -errno that ended a run early or refused an event; *failed is then its index.  -EAGAIN: no thread could be made. */
int prog_run_batch(struct ebpf_prog *prog, const struct prog_batch *batch, uint32_t threads, uint64_t *failed);
