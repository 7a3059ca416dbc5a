/* Walks over a hash table: by slot, in bucket order, so that an entry that stays is seen exactly once. */
#include <string.h>

#include "hashtab.h"
#include "hashtab_slab.h"

/* Entries that are found before the first of them is copied; of a drain, removals that one heavy barrier serves. */
#define GROUP 64

bool hashtab_next(const struct hashtab *ht, uint64_t *cursor, struct hashtab_pos *pos)
{
	uint32_t at = (uint32_t)(*cursor / HASHTAB_SLOTS), slot = (uint32_t)(*cursor % HASHTAB_SLOTS);

	for (; at < ht->n_buckets; at++, slot = 0) {
		struct hashtab_bucket *bucket = &ht->buckets[at];

		for (; slot < HASHTAB_SLOTS; slot++) {
			/* A tag that is seen set comes after its index (publish); an index that is 0 is a delete in
			 * flight. */
			if (!__atomic_load_n(&bucket->tag[slot], __ATOMIC_ACQUIRE))
				continue;
			pos->elem = __atomic_load_n(&bucket->index[slot], __ATOMIC_ACQUIRE);
			if (!pos->elem)
				continue;
			pos->bucket = bucket;
			pos->slot = slot;
			*cursor = (uint64_t)at * HASHTAB_SLOTS + slot + 1;
			return true;
		}
	}
	*cursor = (uint64_t)ht->n_buckets * HASHTAB_SLOTS;
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

static void copy_out(const struct hashtab *ht, const uint32_t *elems, uint32_t n, char *keys, char *values)
{
	size_t value_size = hashtab_user_value_size(ht);

	for (uint32_t i = 0; i < n; i++) {
		memcpy(keys + (size_t)i * ht->key_size, hashtab_key(ht, elems[i]), ht->key_size);
		hashtab_read_value(ht, elems[i], values + i * value_size);
	}
}

/* Reading: the elements lie anywhere, so all of a group are asked for before the first is looked at. */
static uint32_t read_group(struct hashtab *ht, uint64_t *cursor, char *keys, char *values, uint32_t n)
{
	uint32_t elems[GROUP], done = 0;
	struct hashtab_pos pos;

	while (done < n && hashtab_next(ht, cursor, &pos)) {
		__builtin_prefetch(hashtab_key(ht, pos.elem));
		elems[done++] = pos.elem;
	}
	copy_out(ht, elems, done, keys, values);
	return done;
}

/* Removing: the values are read after the barrier, as hashtab_take does. */
static uint32_t drain_group(struct hashtab *ht, uint64_t *cursor, char *keys, char *values, uint32_t n)
{
	uint32_t elems[GROUP], done = 0;
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
	if (done)
		epoch_heavy_barrier();
	copy_out(ht, elems, done, keys, values);
	return done;
}

typedef uint32_t group_fn(struct hashtab *ht, uint64_t *cursor, char *keys, char *values, uint32_t n);

static uint32_t by_groups(struct hashtab *ht, group_fn *group, uint64_t *cursor, char *keys, char *values, uint32_t n)
{
	size_t value_size = hashtab_user_value_size(ht);
	uint32_t done = 0, got = 1;

	while (got && done < n) {
		got = group(ht, cursor, keys + (size_t)done * ht->key_size, values + done * value_size,
			    n - done < GROUP ? n - done : GROUP);
		done += got;
	}
	return done;
}

uint32_t hashtab_read(struct hashtab *ht, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	return by_groups(ht, read_group, cursor, keys, values, n);
}

uint32_t hashtab_drain(struct hashtab *ht, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	return by_groups(ht, drain_group, cursor, keys, values, n);
}
