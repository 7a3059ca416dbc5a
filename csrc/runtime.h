/* The one runtime of the process: vCPUs, epochs, and the record of a run.
 *
 * A vCPU is a slot held by one thread for the length of a run, sticky per thread; it is also the thread's epoch
 * slot.  get_smp_processor_id and the per-CPU maps use its number.
 */
#pragma once

#include "common.h"

#define EBPF_MAX_VCPUS 256

struct ebpf_map;
struct ebpf_prog;
struct ebpf_run;

/* Something a run holds (a reservation, a reference). Whoever gives it up in the ordinary way unlinks it. */
struct ebpf_resource {
	struct ebpf_resource *next;
	void (*release)(struct ebpf_resource *resource, struct ebpf_run *run);
};

struct ebpf_vcpu {
	uint32_t id;        /* 0 .. ebpf_nr_vcpus() - 1 */
	uint32_t busy;      /* atomic: held by a run */
	const void *thread; /* whose run holds or held it; read by a forked child only */
	uint64_t random;    /* the holder's: state of get_prandom_u32 */
} __attribute__((aligned(128)));

/* The record of one run; helpers get it as their sixth argument. */
struct ebpf_run {
	struct ebpf_vcpu *vcpu;
	struct ebpf_vcpu *outer;         /* of the run this one is nested in (a helper that runs a program), or NULL */
	struct ebpf_prog *prog;          /* the one running; tail calls change it */
	void *ctx;                       /* r1 of the entry program */
	int64_t budget;                  /* back edges and calls left of this slice; below 0: ebpf_budget_refill */
	uint64_t budget_rest;            /* of the whole run, behind this slice */
	int32_t error;                   /* -errno that ends the run early; 0 while it lives */
	uint32_t tail_calls;             /* made so far */
	uint32_t depth;                  /* engine entries nested in this run: callbacks, tail calls out of functions */
	uint32_t frames;                 /* the JIT's: local calls active in this engine entry of a budgeted program */
	uint32_t breaths;                /* ebpf_run_breathe's */
	struct ebpf_resource *resources; /* what an early end gives back */
	const uint64_t *ips;             /* the event's call stack, innermost first, or NULL: the source's */
	uint32_t n_ips;
} __attribute__((aligned(16)));

/* This thread's vCPU inside its innermost run, else NULL. */
extern _Thread_local struct ebpf_vcpu *ebpf_vcpu_self __attribute__((tls_model("initial-exec")));

/* Budgets count down in slices, so that a long run looks at signals. */
#define EBPF_BUDGET_SLICE   (1 << 20)
#define EBPF_BUDGET_DEFAULT (1ull << 30)
/* Engine entries nested in one run; each costs up to 5 KiB of the thread's stack. */
#define EBPF_MAX_DEPTH 48

/* For the engines of programs with PROG_NEEDS_BUDGET, which do `if (--run->budget < 0)` at back edges and calls:
 * true to go on with a new slice, false when run->error is set and the run must end. */
bool ebpf_budget_refill(struct ebpf_run *run);

/* For helpers that take a callback: func is what LD_FUNC gave.  Returns R0; look at run->error after each call. */
uint64_t ebpf_call_function(struct ebpf_run *run, uint64_t func, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
			    uint64_t r5);

/* For the engines: the program to go on with, run->prog set and counted, or NULL to fall through.  Not a
 * PROG_ARRAY, no such index, the limit reached, another type or engine: NULL, as in Linux. */
struct ebpf_prog *ebpf_tail_call(struct ebpf_run *run, struct ebpf_map *map, uint32_t index);

/* For the engines, LD_ABS and LD_IND: nbytes (1, 2, 4) at off of R6's packet in host order, negative off as
 * Linux's SKF_*_OFF; below 0 when they lie outside, which makes the function return 0. */
int64_t ebpf_ld_abs(const void *skb, int32_t off, uint32_t nbytes);

/* Fixed when the runtime starts. */
uint32_t ebpf_nr_vcpus(void);

/* For long loops, now and then: true when a signal's handler wants them ended (-EINTR). */
bool ebpf_interrupted(void);

/* Takes a vCPU for this thread and enters an epoch; waits when all are busy, so never call it with the GIL held
 * unless ebpf_run_try_begin failed. */
void ebpf_run_begin(struct ebpf_run *run);
bool ebpf_run_try_begin(struct ebpf_run *run);
void ebpf_run_end(struct ebpf_run *run);
/* Between two events of a batch, every EBPF_BREATHE_RUNS of them: goes over to a new epoch if there is one.  What runs
 * unlink in between stays pinned, and falls out of the caches when it is much.  Now and then it gives the vCPU to a
 * thread that waits for one, so the run may come back on another. */
#define EBPF_BREATHE_RUNS 8
void ebpf_run_breathe(struct ebpf_run *run);

/* check() is asked after every slice of a budgeted run, non-zero ends the run with -EINTR; NULL: none. */
void ebpf_set_signal_check(int (*check)(void));
