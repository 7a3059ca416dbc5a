/* Epochs: slots, the advance, the queue of retired objects.  The rules are in epoch.h. */
#define _GNU_SOURCE
#include "epoch.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* 1 / SHARE of the time at most goes into heavy barriers that nobody forced. */
#define SHARE 16

struct retired {
	struct retired *next;
	void (*fn)(void *ptr);
	void *ptr;
	uint64_t epoch;
};

struct epoch_domain epoch_domain = { .epoch = 2, .owner = 1 };
_Thread_local struct epoch_slot *epoch_self;

/* FIFO under `lock`; entries are in epoch order but for callers that raced, which costs time only. */
static struct {
	pthread_mutex_t lock;
	struct retired *head, **tail;
	pthread_once_t once;
	pthread_key_t key; /* its destructor gives the slot back */
	bool membarrier;
	uint64_t next_ns; /* atomic: no unforced advance before */
	uint64_t cost_ns; /* atomic: of a heavy barrier, as a rule */
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .tail = &queue.head, .once = PTHREAD_ONCE_INIT };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* EPOCH_NO_MEMBARRIER: a stress build that takes the other way. */
static bool membarrier_register(void)
{
#ifdef EPOCH_NO_MEMBARRIER
	return false;
#endif
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static void slot_release(void *ptr)
{
	struct epoch_slot *slot = ptr;

	epoch_self = NULL;
	/* Release: pairs with the acquire exchange in epoch_slot_take. */
	__atomic_store_n(&slot->taken, false, __ATOMIC_RELEASE);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&queue.lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&queue.lock);
}

/* The child has this thread only: the others' slots are free, and hold back nothing. */
static void fork_child(void)
{
	uint32_t n = __atomic_load_n(&epoch_domain.n_slots, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < n; i++) {
		struct epoch_slot *slot = &epoch_domain.slots[i];

		if (slot == epoch_self)
			continue;
		slot->depth = 0;
		__atomic_store_n(&slot->state, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&slot->taken, false, __ATOMIC_RELAXED);
	}
	epoch_domain.owner = (uint16_t)(epoch_domain.owner == UINT16_MAX ? 1 : epoch_domain.owner + 1);
	if (queue.membarrier)
		membarrier_register();
	pthread_mutex_unlock(&queue.lock);
}

static void domain_init(void)
{
	queue.membarrier = membarrier_register();
	pthread_key_create(&queue.key, slot_release);
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static struct epoch_slot *slot_try_take(void)
{
	for (uint32_t i = 0; i < EPOCH_MAX_THREADS; i++) {
		struct epoch_slot *slot = &epoch_domain.slots[i];
		uint32_t n = __atomic_load_n(&epoch_domain.n_slots, __ATOMIC_RELAXED);

		/* Acquire: pairs with slot_release, for the plain fields. */
		if (__atomic_exchange_n(&slot->taken, true, __ATOMIC_ACQUIRE))
			continue;
		slot->id = i;
		/* seq_cst, and before the first enter: an advance that misses this slot misses no reader. */
		while (n <= i && !__atomic_compare_exchange_n(&epoch_domain.n_slots, &n, i + 1, false, __ATOMIC_SEQ_CST,
							      __ATOMIC_RELAXED))
			;
		return slot;
	}
	return NULL;
}

struct epoch_slot *epoch_slot_take(void)
{
	struct epoch_slot *slot;

	pthread_once(&queue.once, domain_init);
	while (!(slot = slot_try_take()))
		sched_yield();
	slot->depth = 0;
	slot->nowait = false;
	slot->fenced = !queue.membarrier;
	pthread_setspecific(queue.key, slot);
	epoch_self = slot;
	return slot;
}

void epoch_heavy_barrier(void)
{
	pthread_once(&queue.once, domain_init);
	if (queue.membarrier)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	else
		__atomic_fetch_add(&epoch_domain.epoch, 0, __ATOMIC_SEQ_CST);
}

/* True when every slot is idle or at `epoch`. */
static bool slots_at(uint64_t epoch)
{
	uint32_t n = __atomic_load_n(&epoch_domain.n_slots, __ATOMIC_SEQ_CST);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t state = __atomic_load_n(&epoch_domain.slots[i].state, __ATOMIC_ACQUIRE);

		if (state && state >> 1 != epoch)
			return false;
	}
	return true;
}

bool epoch_held(void)
{
	return !slots_at(epoch_now());
}

bool epoch_self_behind(void)
{
	uint64_t state = __atomic_load_n(&epoch_slot()->state, __ATOMIC_RELAXED);

	return state && state >> 1 != epoch_now();
}

/* A barrier that was begun at start_ns is over.  What it costs as a rule follows a fall at once and a rise slowly:
 * a preemption in between would else stop the epoch for SHARE times as long, and what is unlinked piles up. */
static void note_cost(uint64_t start_ns)
{
	uint64_t end = now_ns(), cost = end - start_ns;
	uint64_t usual = __atomic_load_n(&queue.cost_ns, __ATOMIC_RELAXED);

	usual += usual / 8 + 50;
	if (cost > usual)
		cost = usual;
	__atomic_store_n(&queue.cost_ns, cost, __ATOMIC_RELAXED);
	__atomic_store_n(&queue.next_ns, end + cost * SHARE, __ATOMIC_RELAXED);
}

bool epoch_advance(bool force)
{
	uint64_t epoch = epoch_now();
	uint64_t start, seen = epoch;

	/* A look without the barrier: what is behind now stays behind, so there is nothing to pay for. */
	if (!slots_at(epoch))
		return epoch_now() != epoch;
	start = now_ns();
	if (!force && start < __atomic_load_n(&queue.next_ns, __ATOMIC_RELAXED))
		return false;
	epoch_heavy_barrier();
	note_cost(start);
	if (!slots_at(epoch))
		return epoch_now() != epoch;
	/* Release: pairs with epoch_passed.  Failure means that someone else moved it. */
	__atomic_compare_exchange_n(&epoch_domain.epoch, &seen, epoch + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return true;
}

/* The queue's entries that may go, as a list; the queue keeps the rest. */
static struct retired *queue_take(void)
{
	struct retired *list = NULL, **end = &list;

	pthread_mutex_lock(&queue.lock);
	while (queue.head && epoch_passed(queue.head->epoch)) {
		*end = queue.head;
		end = &queue.head->next;
		queue.head = queue.head->next;
		__atomic_sub_fetch(&epoch_domain.pending, 1, __ATOMIC_RELAXED);
	}
	*end = NULL;
	if (!queue.head)
		queue.tail = &queue.head;
	pthread_mutex_unlock(&queue.lock);
	return list;
}

static void drain(bool force)
{
	struct retired *list, *next;

	/* Two steps make a grace period. */
	if (epoch_advance(force))
		epoch_advance(force);
	for (list = queue_take(); list; list = next) {
		next = list->next;
		list->fn(list->ptr);
		free(list);
	}
}

void epoch_drain(void)
{
	drain(false);
}

/* No memory for a queue entry: step until the readers have left. */
static void retire_now(void (*fn)(void *ptr), void *ptr, uint64_t epoch)
{
	struct epoch_slot *slot = epoch_slot();

	/* This thread's own readers would never leave: leak rather than free under them. */
	if (slot->depth)
		return;
	while (!epoch_passed(epoch)) {
		if (!epoch_advance(true))
			sched_yield();
	}
	fn(ptr);
}

void epoch_retire(void (*fn)(void *ptr), void *ptr)
{
	struct retired *entry = malloc(sizeof(*entry));
	struct epoch_slot *slot = epoch_slot();
	uint64_t epoch;

	/* An RMW, so that the caller's unlinking comes first whatever it was. */
	epoch = __atomic_fetch_add(&epoch_domain.epoch, 0, __ATOMIC_SEQ_CST);
	if (!entry) {
		retire_now(fn, ptr, epoch);
		return;
	}
	*entry = (struct retired){ .fn = fn, .ptr = ptr, .epoch = epoch };
	pthread_mutex_lock(&queue.lock);
	*queue.tail = entry;
	queue.tail = &entry->next;
	__atomic_add_fetch(&epoch_domain.pending, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&queue.lock);
	if (!slot->depth)
		drain(true);
}
