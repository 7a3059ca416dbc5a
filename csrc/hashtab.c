/* The hash table: search, update, delete.  Layout, invariants and orders are in hashtab.h. */
#include "hashtab.h"

#include <sched.h>
#include <string.h>

#include "hashtab_slab.h"
#include "words.h"

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#define HASHTAB_SIMD 1
#endif

/* Buckets for a load of 0.6; a stress build sets it higher, so that entries overflow. */
#ifndef ENTRIES_PER_10_BUCKETS
#define ENTRIES_PER_10_BUCKETS 66
#endif
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define TAG_BITS      ((1u << HASHTAB_SLOTS) - 1)

/* ---- creation ---- */

/* A page-aligned part of the region. */
static size_t place(size_t *off, size_t nbytes)
{
	size_t at = align_up(*off, 4096);

	*off = at + nbytes;
	return at;
}

int hashtab_create(struct hashtab *ht, const struct hashtab_config *config)
{
	size_t key_step = align_up(config->key_size, 8), off = 0;
	size_t head_at, buckets_at, link_at, elems_at, values_at;
	int rc;

	memset(ht, 0, sizeof(*ht));
	ht->key_size = config->key_size;
	ht->value_size = config->value_size;
	ht->value_step = (uint32_t)align_up(config->value_size, 8);
	ht->n_values = config->n_values;
	ht->max_entries = config->max_entries;
	ht->elem_size = (uint32_t)key_step + (config->n_values ? 0 : ht->value_step);
	ht->value_off = config->n_values ? 0 : (uint32_t)key_step;
	ht->n_buckets = (uint32_t)((uint64_t)config->max_entries * 10 / ENTRIES_PER_10_BUCKETS + 1);
	ht->n_elems = slab_n_elems(config->max_entries,
				   key_step + (size_t)ht->value_step * (config->n_values ? config->n_values : 1));
	ht->cache_mask = slab_n_caches() - 1;
	ht->cpu_stride = config->n_values ? ((uint64_t)ht->n_elems + 1) * ht->value_step : 0;
	head_at = place(&off, sizeof(struct hashtab_head) + slab_n_caches() * sizeof(struct slab_cache));
	buckets_at = place(&off, (size_t)ht->n_buckets * sizeof(struct hashtab_bucket));
	link_at = place(&off, ((size_t)ht->n_elems + 1) * sizeof(uint32_t));
	elems_at = place(&off, ((size_t)ht->n_elems + 1) * ht->elem_size);
	values_at = place(&off, ht->cpu_stride * config->n_values);
	rc = region_reserve(&ht->region, off);
	if (rc)
		return rc;
	ht->head = (struct hashtab_head *)(void *)(ht->region.base + head_at);
	ht->buckets = (struct hashtab_bucket *)(void *)(ht->region.base + buckets_at);
	ht->link = (uint32_t *)(void *)(ht->region.base + link_at);
	ht->elems = ht->region.base + elems_at;
	ht->values = ht->region.base + values_at;
	region_random(ht->buckets, (size_t)ht->n_buckets * sizeof(struct hashtab_bucket));
	region_random(ht->link, (size_t)ht->max_entries * sizeof(uint32_t));
	region_random(ht->elems, (size_t)ht->max_entries * ht->elem_size);
	for (uint32_t cpu = 0; cpu < ht->n_values; cpu++)
		region_random(ht->values + cpu * ht->cpu_stride, (size_t)ht->max_entries * ht->value_step);
	if (!config->zero_seed)
		hash_seed_random(&ht->seed);
	slab_init(ht);
	return 0;
}

void hashtab_destroy(struct hashtab *ht)
{
	region_release(&ht->region);
}

/* ---- values ---- */

void hashtab_read_value(const struct hashtab *ht, uint32_t elem, void *value)
{
	const char *from = hashtab_value(ht, elem);

	if (!ht->n_values) {
		words_load(value, from, ht->value_size);
		return;
	}
	for (uint32_t cpu = 0; cpu < ht->n_values; cpu++)
		words_load((char *)value + (size_t)cpu * ht->value_step, from + cpu * ht->cpu_stride, ht->value_step);
}

/* Per-CPU values of an element: one vCPU's, or all.  `fresh`: the others become zero. */
static void write_percpu(const struct hashtab *ht, uint32_t elem, const void *value, uint32_t cpu, bool fresh)
{
	char *to = hashtab_value(ht, elem);

	for (uint32_t i = 0; i < ht->n_values; i++, to += ht->cpu_stride) {
		if (cpu == HASHTAB_ALL_CPUS)
			words_store(to, (const char *)value + (size_t)i * ht->value_step, ht->value_step);
		else if (i == cpu)
			words_store(to, value, ht->value_size);
		else if (fresh)
			memset(to, 0, ht->value_step);
	}
}

/* An element in our hands: nobody else sees it. */
static void fill(const struct hashtab *ht, uint32_t elem, const void *key, const void *value, uint32_t cpu)
{
	char *to = hashtab_key(ht, elem);

	memcpy(to, key, ht->key_size);
	if (ht->n_values) {
		write_percpu(ht, elem, value, cpu, true);
		return;
	}
	/* The padding is zero: small values are read and stored as a word. */
	if (ht->value_step != ht->value_size)
		memset(to + ht->value_off + ht->value_step - 8, 0, 8);
	memcpy(to + ht->value_off, value, ht->value_size);
}

/* ---- search ---- */

static ALWAYS_INLINE uint64_t hash_key(const struct hashtab *ht, const void *key, uint32_t key_size)
{
	switch (key_size) {
	case 4: return hash_4(&ht->seed, key);
	case 8: return hash_8(&ht->seed, key);
	case 16: return hash_16(&ht->seed, key);
	default: return hash_bytes(&ht->seed, key, ht->key_size);
	}
}

static ALWAYS_INLINE bool key_equal(const struct hashtab *ht, const void *a, const void *b, uint32_t key_size)
{
	switch (key_size) {
	case 4: return hash_load4(a) == hash_load4(b);
	case 8: return hash_load8(a) == hash_load8(b);
	case 16:
		return !((hash_load8(a) ^ hash_load8(b)) |
			 (hash_load8((const char *)a + 8) ^ hash_load8((const char *)b + 8)));
	default: return memcmp(a, b, ht->key_size) == 0;
	}
}

/* The tag comes from the low bits, the bucket from the high ones. */
static ALWAYS_INLINE uint8_t tag_of(uint64_t hash)
{
	uint8_t tag = (uint8_t)hash;

	return tag ? tag : 1;
}

static ALWAYS_INLINE struct hashtab_bucket *home_of(const struct hashtab *ht, uint64_t hash)
{
	return &ht->buckets[(uint64_t)(uint32_t)(hash >> 32) * ht->n_buckets >> 32];
}

static ALWAYS_INLINE struct hashtab_bucket *next_bucket(const struct hashtab *ht, struct hashtab_bucket *bucket)
{
	return ++bucket == ht->buckets + ht->n_buckets ? ht->buckets : bucket;
}

/* Slots with this tag as a bit mask, and whether entries went on from here: both from one look at the first 16
 * bytes.  The asm keeps the load from moving; a vector load cannot tear within an aligned 8 bytes. */
static ALWAYS_INLINE uint32_t match_tags(const struct hashtab_bucket *bucket, uint8_t tag, uint8_t *ovf)
{
#ifdef HASHTAB_SIMD
	__m128i tags;

	__asm__ volatile("movdqa %1, %0" : "=x"(tags) : "m"(*(const __m128i *)(const void *)bucket) : "memory");
	*ovf = (uint8_t)(_mm_extract_epi16(tags, 5) >> 8);
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) & TAG_BITS;
#else
	uint32_t mask = 0;

	for (uint32_t i = 0; i < HASHTAB_SLOTS; i++)
		mask |= (uint32_t)(__atomic_load_n(&bucket->tag[i], __ATOMIC_ACQUIRE) == tag) << i;
	*ovf = __atomic_load_n(&bucket->ovf, __ATOMIC_ACQUIRE);
	return mask;
#endif
}

static ALWAYS_INLINE uint32_t find(const struct hashtab *ht, const void *key, uint32_t key_size, uint64_t hash,
				   struct hashtab_pos *pos)
{
	struct hashtab_bucket *bucket = home_of(ht, hash);
	uint8_t tag = tag_of(hash), ovf;
	uint32_t left = ht->n_buckets;

	if (pos)
		pos->ver = __atomic_load_n(&bucket->ver, __ATOMIC_ACQUIRE); /* before the tags; pairs with insert */
	for (;;) {
		uint32_t mask = match_tags(bucket, tag, &ovf);

		for (; mask; mask &= mask - 1) {
			uint32_t slot = (uint32_t)__builtin_ctz(mask);
			uint32_t elem = __atomic_load_n(&bucket->index[slot], __ATOMIC_ACQUIRE);

			if (likely(elem && key_equal(ht, hashtab_key(ht, elem), key, key_size))) {
				if (pos) {
					pos->bucket = bucket;
					pos->slot = slot;
					pos->elem = elem;
				}
				return elem;
			}
		}
		if (likely(!ovf) || !--left)
			break;
		bucket = next_bucket(ht, bucket);
	}
	if (pos) {
		pos->bucket = NULL;
		pos->elem = 0;
	}
	return 0;
}

#define DEFINE_LOOKUP(name, size)                                                                                      \
	void *name(const struct hashtab *ht, const void *key)                                                          \
	{                                                                                                              \
		uint32_t elem = find(ht, key, size, hash_key(ht, key, size), NULL);                                    \
                                                                                                                       \
		return elem ? hashtab_value(ht, elem) : NULL;                                                          \
	}
DEFINE_LOOKUP(hashtab_lookup_4, 4)
DEFINE_LOOKUP(hashtab_lookup_8, 8)
DEFINE_LOOKUP(hashtab_lookup_16, 16)
DEFINE_LOOKUP(hashtab_lookup_any, 0)

/* Once more by size, for the operations that are not worth three copies. */
static uint32_t find_any(const struct hashtab *ht, const void *key, uint64_t hash, struct hashtab_pos *pos)
{
	switch (ht->key_size) {
	case 4: return find(ht, key, 4, hash, pos);
	case 8: return find(ht, key, 8, hash, pos);
	case 16: return find(ht, key, 16, hash, pos);
	default: return find(ht, key, 0, hash, pos);
	}
}

void *hashtab_lookup(const struct hashtab *ht, const void *key)
{
	switch (ht->key_size) {
	case 4: return hashtab_lookup_4(ht, key);
	case 8: return hashtab_lookup_8(ht, key);
	case 16: return hashtab_lookup_16(ht, key);
	default: return hashtab_lookup_any(ht, key);
	}
}

uint32_t hashtab_find(const struct hashtab *ht, const void *key, struct hashtab_pos *pos)
{
	return find_any(ht, key, hash_key(ht, key, ht->key_size), pos);
}

/* ---- bucket locks ---- */

/* A claim that its owner never finished (it stayed in the parent of a fork): undone. */
static void bucket_repair(struct hashtab_bucket *bucket)
{
	for (uint32_t i = 0; i < HASHTAB_SLOTS; i++) {
		if (!__atomic_load_n(&bucket->tag[i], __ATOMIC_RELAXED))
			__atomic_store_n(&bucket->index[i], 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&bucket->ver, bucket->ver + 1, __ATOMIC_RELEASE);
}

static bool bucket_trylock(struct hashtab_bucket *bucket)
{
	bool inherited;

	if (!lock_try(&bucket->lock, &inherited))
		return false;
	if (unlikely(inherited))
		bucket_repair(bucket);
	return true;
}

static void bucket_lock(struct hashtab_bucket *bucket)
{
	if (unlikely(lock_acquire(&bucket->lock)))
		bucket_repair(bucket);
}

static void bucket_unlock(struct hashtab_bucket *bucket)
{
	lock_release(&bucket->lock);
}

static void ovf_raise(struct hashtab_bucket *bucket)
{
	uint8_t seen = __atomic_load_n(&bucket->ovf, __ATOMIC_RELAXED);

	/* Release order comes with the publishing stores that follow. */
	while (seen != UINT8_MAX &&
	       !__atomic_compare_exchange_n(&bucket->ovf, &seen, seen + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

static void ovf_lower(struct hashtab_bucket *bucket)
{
	uint8_t seen = __atomic_load_n(&bucket->ovf, __ATOMIC_RELAXED);

	while (seen != UINT8_MAX &&
	       !__atomic_compare_exchange_n(&bucket->ovf, &seen, seen - 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

/* ---- insert ---- */

/* A slot that is free and will stay so while the bucket's lock is held; -1 when there is none. */
static int free_slot(const struct hashtab_bucket *bucket)
{
	uint8_t ovf;
	uint32_t mask = match_tags(bucket, 0, &ovf);

	for (; mask; mask &= mask - 1) {
		int slot = __builtin_ctz(mask);

		if (!__atomic_load_n(&bucket->index[slot], __ATOMIC_ACQUIRE))
			return slot;
	}
	return -1;
}

static void publish(struct hashtab_bucket *bucket, int slot, uint8_t tag, uint32_t elem)
{
	__atomic_store_n(&bucket->index[slot], elem, __ATOMIC_RELEASE);
	__atomic_store_n(&bucket->tag[slot], tag, __ATOMIC_RELEASE);
}

/* Home is full and locked: the next bucket with room takes the entry.  False when its lock is held. */
static bool insert_beyond(const struct hashtab *ht, struct hashtab_bucket *home, uint8_t tag, uint32_t elem)
{
	struct hashtab_bucket *bucket = home;
	int slot;

	do {
		bucket = next_bucket(ht, bucket);
		if (bucket == home)
			return false;
	} while (free_slot(bucket) < 0);
	if (!bucket_trylock(bucket))
		return false;
	slot = free_slot(bucket);
	if (slot >= 0) {
		for (struct hashtab_bucket *passed = home; passed != bucket; passed = next_bucket(ht, passed))
			ovf_raise(passed);
		publish(bucket, slot, tag, elem);
	}
	bucket_unlock(bucket);
	return slot >= 0;
}

enum { INSERTED, PRESENT, AGAIN };

/* One try to put elem (filled, with its credit) in.  ver: of the home bucket before the search that missed. */
static int insert_try(const struct hashtab *ht, const void *key, uint64_t hash, uint32_t ver, uint32_t elem)
{
	struct hashtab_bucket *home = home_of(ht, hash);
	struct hashtab_pos pos;
	int result = INSERTED, slot;

	bucket_lock(home);
	if (__atomic_load_n(&home->ver, __ATOMIC_RELAXED) != ver && find_any(ht, key, hash, &pos)) {
		result = PRESENT;
		goto out;
	}
	slot = free_slot(home);
	if (likely(slot >= 0))
		publish(home, slot, tag_of(hash), elem);
	else if (!insert_beyond(ht, home, tag_of(hash), elem))
		result = AGAIN;
	if (result == INSERTED)
		/* Release: pairs with the acquire in find. */
		__atomic_store_n(&home->ver, home->ver + 1, __ATOMIC_RELEASE);
out:
	bucket_unlock(home);
	return result;
}

/* 0, an error, or -EEXIST when another thread was first. */
static int insert(struct hashtab *ht, const void *key, const void *value, uint64_t hash, uint32_t ver, uint32_t cpu)
{
	int64_t elem = slab_take(ht, true);
	int rc;

	if (elem < 0)
		return (int)elem;
	fill(ht, (uint32_t)elem, key, value, cpu);
	while ((rc = insert_try(ht, key, hash, ver, (uint32_t)elem)) == AGAIN)
		sched_yield();
	if (rc == INSERTED)
		return 0;
	slab_put(ht, (uint32_t)elem, true);
	return -EEXIST;
}

/* ---- update ---- */

static bool still_at(const struct hashtab_pos *pos)
{
	return __atomic_load_n(&pos->bucket->index[pos->slot], __ATOMIC_ACQUIRE) == pos->elem;
}

/* Values of up to 8 bytes.  False: removed meanwhile. */
static ALWAYS_INLINE bool store_small(const struct hashtab *ht, const struct hashtab_pos *pos, const void *value)
{
	uint64_t word = 0;

	if (ht->value_size == 8)
		word = hash_load8(value);
	else
		memcpy(&word, value, ht->value_size);
	__atomic_store_n((uint64_t *)hashtab_value(ht, pos->elem), word, __ATOMIC_RELEASE);
	epoch_light_barrier(epoch_slot());
	return still_at(pos);
}

/* No spare element, since this thread's own run keeps readers' memory from being reused: the value is copied in
 * place, each 8 bytes at once, as Linux's preallocated maps reuse memory under readers. */
static bool copy_in_place(struct hashtab *ht, const struct hashtab_pos *pos, const void *value)
{
	__atomic_fetch_add(&ht->head->copies, 1, __ATOMIC_RELAXED);
	words_store(hashtab_value(ht, pos->elem), value, ht->value_size);
	epoch_light_barrier(epoch_slot());
	return still_at(pos);
}

/* 0, an error, or 1: the entry changed hands meanwhile. */
static int replace(struct hashtab *ht, struct hashtab_pos *pos, const void *key, const void *value, uint32_t cpu)
{
	uint32_t old = pos->elem;
	int64_t elem;

	if (ht->n_values) {
		write_percpu(ht, old, value, cpu, false);
		epoch_light_barrier(epoch_slot());
		return still_at(pos) ? 0 : 1;
	}
	if (ht->value_size <= 8)
		return store_small(ht, pos, value) ? 0 : 1;
	elem = slab_take(ht, false);
	if (elem == -ENOMEM)
		return copy_in_place(ht, pos, value) ? 0 : 1;
	if (elem < 0)
		return (int)elem;
	fill(ht, (uint32_t)elem, key, value, cpu);
	/* Release publishes the element, acquire is the unlinking's; pairs with the loads in find. */
	if (!__atomic_compare_exchange_n(&pos->bucket->index[pos->slot], &old, (uint32_t)elem, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED)) {
		slab_put(ht, (uint32_t)elem, false);
		return 1;
	}
	slab_retire(ht, old, false);
	return 0;
}

/* The common case alone and short, so that a processor has several of them under way: values of up to 8 bytes, the
 * key there. */
#define DEFINE_UPDATE_SMALL(name, size)                                                                                \
	int name(struct hashtab *ht, const void *key, const void *value, uint64_t flags)                               \
	{                                                                                                              \
		struct hashtab_pos pos;                                                                                \
                                                                                                                       \
		if (likely(!(flags & HASHTAB_NOEXIST) && find(ht, key, size, hash_key(ht, key, size), &pos) &&         \
			   store_small(ht, &pos, value)))                                                              \
			return 0;                                                                                      \
		return hashtab_update(ht, key, value, flags, 0);                                                       \
	}
DEFINE_UPDATE_SMALL(hashtab_update_small_4, 4)
DEFINE_UPDATE_SMALL(hashtab_update_small_8, 8)
DEFINE_UPDATE_SMALL(hashtab_update_small_16, 16)

int hashtab_update(struct hashtab *ht, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	uint64_t hash = hash_key(ht, key, ht->key_size);
	struct hashtab_pos pos;
	int rc;

	for (;;) {
		if (find_any(ht, key, hash, &pos)) {
			if (flags & HASHTAB_NOEXIST)
				return -EEXIST;
			rc = replace(ht, &pos, key, value, cpu);
			if (rc <= 0)
				return rc;
		} else {
			if (flags & HASHTAB_EXIST)
				return -ENOENT;
			rc = insert(ht, key, value, hash, pos.ver, cpu);
			if (rc != -EEXIST)
				return rc;
		}
	}
}

/* ---- delete ---- */

bool hashtab_unlink(struct hashtab *ht, const struct hashtab_pos *pos)
{
	uint32_t elem = pos->elem;
	struct hashtab_bucket *bucket;

	if (!__atomic_compare_exchange_n(&pos->bucket->index[pos->slot], &elem, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(&pos->bucket->tag[pos->slot], 0, __ATOMIC_RELEASE); /* pairs with match_tags in free_slot */
	bucket = home_of(ht, hash_key(ht, hashtab_key(ht, pos->elem), ht->key_size));
	for (; unlikely(bucket != pos->bucket); bucket = next_bucket(ht, bucket))
		ovf_lower(bucket);
	return true;
}

static int remove_entry(struct hashtab *ht, const void *key, void *value)
{
	uint64_t hash = hash_key(ht, key, ht->key_size);
	struct hashtab_pos pos;

	do {
		if (!find_any(ht, key, hash, &pos))
			return -ENOENT;
	} while (!hashtab_unlink(ht, &pos));
	/* At once, so that the table has room again; this thread's epoch keeps the element. */
	slab_retire(ht, pos.elem, true);
	if (value) {
		epoch_heavy_barrier();
		hashtab_read_value(ht, pos.elem, value);
	}
	return 0;
}

int hashtab_delete(struct hashtab *ht, const void *key)
{
	return remove_entry(ht, key, NULL);
}

int hashtab_take(struct hashtab *ht, const void *key, void *value)
{
	return remove_entry(ht, key, value);
}
