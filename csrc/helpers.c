/* The helper table by number; time, random numbers, vCPU, callbacks. */
#define _GNU_SOURCE
#include "helpers.h"

#include <time.h>

#define HELPER_ROW(name, id) [id] = helper_##name,
static const ebpf_helper_fn helper_table[EBPF_MAX_HELPER_ID + 1] = { EBPF_NATIVE_HELPERS(HELPER_ROW) };

ebpf_helper_fn ebpf_helper_by_id(uint32_t id)
{
	return id < ARRAY_SIZE(helper_table) ? helper_table[id] : NULL;
}

#define HELPER_NAME_ROW(name, id) [id] = #name,
static const char *const helper_names[EBPF_MAX_HELPER_ID + 1] = { EBPF_HELPER_IDS(HELPER_NAME_ROW) };

const char *ebpf_helper_name(uint32_t id)
{
	return id < ARRAY_SIZE(helper_names) && helper_names[id] ? helper_names[id] : "unknown";
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

EBPF_HELPER(ktime_get_ns)
{
	return clock_ns(CLOCK_MONOTONIC);
}

EBPF_HELPER(ktime_get_boot_ns)
{
	return clock_ns(CLOCK_BOOTTIME);
}

EBPF_HELPER(ktime_get_coarse_ns)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

EBPF_HELPER(ktime_get_tai_ns)
{
	return clock_ns(CLOCK_TAI);
}

/* Linux at HZ 250, since a start of the machine. */
EBPF_HELPER(jiffies64)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE) / 4000000;
}

EBPF_HELPER(get_smp_processor_id)
{
	return run->vcpu->id;
}

EBPF_HELPER(get_numa_node_id)
{
	return 0;
}

/* SplitMix64 (Steele, Lea, Flood 2014), a stream for each vCPU. */
EBPF_HELPER(get_prandom_u32)
{
	uint64_t z = run->vcpu->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z >> 32;
}

/* Linux's BPF_MAX_LOOPS. */
#define MAX_LOOPS (8u * 1024 * 1024)
/* Turns between two looks at signals. */
#define LOOP_SLICE (1u << 18)

/* loop(n, callback, context, flags): callback(i, context) until it returns other than 0. */
EBPF_HELPER(loop)
{
	uint32_t i, n = (uint32_t)r1;

	if (r4)
		return EBPF_ERROR(EINVAL);
	if (n > MAX_LOOPS)
		return EBPF_ERROR(E2BIG);
	for (i = 0; i < n; i++) {
		uint64_t stop = ebpf_call_function(run, r2, i, r3, 0, 0, 0);

		if (run->error)
			return 0;
		if (stop)
			return i + 1;
		if (unlikely(i % LOOP_SLICE == LOOP_SLICE - 1) && ebpf_interrupted())
			run->error = -EINTR;
	}
	return i;
}
