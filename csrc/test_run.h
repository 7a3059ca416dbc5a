/* PROG_TEST_RUN: one program over one packet or context, some times, with what it left. */
#pragma once

#include "packet.h"

struct prog_test {
	const void *data;
	size_t nbytes;
	const void *ctx; /* NULL: none given.  Linux's struct of the program type, or a raw context */
	size_t ctx_nbytes;
	uint32_t repeat; /* 0 is 1 */

	uint64_t retval;      /* of the last run: 32 bits as Linux, all 64 of an unverified program */
	uint64_t duration_ns; /* mean of the runs */
	uint8_t *out;         /* the packet, or bpf_flow_keys; prog_test_free frees it */
	size_t out_nbytes;
	uint8_t *ctx_out; /* the context after the last run; ctx_nbytes long, NULL without ctx */
};

/* As Linux: -EINVAL for a packet of less than 14 bytes (34 of IPv4, 54 of IPv6, where there is an skb) or fields
 * of ctx that may not be set, -ENODEV for an interface that is not there; or what ended a run early. */
int prog_test_run(struct ebpf_prog *prog, struct prog_test *test, struct ebpf_error *err);
void prog_test_free(struct prog_test *test);
