/* The concurrent hash table: lock-free readers, one lock a bucket for inserts, removal by epochs.
 *
 * One region holds everything, linked by index, never by pointer:
 *
 *   head     bump index, credits, per-thread caches (128-byte aligned)
 *   bucket   64 bytes: tag[11] ovf:u8 | lock:u16 ref:u16 | index[11]:u32 | ver:u32
 *   link     u32 an element: the next one in a free or limbo list
 *   element  key, padded to 8; value, padded to 8        (index 0 is no element)
 *   values   per-CPU tables only: a slab of values a vCPU, by element index
 *
 * Slot states, by (tag, index):  (0, 0) free;  (0, e) being claimed, under that bucket's lock;  (t, e) live;
 * (t, 0) a delete in flight, its slot not to be claimed.
 *
 * Invariants
 *  1. A slot never moves and an entry never changes its slot: an entry that is there all along is found by every
 *     lookup and seen exactly once by every scan, and a value's address holds while the entry lives.
 *  2. `ovf` of a bucket counts the live entries that passed it over on their way from home.  It is raised before
 *     such an entry is published and lowered after it is gone; at 255 it stays.
 *  3. `ver` grows under the home lock with every insert: who has searched and then takes the lock searches again
 *     only when it has grown.
 *  4. An element is reused two epochs after it was unlinked, no sooner (hashtab_slab.h).
 *  5. Live entries never exceed max_entries: an insert spends a credit, a delete returns one after the fact.
 *  6. Nothing is allocated or waited for while a lock is held; a second lock is only tried.
 *
 * Orders
 *  lookup   tags (16 bytes at once), then the slot's index with acquire: pairs with the release that published
 *           it, so that the element's key and value are seen.
 *  insert   element filled; index, then tag, stored with release under the home lock.
 *  update   values up to 8 bytes: one store in place, a light barrier, then the index again: if the entry was
 *           removed meanwhile the update starts over.  Larger: a new element, one acq_rel CAS of the index.
 *  delete   acq_rel CAS of the index to 0, then the tag to 0 with release.
 *  take     (delete that returns the value) as delete, then a heavy barrier, then the value: it partners the light
 *           barrier of the update, so that an update is either in the value or starts over.
 *
 * Callers are inside an epoch.  Functions that say so return -EAGAIN for a thread in nowait mode (epoch.h).
 */
#pragma once

#include "alloc.h"
#include "common.h"
#include "epoch.h"
#include "hash.h"

#define HASHTAB_SLOTS   11
#define HASHTAB_ANY     0u
#define HASHTAB_NOEXIST 1u
#define HASHTAB_EXIST   2u

struct hashtab_bucket {
	uint8_t tag[HASHTAB_SLOTS];    /* atomic */
	uint8_t ovf;                   /* atomic; changed by CAS */
	uint16_t lock;                 /* atomic: 0 or epoch_owner() of the holder */
	uint16_t ref;                  /* a reference bit a slot, for LRU tables */
	uint32_t index[HASHTAB_SLOTS]; /* atomic */
	uint32_t ver;                  /* atomic; changed under lock */
} __attribute__((aligned(64)));

struct hashtab_head; /* hashtab_slab.h */

/* A process's handle: geometry and addresses, constant after creation. */
struct hashtab {
	struct hashtab_bucket *buckets;
	char *elems;
	struct hash_seed seed;
	uint32_t n_buckets;
	uint32_t elem_size; /* bytes from one element to the next */
	uint32_t value_off; /* of the value in its element; per-CPU: 0, into `values` */
	uint32_t key_size;
	uint32_t value_size; /* as declared */
	uint32_t value_step; /* value_size rounded up to 8 */
	uint32_t n_values;   /* 0, or vCPUs of a per-CPU table */
	uint32_t max_entries;
	uint32_t n_elems;
	uint32_t cache_mask;
	uint64_t cpu_stride; /* bytes from one vCPU's value to the next one's; 0 when not per CPU */
	char *values;        /* per-CPU: the first vCPU's */
	uint32_t *link;
	struct hashtab_head *head;
	struct region region;
};

struct hashtab_config {
	uint32_t key_size, value_size, max_entries;
	uint32_t n_values; /* 0, or the number of vCPUs for per-CPU values */
	bool zero_seed;
};

/* Where an entry is. */
struct hashtab_pos {
	struct hashtab_bucket *bucket; /* NULL after a miss */
	uint32_t slot;
	uint32_t elem; /* 0 after a miss */
	uint32_t ver;  /* of the home bucket, from before the search */
};

/* 0, or -ENOMEM. */
int hashtab_create(struct hashtab *ht, const struct hashtab_config *config);
void hashtab_destroy(struct hashtab *ht);

/* The value (per-CPU: vCPU 0's, the others cpu_stride apart) or NULL; by key size. */
void *hashtab_lookup_4(const struct hashtab *ht, const void *key);
void *hashtab_lookup_8(const struct hashtab *ht, const void *key);
void *hashtab_lookup_16(const struct hashtab *ht, const void *key);
void *hashtab_lookup_any(const struct hashtab *ht, const void *key);
void *hashtab_lookup(const struct hashtab *ht, const void *key);
/* The element, and where it is; 0 after a miss. */
uint32_t hashtab_find(const struct hashtab *ht, const void *key, struct hashtab_pos *pos);

/* cpu: the vCPU whose value is set, the others of a new entry being zero; HASHTAB_ALL_CPUS: `value` has all of
 * them, value_step apart.  Ignored when not per CPU.
 * 0, -EEXIST, -ENOENT (flags), -E2BIG (full; a delete in flight may still count), -ENOMEM (readers hold every spare
 * element), -EAGAIN. */
#define HASHTAB_ALL_CPUS UINT32_MAX
int hashtab_update(struct hashtab *ht, const void *key, const void *value, uint64_t flags, uint32_t cpu);
/* The same for values of up to 8 bytes that are not per CPU, by key size. */
int hashtab_update_small_4(struct hashtab *ht, const void *key, const void *value, uint64_t flags);
int hashtab_update_small_8(struct hashtab *ht, const void *key, const void *value, uint64_t flags);
int hashtab_update_small_16(struct hashtab *ht, const void *key, const void *value, uint64_t flags);
/* 0, -ENOENT, -EAGAIN. */
int hashtab_delete(struct hashtab *ht, const void *key);
/* Removes the entry; *value gets its value, all vCPUs' where per CPU.  0, -ENOENT, -EAGAIN. */
int hashtab_take(struct hashtab *ht, const void *key, void *value);

/* The first half of a delete: true when this thread has unlinked pos->elem, which it must then retire. */
bool hashtab_unlink(struct hashtab *ht, const struct hashtab_pos *pos);

/* A scan: *cursor starts at 0; false at the end.  Sees every entry that is there all along exactly once. */
bool hashtab_next(const struct hashtab *ht, uint64_t *cursor, struct hashtab_pos *pos);
/* The key after `key` (NULL or unknown: the first); -ENOENT after the last. */
int hashtab_next_key(const struct hashtab *ht, const void *key, void *next);
/* Copies up to n entries from *cursor on out, packed; the number done, 0 at the end. */
uint32_t hashtab_read(struct hashtab *ht, uint64_t *cursor, void *keys, void *values, uint32_t n);
/* Removes up to n entries from *cursor on and copies them out, packed; the number done, 0 at the end. */
uint32_t hashtab_drain(struct hashtab *ht, uint64_t *cursor, void *keys, void *values, uint32_t n);
/* Live entries; exact when no insert or delete is in flight. */
uint32_t hashtab_count(const struct hashtab *ht);

static inline void *hashtab_key(const struct hashtab *ht, uint32_t elem)
{
	return ht->elems + (size_t)elem * ht->elem_size;
}

static inline void *hashtab_value(const struct hashtab *ht, uint32_t elem)
{
	if (ht->n_values)
		return ht->values + (size_t)elem * ht->value_step;
	return ht->elems + (size_t)elem * ht->elem_size + ht->value_off;
}

/* Bytes of a value on the user side. */
static inline uint32_t hashtab_user_value_size(const struct hashtab *ht)
{
	return ht->n_values ? ht->n_values * ht->value_step : ht->value_size;
}

/* A value as the user side sees it, all vCPUs'. */
void hashtab_read_value(const struct hashtab *ht, uint32_t elem, void *value);
