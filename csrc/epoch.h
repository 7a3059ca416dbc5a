/* Epochs: what a reader found stays readable until the reader leaves.
 *
 * A thread that reads shared structures is inside epoch_enter/epoch_exit (nests).  Something unlinked while the
 * global epoch was e may be freed or reused once the epoch is e + 2, no sooner:
 *
 *   invariant 1  the global epoch moves from e to e + 1 only while every slot is idle or says e;
 *   invariant 2  so a thread that might hold what was unlinked at e keeps the epoch at e + 1 or below.
 *
 * Orders.  enter: slot := epoch (release store), then a light barrier: only the compiler's where membarrier(2)
 * works, an xchg elsewhere.  exit: slot := idle (release).  advance: heavy barrier (membarrier), slots read with
 * acquire, then CAS of the global epoch (acq_rel): a reader's last access is before its exit, that before the
 * scan that saw it, that before the new epoch, that before a reclaimer's acquire load of the epoch.  The
 * unlinking store is an RMW and the unlinker loads the epoch after it (seq_cst).
 *
 * Nobody waits here: a thread that stays inside keeps memory from being reused, and that is all.
 */
#pragma once

#include "common.h"

#define EPOCH_MAX_THREADS 4096

struct epoch_slot {
	uint64_t state; /* atomic: 0 idle, or epoch << 1 | 1 */
	uint32_t depth; /* the owner's: nested enters */
	uint32_t id;    /* the owner's: index of this slot, for per-thread caches */
	bool fenced;    /* the owner's: no membarrier, so enter fences */
	bool nowait;    /* the owner's: epoch_set_nowait */
	bool taken;     /* atomic: has a thread */
} __attribute__((aligned(128)));

struct epoch_domain {
	uint64_t epoch __attribute__((aligned(128))); /* atomic; starts at 2 */
	uint32_t pending;                             /* atomic: objects in the retire queue */
	uint32_t n_slots;                             /* atomic: slots ever taken */
	uint16_t owner;                               /* epoch_owner */
	struct epoch_slot slots[EPOCH_MAX_THREADS];
};

/* The process has one set of threads, so one domain. */
extern struct epoch_domain epoch_domain;
/* initial-exec: 8 bytes of static TLS, one load an enter. */
extern _Thread_local struct epoch_slot *epoch_self __attribute__((tls_model("initial-exec")));

/* This thread's slot, taken on first use and given back when the thread ends. */
struct epoch_slot *epoch_slot_take(void);
/* Frees what has become free; called by the outermost exit while anything is queued. */
void epoch_drain(void);

static inline struct epoch_slot *epoch_slot(void)
{
	return likely(epoch_self != NULL) ? epoch_self : epoch_slot_take();
}

/* Orders a store before a later load against epoch_heavy_barrier of another thread. */
static inline void epoch_light_barrier(struct epoch_slot *slot)
{
	if (unlikely(slot->fenced))
		__atomic_fetch_add(&slot->state, 0, __ATOMIC_SEQ_CST); /* a full barrier, by an RMW that TSan knows */
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The other side: every thread of the process has passed a full barrier when it returns. */
void epoch_heavy_barrier(void);

static inline void epoch_enter(void)
{
	struct epoch_slot *slot = epoch_slot();

	if (slot->depth++)
		return;
	/* Release: pairs with the acquire scan in epoch_advance, for the runs this thread made before. */
	__atomic_store_n(&slot->state, __atomic_load_n(&epoch_domain.epoch, __ATOMIC_RELAXED) << 1 | 1,
			 __ATOMIC_RELEASE);
	epoch_light_barrier(slot);
}

static inline void epoch_exit(void)
{
	struct epoch_slot *slot = epoch_self;

	if (--slot->depth)
		return;
	/* Release: pairs with the acquire scan in epoch_advance. */
	__atomic_store_n(&slot->state, 0, __ATOMIC_RELEASE);
	if (unlikely(__atomic_load_n(&epoch_domain.pending, __ATOMIC_RELAXED)))
		epoch_drain();
}

/* Between two short runs of a loop: lets the epoch go on if it can. */
static inline void epoch_refresh(void)
{
	struct epoch_slot *slot = epoch_self;

	if (slot->depth == 1 && __atomic_load_n(&slot->state, __ATOMIC_RELAXED) >> 1 !=
				    __atomic_load_n(&epoch_domain.epoch, __ATOMIC_RELAXED)) {
		epoch_exit();
		epoch_enter();
	}
}

/* The epoch to label something with that this thread has unlinked by a seq_cst or acq_rel RMW. */
static inline uint64_t epoch_now(void)
{
	return __atomic_load_n(&epoch_domain.epoch, __ATOMIC_SEQ_CST);
}

/* What the lock words of shared structures hold while a thread of this process has them: 1 .. 65535, another in
 * a child after fork, so that a lock whose owner did not come along is known by its word. */
static inline uint16_t epoch_owner(void)
{
	return __atomic_load_n(&epoch_domain.owner, __ATOMIC_RELAXED);
}

/* True when what was unlinked at `epoch` may be reused (acquire: pairs with the CAS in epoch_advance). */
static inline bool epoch_passed(uint64_t epoch)
{
	return __atomic_load_n(&epoch_domain.epoch, __ATOMIC_ACQUIRE) >= epoch + 2;
}

/* Moves the epoch by one if no thread is behind.  Without force it first looks at the clock: a membarrier costs
 * 0.1 to 100 us, and at most a sixteenth of the time goes into them.  True when the epoch moved, by whomever. */
bool epoch_advance(bool force);
/* True when a thread that is inside since an older epoch keeps it from moving. */
bool epoch_held(void);
/* True when this thread itself is inside since an older epoch: waiting for an advance would be in vain. */
bool epoch_self_behind(void);

/* Calls fn(ptr) when no reader can hold ptr: now, or at a later exit or retire of any thread.  fn must not wait
 * and must not need the GIL.  Never fails: with no memory for the queue entry it waits for the readers, and leaks
 * when this thread is one. */
void epoch_retire(void (*fn)(void *ptr), void *ptr);

/* While set, operations of this thread that would wait for readers return -EAGAIN instead: for a caller that
 * holds the GIL, which a reader may need.  Returns the old setting. */
static inline bool epoch_set_nowait(bool nowait)
{
	struct epoch_slot *slot = epoch_slot();
	bool old = slot->nowait;

	slot->nowait = nowait;
	return old;
}
