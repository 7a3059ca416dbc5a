/* Helper functions: helper_NAME for every row of EBPF_NATIVE_HELPERS, found by number. */
#pragma once

#include "gen/helpers.h"
#include "runtime.h"

/* r1..r5 as the program set them; R0 back.  To end the run early a helper sets run->error. */
typedef uint64_t (*ebpf_helper_fn)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
				   struct ebpf_run *run);

/* The head of a helper's definition; it uses the arguments it has. */
#define EBPF_HELPER(name)                                                                                              \
	uint64_t helper_##name(EBPF_UNUSED uint64_t r1, EBPF_UNUSED uint64_t r2, EBPF_UNUSED uint64_t r3,              \
			       EBPF_UNUSED uint64_t r4, EBPF_UNUSED uint64_t r5, EBPF_UNUSED struct ebpf_run *run)
#define EBPF_UNUSED __attribute__((unused))
/* A pointer, and an error, as registers hold them. */
#define EBPF_PTR(reg)   ((void *)(uintptr_t)(reg))
#define EBPF_ERROR(err) ((uint64_t)(int64_t)-(err))

#define EBPF_DECLARE_HELPER(name, id)                                                                                  \
	uint64_t helper_##name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run);
EBPF_NATIVE_HELPERS(EBPF_DECLARE_HELPER)
#undef EBPF_DECLARE_HELPER

/* The one helper the engines do themselves. */
#define EBPF_HELPER_TAIL_CALL 12

/* "unknown" for a number that spec/helpers.py does not have. */
const char *ebpf_helper_name(uint32_t id);

/* NULL when the number has no implementation here. */
ebpf_helper_fn ebpf_helper_by_id(uint32_t id);
