/* vCPUs, and the begin, the budget and the end of a run. */
#include "runtime.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "decode.h"
#include "epoch.h"
#include "helpers.h"
#include "interp.h"
#include "map.h"
#include "prog.h"

/* A batch that has held its vCPU for so many breaths gives it to a thread that waits. */
#define HAND_OVER_BREATHS 128
/* How long it lets others go first: a waiter looks every 50 us. */
#define HAND_OVER_YIELDS 1000

struct ebpf_runtime {
	uint32_t waiters;          /* atomic: threads that found every vCPU busy */
	uint32_t nr_vcpus;         /* 0 before the first run; atomic */
	int (*signal_check)(void); /* atomic; NULL: none */
	struct ebpf_vcpu vcpus[EBPF_MAX_VCPUS];
};

static struct ebpf_runtime runtime;
_Thread_local struct ebpf_vcpu *ebpf_vcpu_self __attribute__((tls_model("initial-exec")));
/* The vCPU this thread held last. */
static _Thread_local struct ebpf_vcpu *sticky __attribute__((tls_model("initial-exec")));

/* The child has one thread: the runs of the others did not come along. */
static void runtime_fork_child(void)
{
	for (uint32_t i = 0; i < EBPF_MAX_VCPUS; i++)
		if (runtime.vcpus[i].thread != &sticky)
			__atomic_store_n(&runtime.vcpus[i].busy, 0, __ATOMIC_RELAXED);
}

static uint64_t random_seed(uint64_t fallback)
{
	uint64_t seed;

	return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed) ? seed : fallback;
}

static uint32_t runtime_start(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t n = cpus < 1 ? 1 : cpus > EBPF_MAX_VCPUS ? EBPF_MAX_VCPUS : (uint32_t)cpus;
	uint32_t unset = 0;

	for (uint32_t i = 0; i < n; i++) {
		__atomic_store_n(&runtime.vcpus[i].id, i, __ATOMIC_RELAXED);
		if (!__atomic_load_n(&runtime.vcpus[i].random, __ATOMIC_RELAXED))
			__atomic_store_n(&runtime.vcpus[i].random, random_seed(i), __ATOMIC_RELAXED);
	}
	if (__atomic_compare_exchange_n(&runtime.nr_vcpus, &unset, n, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		pthread_atfork(NULL, NULL, runtime_fork_child);
	return n;
}

uint32_t ebpf_nr_vcpus(void)
{
	uint32_t n = __atomic_load_n(&runtime.nr_vcpus, __ATOMIC_ACQUIRE);

	return likely(n) ? n : runtime_start();
}

static bool vcpu_try_take(struct ebpf_vcpu *vcpu)
{
	uint32_t idle = 0;

	/* Acquire pairs with the release in ebpf_run_end: per-CPU data of the last run is seen. */
	if (!__atomic_compare_exchange_n(&vcpu->busy, &idle, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	vcpu->thread = &sticky;
	return true;
}

static struct ebpf_vcpu *vcpu_search(void)
{
	uint32_t n = ebpf_nr_vcpus();
	uint32_t first = sticky ? sticky->id : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct ebpf_vcpu *vcpu = &runtime.vcpus[(first + i) % n];

		if (vcpu_try_take(vcpu))
			return sticky = vcpu;
	}
	return NULL;
}

bool ebpf_run_try_begin(struct ebpf_run *run)
{
	struct ebpf_vcpu *vcpu = sticky;

	if (unlikely(!vcpu || !vcpu_try_take(vcpu))) {
		vcpu = vcpu_search();
		if (!vcpu)
			return false;
	}
	run->vcpu = vcpu;
	run->outer = ebpf_vcpu_self;
	ebpf_vcpu_self = vcpu;
	epoch_enter();
	return true;
}

void ebpf_run_begin(struct ebpf_run *run)
{
	static const struct timespec pause = { .tv_nsec = 50000 };

	if (likely(ebpf_run_try_begin(run)))
		return;
	__atomic_add_fetch(&runtime.waiters, 1, __ATOMIC_RELAXED);
	for (uint32_t tries = 0; !ebpf_run_try_begin(run); tries++) {
		if (tries < 64)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
	__atomic_sub_fetch(&runtime.waiters, 1, __ATOMIC_RELAXED);
}

static void release_resources(struct ebpf_run *run)
{
	while (run->resources) {
		struct ebpf_resource *resource = run->resources;

		run->resources = resource->next;
		resource->release(resource, run);
	}
}

void ebpf_run_end(struct ebpf_run *run)
{
	if (unlikely(run->resources != NULL))
		release_resources(run);
	epoch_exit();
	ebpf_vcpu_self = run->outer;
	__atomic_store_n(&run->vcpu->busy, 0, __ATOMIC_RELEASE);
}

/* Gives the vCPU to a thread that waits for one, and comes back when there is one again. */
static void hand_over(struct ebpf_run *run)
{
	struct ebpf_vcpu *vcpu = run->vcpu;

	ebpf_run_end(run);
	for (uint32_t i = 0; i < HAND_OVER_YIELDS && __atomic_load_n(&runtime.waiters, __ATOMIC_RELAXED) &&
			     !__atomic_load_n(&vcpu->busy, __ATOMIC_RELAXED);
	     i++)
		sched_yield();
	ebpf_run_begin(run);
}

void ebpf_run_breathe(struct ebpf_run *run)
{
	epoch_refresh();
	if (++run->breaths % HAND_OVER_BREATHS == 0 && __atomic_load_n(&runtime.waiters, __ATOMIC_RELAXED))
		hand_over(run);
}

void ebpf_set_signal_check(int (*check)(void))
{
	__atomic_store_n(&runtime.signal_check, check, __ATOMIC_RELAXED);
}

bool ebpf_interrupted(void)
{
	int (*check)(void) = __atomic_load_n(&runtime.signal_check, __ATOMIC_RELAXED);

	return check && check();
}

bool ebpf_budget_refill(struct ebpf_run *run)
{
	uint64_t slice = run->budget_rest < EBPF_BUDGET_SLICE ? run->budget_rest : EBPF_BUDGET_SLICE;

	if (run->error)
		return false;
	if (!slice) {
		run->error = -EDQUOT;
		return false;
	}
	if (ebpf_interrupted()) {
		run->error = -EINTR;
		return false;
	}
	run->budget_rest -= slice;
	run->budget = (int64_t)slice - 1;
	return true;
}

uint64_t ebpf_call_function(struct ebpf_run *run, uint64_t func, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
			    uint64_t r5)
{
	uint32_t frames = run->frames;
	uint64_t r0;

	if (run->depth >= EBPF_MAX_DEPTH) {
		run->error = -E2BIG;
		return 0;
	}
	run->depth++;
	run->frames = 0;
	if (run->prog->engine == EBPF_ENGINE_JIT)
		r0 = ((ebpf_helper_fn)(uintptr_t)func)(r1, r2, r3, r4, r5, run);
	else
		r0 = interp_call(run, func, (uint64_t[5]){ r1, r2, r3, r4, r5 });
	run->depth--;
	run->frames = frames;
	return r0;
}

/* Whose programs may follow each other: as Linux's owner of a prog array. */
static bool may_follow(const struct ebpf_prog *prog, const struct ebpf_prog *to)
{
	return prog->type == to->type && prog->engine == to->engine && !((prog->flags ^ to->flags) & PROG_NEEDS_BUDGET);
}

struct ebpf_prog *ebpf_tail_call(struct ebpf_run *run, struct ebpf_map *map, uint32_t index)
{
	struct ebpf_prog *to;

	if (map->type != BPF_MAP_TYPE_PROG_ARRAY || index >= map->max_entries || run->tail_calls >= EBPF_MAX_TAIL_CALLS)
		return NULL;
	to = map->ops->lookup(map, &index);
	if (!to || !may_follow(run->prog, to))
		return NULL;
	run->tail_calls++;
	run->prog = to;
	return to;
}
