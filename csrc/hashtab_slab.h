/* The elements of a hash table: who has which free ones, and the credits that bound the live ones.
 *
 * An element is in exactly one place: fresh (never used, above the bump index or in a cache's fresh range), in a
 * cache's free list, in a cache's limbo (unlinked, readers may be there), in a slot, or in the hands of a thread.
 * A cache belongs to the threads whose slot number falls on it, mostly one; its lock is taken for a few
 * instructions.  A limbo list holds what was unlinked in one epoch; with four of them the one whose turn it is
 * again is four epochs old.
 *
 * Credits: max_entries of them, at first all in the head.  An insert takes one (own cache, the head, then any
 * cache), a delete returns one to its own cache.  They move one at a time in nobody's hands but the inserter's, so
 * "none left" is decided exactly: two looks over all of them with no return in between.
 */
#pragma once

#include "hashtab.h"
#include "lock.h"

#define SLAB_LIMBOS 4
#define SLAB_BATCH  32

struct slab_limbo {
	uint64_t epoch;
	uint32_t head, tail;
};

struct slab_cache {
	uint64_t credits;   /* atomic: returns:u32 | left:u32; changed under lock */
	uint16_t lock;      /* atomic: 0 or epoch_owner() of the holder */
	uint32_t free_head; /* the rest: under lock */
	uint32_t fresh, fresh_end;
	struct slab_limbo limbo[SLAB_LIMBOS];
} __attribute__((aligned(128)));

struct hashtab_head {
	uint32_t bump __attribute__((aligned(128)));    /* atomic: first element nobody has */
	uint64_t credits __attribute__((aligned(128))); /* atomic: returns:u32 | left:u32 */
	uint32_t copies;                                /* atomic: updates that had to copy in place */
	struct slab_cache caches[];
};

uint32_t slab_n_caches(void);
void slab_init(struct hashtab *ht);
/* Elements to reserve for max_entries live ones: the excess is for those in limbo, and is address space only. */
uint32_t slab_n_elems(uint32_t max_entries, size_t elem_bytes);

/* An element for the caller's hands, with a credit if asked.  Its index, or -E2BIG (no credit), -ENOMEM, -EAGAIN. */
int64_t slab_take(struct hashtab *ht, bool credit);
/* Gives back one that was never published. */
void slab_put(struct hashtab *ht, uint32_t elem, bool credit);
/* One that this thread has just unlinked: reusable two epochs on.  credit: the entry is gone, not replaced. */
void slab_retire(struct hashtab *ht, uint32_t elem, bool credit);
