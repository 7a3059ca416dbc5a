/* vCPUs and the begin and end of a run. */
#include "runtime.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

struct ebpf_runtime {
	uint32_t nr_vcpus; /* 0 before the first run; atomic */
	struct ebpf_vcpu vcpus[EBPF_MAX_VCPUS];
};

static struct ebpf_runtime runtime;
static _Thread_local uint32_t sticky;

uint32_t ebpf_nr_vcpus(void)
{
	uint32_t n = __atomic_load_n(&runtime.nr_vcpus, __ATOMIC_ACQUIRE);
	uint32_t unset = 0;
	long cpus;

	if (n)
		return n;
	cpus = sysconf(_SC_NPROCESSORS_CONF);
	n = cpus < 1 ? 1 : cpus > EBPF_MAX_VCPUS ? EBPF_MAX_VCPUS : (uint32_t)cpus;
	for (uint32_t i = 0; i < n; i++)
		__atomic_store_n(&runtime.vcpus[i].id, i, __ATOMIC_RELAXED);
	__atomic_compare_exchange_n(&runtime.nr_vcpus, &unset, n, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	return n;
}

bool ebpf_run_try_begin(struct ebpf_run *run)
{
	uint32_t n = ebpf_nr_vcpus();

	for (uint32_t i = 0; i < n; i++) {
		struct ebpf_vcpu *vcpu = &runtime.vcpus[(sticky + i) % n];

		/* Pairs with the release in ebpf_run_end: per-CPU data of the last run is seen. */
		if (__atomic_exchange_n(&vcpu->busy, 1, __ATOMIC_ACQUIRE))
			continue;
		sticky = vcpu->id;
		run->vcpu = vcpu;
		return true;
	}
	return false;
}

void ebpf_run_begin(struct ebpf_run *run)
{
	while (!ebpf_run_try_begin(run))
		sched_yield();
}

void ebpf_run_end(struct ebpf_run *run)
{
	__atomic_store_n(&run->vcpu->busy, 0, __ATOMIC_RELEASE);
}
