/* The native side of the benchmarks: the dissector compiled by the C compiler, and the loop that all engines are
 * timed in. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEYS_NBYTES 56
#define SLOT_NBYTES 128
#define SHAPES      8

/* What r1 points to. */
enum baseline_ctx {
	CTX_SKB,        /* our __sk_buff with what stands behind it (csrc/gen/ctx.h) */
	CTX_LINUX_FLOW, /* Linux's struct bpf_flow_dissector, for code its JIT made */
};

typedef uint64_t (*baseline_fn)(void *r1, uint64_t r2);

/* Packets in slots of SLOT_NBYTES bytes; slot i has the shape i % SHAPES, and its length. */
struct baseline_packets {
	const uint8_t *slots;
	uint32_t lengths[SHAPES];
	const uint32_t *order; /* slot numbers, visited one after another */
	uint64_t n;
};

/* The dissector as a function of that kind, for CTX_SKB. */
uint64_t baseline_dissect(void *skb, uint64_t unused);

/* Does nothing: what the loop itself costs. */
uint64_t baseline_nothing(void *skb, uint64_t unused);

/* fn over one packet with keys prepared as Linux does; the offsets it leaves are bounded as Linux bounds them. */
uint64_t baseline_run(baseline_fn fn, enum baseline_ctx kind, const uint8_t *data, size_t nbytes,
		      uint8_t keys[KEYS_NBYTES]);

/* fn over all packets in order; *ns gets the time.  The sum of what fn returned and of the keys' ports, so that
 * nothing it stores may be left out. */
uint64_t baseline_time(baseline_fn fn, enum baseline_ctx kind, const struct baseline_packets *packets, uint64_t *ns);

#ifdef __cplusplus
}
#endif
