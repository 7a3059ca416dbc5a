/* Walks over a hash table: by slot, in bucket order, so that an entry that stays is seen exactly once. */
#include <string.h>

#include "hashtab.h"
#include "hashtab_slab.h"

/* A heavy barrier serves this many removals of a drain. */
#define DRAIN_GROUP 256

bool hashtab_next(const struct hashtab *ht, uint64_t *cursor, struct hashtab_pos *pos)
{
	uint64_t end = (uint64_t)ht->n_buckets * HASHTAB_SLOTS;

	for (uint64_t at = *cursor; at < end; at++) {
		struct hashtab_bucket *bucket = &ht->buckets[at / HASHTAB_SLOTS];
		uint32_t slot = (uint32_t)(at % HASHTAB_SLOTS);

		/* A tag that is seen set comes after its index (publish); an index that is 0 is a delete in flight. */
		if (!__atomic_load_n(&bucket->tag[slot], __ATOMIC_ACQUIRE))
			continue;
		pos->elem = __atomic_load_n(&bucket->index[slot], __ATOMIC_ACQUIRE);
		if (!pos->elem)
			continue;
		pos->bucket = bucket;
		pos->slot = slot;
		*cursor = at + 1;
		return true;
	}
	*cursor = end;
	return false;
}

int hashtab_next_key(const struct hashtab *ht, const void *key, void *next)
{
	struct hashtab_pos pos;
	uint64_t cursor = 0;

	if (key && hashtab_find(ht, key, &pos))
		cursor = (uint64_t)(pos.bucket - ht->buckets) * HASHTAB_SLOTS + pos.slot + 1;
	if (!hashtab_next(ht, &cursor, &pos))
		return -ENOENT;
	memcpy(next, hashtab_key(ht, pos.elem), ht->key_size);
	return 0;
}

/* One group; the values are read after the barrier, as hashtab_take does. */
static uint32_t drain_group(struct hashtab *ht, uint64_t *cursor, char *keys, char *values, uint32_t n)
{
	uint32_t elems[DRAIN_GROUP], done = 0;
	struct hashtab_pos pos;

	while (done < n && hashtab_next(ht, cursor, &pos)) {
		/* A value that was replaced meanwhile: the same slot once more. */
		if (!hashtab_unlink(ht, &pos)) {
			--*cursor;
			continue;
		}
		/* This thread's epoch keeps the element. */
		slab_retire(ht, pos.elem, true);
		elems[done++] = pos.elem;
	}
	if (!done)
		return 0;
	epoch_heavy_barrier();
	for (uint32_t i = 0; i < done; i++) {
		memcpy(keys + (size_t)i * ht->key_size, hashtab_key(ht, elems[i]), ht->key_size);
		hashtab_read_value(ht, elems[i], values + (size_t)i * hashtab_user_value_size(ht));
	}
	return done;
}

uint32_t hashtab_drain(struct hashtab *ht, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	uint32_t done = 0, got;

	do {
		uint32_t want = n - done < DRAIN_GROUP ? n - done : DRAIN_GROUP;

		got = want ? drain_group(ht, cursor, (char *)keys + (size_t)done * ht->key_size,
					 (char *)values + (size_t)done * hashtab_user_value_size(ht), want)
			   : 0;
		done += got;
	} while (got);
	return done;
}
