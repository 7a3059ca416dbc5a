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

struct ebpf_vcpu {
	uint32_t id;   /* 0 .. ebpf_nr_vcpus() - 1 */
	uint32_t busy; /* atomic: held by a run */
} __attribute__((aligned(128)));

/* The record of one run; helpers get it as their sixth argument. */
struct ebpf_run {
	struct ebpf_vcpu *vcpu;
	struct ebpf_prog *prog; /* the one running; tail calls change it */
	void *ctx;              /* r1 of the entry program */
	uint64_t budget;        /* back edges and calls left; UINT64_MAX: unlimited */
	int32_t error;          /* -errno that ends the run early; 0 while it lives */
	uint32_t tail_calls;    /* made so far */
	void *entry_sp;         /* the engine's: where an early end returns to */
	void *stack;            /* the interpreter's BPF stack */
};

/* Fixed when the runtime starts. */
uint32_t ebpf_nr_vcpus(void);

/* Takes a vCPU for this thread and enters an epoch; waits when all are busy, so never call it with the GIL held
 * unless ebpf_run_try_begin failed. */
void ebpf_run_begin(struct ebpf_run *run);
bool ebpf_run_try_begin(struct ebpf_run *run);
void ebpf_run_end(struct ebpf_run *run);
