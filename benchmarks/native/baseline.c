/* The dissector natively, and the loop that native code, our engines and Linux's code are timed in. */
#include "baseline.h"

#include <string.h>
#include <time.h>

#include "gen/ctx.h"

typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef int32_t __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef uint16_t __be16;
typedef uint32_t __be32;

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#include "pyebpf/bpf_types.h"

#include "dissect.h"

_Static_assert(sizeof(struct bpf_flow_keys) == KEYS_NBYTES, "as Linux's");

uint64_t baseline_dissect(void *r1, uint64_t unused)
{
	struct ebpf_skb *skb = r1;

	(void)unused;
	return dissect((const uint8_t *)(uintptr_t)skb->data, (const uint8_t *)(uintptr_t)skb->data_end,
		       (struct bpf_flow_keys *)(uintptr_t)skb->flow_keys);
}

uint64_t baseline_nothing(void *r1, uint64_t unused)
{
	(void)r1;
	return unused;
}

/* Linux's inner context of a flow dissector. */
struct linux_flow {
	uint64_t flow_keys;
	uint64_t skb;
	uint64_t data;
	uint64_t data_end;
};

struct frame {
	union {
		struct ebpf_skb skb;
		struct linux_flow linux_flow;
	};
	struct bpf_flow_keys keys;
	uint64_t *data; /* where in the context the packet's bounds stand */
	uint64_t *data_end;
};

static void frame_init(struct frame *frame, enum baseline_ctx kind)
{
	uint64_t keys = (uintptr_t)&frame->keys;

	memset(frame, 0, sizeof(*frame));
	if (kind == CTX_SKB) {
		frame->skb.flow_keys = keys;
		frame->data = &frame->skb.data;
		frame->data_end = &frame->skb.data_end;
	} else {
		frame->linux_flow.flow_keys = keys;
		frame->data = &frame->linux_flow.data;
		frame->data_end = &frame->linux_flow.data_end;
	}
}

static inline uint64_t frame_run(struct frame *frame, baseline_fn fn, const uint8_t *data, size_t nbytes)
{
	*frame->data = (uintptr_t)data;
	*frame->data_end = (uintptr_t)(data + nbytes);
	memset(&frame->keys, 0, sizeof(frame->keys));
	frame->keys.nhoff = frame->keys.thoff = ETH_HLEN;
	memcpy(&frame->keys.n_proto, data + 12, 2);
	return fn(frame, 0);
}

static uint16_t clamp(uint16_t value, size_t low, size_t high)
{
	return (uint16_t)(value < low ? low : value > high ? high : value);
}

uint64_t baseline_run(baseline_fn fn, enum baseline_ctx kind, const uint8_t *data, size_t nbytes,
		      uint8_t keys[KEYS_NBYTES])
{
	struct frame frame;
	uint64_t hash;

	frame_init(&frame, kind);
	hash = frame_run(&frame, fn, data, nbytes);
	frame.keys.nhoff = clamp(frame.keys.nhoff, ETH_HLEN, nbytes);
	frame.keys.thoff = clamp(frame.keys.thoff, frame.keys.nhoff, nbytes);
	memcpy(keys, &frame.keys, KEYS_NBYTES);
	return hash;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t baseline_time(baseline_fn fn, enum baseline_ctx kind, const struct baseline_packets *packets, uint64_t *ns)
{
	uint64_t sum = 0, start;
	struct frame frame __attribute__((aligned(64)));

	frame_init(&frame, kind);
	start = now_ns();
	for (uint64_t i = 0; i < packets->n; i++) {
		uint64_t slot = packets->order[i];
		uint32_t nbytes = packets->lengths[slot % SHAPES];

		sum += frame_run(&frame, fn, packets->slots + slot * SLOT_NBYTES, nbytes) + frame.keys.sport;
	}
	*ns = now_ns() - start;
	return sum;
}
