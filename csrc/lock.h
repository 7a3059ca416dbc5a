/* Spin locks of shared structures: 16 bits, 0 free, else epoch_owner() of the holder's process.
 *
 * Held for some instructions, never over an allocation or a wait.  After fork the child may find a lock that a
 * thread of the parent held: its word is another owner's, the lock is taken over, and `inherited` tells the taker
 * to repair what the lock guards.
 */
#pragma once

#include <sched.h>

#include "common.h"
#include "epoch.h"

#define LOCK_SPIN_TURNS 256

static inline bool lock_try(uint16_t *lock, bool *inherited)
{
	uint16_t owner = epoch_owner();
	uint16_t seen = __atomic_load_n(lock, __ATOMIC_RELAXED);

	if (seen == owner)
		return false;
	*inherited = seen != 0;
	/* Acquire: pairs with lock_release. */
	return __atomic_compare_exchange_n(lock, &seen, owner, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void lock_release(uint16_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE); /* pairs with the acquire of the next holder */
}

/* A holder that was preempted gets the CPU by the yield. */
static inline void lock_pause(const uint16_t *lock)
{
	for (uint32_t turn = 0; turn < LOCK_SPIN_TURNS && __atomic_load_n(lock, __ATOMIC_RELAXED); turn++)
		cpu_relax();
	if (__atomic_load_n(lock, __ATOMIC_RELAXED))
		sched_yield();
}

/* True when the lock was inherited. */
static inline bool lock_acquire(uint16_t *lock)
{
	bool inherited;

	while (unlikely(!lock_try(lock, &inherited)))
		lock_pause(lock);
	return inherited;
}
