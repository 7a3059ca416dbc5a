/* Elements and credits of a hash table; the rules are in hashtab_slab.h. */
#include "hashtab_slab.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#define MAX_CACHES    64
#define MIN_SPARE     (64u << 10)        /* elements in limbo that a table has room for ... */
#define MAX_SPARE_MEM ((size_t)64 << 20) /* ... unless they would take more than this ... */
#define LEAST_SPARE   256u               /* ... but never fewer */
#define WAIT_TURNS    2000               /* of a yield or 50 us each: how long to wait for readers */

uint32_t slab_n_caches(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t n = 4;

	while (n < MAX_CACHES && n < 2 * cpus)
		n *= 2;
	return n;
}

uint32_t slab_n_elems(uint32_t max_entries, size_t elem_bytes)
{
	size_t spare = max_entries / 8 > MIN_SPARE ? max_entries / 8 : MIN_SPARE;

	if (spare > MAX_SPARE_MEM / elem_bytes)
		spare = MAX_SPARE_MEM / elem_bytes;
	if (spare < LEAST_SPARE)
		spare = LEAST_SPARE;
	spare += slab_n_caches() * SLAB_BATCH;
	return spare > UINT32_MAX - 1 - max_entries ? UINT32_MAX - 1 : max_entries + (uint32_t)spare;
}

void slab_init(struct hashtab *ht)
{
	ht->head->bump = 1;
	ht->head->credits = ht->max_entries;
}

/* ---- caches ---- */

static void cache_unlock(struct slab_cache *cache)
{
	lock_release(&cache->lock);
}

/* The thread that held it stayed in the parent: its lists may be half-changed, so their elements are given up. */
static void cache_reset(struct slab_cache *cache)
{
	cache->free_head = 0;
	for (uint32_t i = 0; i < SLAB_LIMBOS; i++)
		cache->limbo[i].head = 0;
}

static void cache_lock(struct slab_cache *cache)
{
	if (unlikely(lock_acquire(&cache->lock)))
		cache_reset(cache);
}

static struct slab_cache *cache_own(const struct hashtab *ht)
{
	return &ht->head->caches[epoch_slot()->id & ht->cache_mask];
}

static void cache_splice(struct hashtab *ht, struct slab_cache *cache, struct slab_limbo *limbo)
{
	ht->link[limbo->tail] = cache->free_head;
	cache->free_head = limbo->head;
	limbo->head = 0;
}

/* Moves what readers have left to the free list. */
static void cache_mature(struct hashtab *ht, struct slab_cache *cache)
{
	for (uint32_t i = 0; i < SLAB_LIMBOS; i++) {
		if (cache->limbo[i].head && epoch_passed(cache->limbo[i].epoch))
			cache_splice(ht, cache, &cache->limbo[i]);
	}
}

static uint32_t cache_pop(struct hashtab *ht, struct slab_cache *cache)
{
	uint32_t elem = cache->free_head;

	if (likely(elem)) {
		cache->free_head = ht->link[elem];
		return elem;
	}
	return cache->fresh < cache->fresh_end ? cache->fresh++ : 0;
}

/* A range that nobody has used; the caller holds the lock.  False when all have been handed out. */
static bool cache_bump(struct hashtab *ht, struct slab_cache *cache)
{
	uint32_t first = __atomic_load_n(&ht->head->bump, __ATOMIC_RELAXED);
	uint32_t end;

	do {
		if (first > ht->n_elems)
			return false;
		end = ht->n_elems - first < SLAB_BATCH ? ht->n_elems + 1 : first + SLAB_BATCH;
	} while (!__atomic_compare_exchange_n(&ht->head->bump, &first, end, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	cache->fresh = first;
	cache->fresh_end = end;
	return true;
}

/* ---- credits ---- */

static void credits_return(uint64_t *credits, uint32_t n)
{
	/* Under the cache's lock, but read by credits_gone without it. */
	__atomic_store_n(credits, *credits + ((uint64_t)1 << 32) + n, __ATOMIC_RELEASE);
}

static bool credits_spend(struct slab_cache *cache)
{
	if (!(uint32_t)cache->credits)
		return false;
	__atomic_store_n(&cache->credits, cache->credits - 1, __ATOMIC_RELEASE);
	return true;
}

/* Up to n from the head into a cache, lowered there first; the caller holds the cache's lock. */
static bool credits_from_head(struct hashtab *ht, struct slab_cache *cache)
{
	uint64_t seen = __atomic_load_n(&ht->head->credits, __ATOMIC_RELAXED);
	uint32_t n;

	do {
		n = (uint32_t)seen;
		if (!n)
			return false;
		/* Near the end one at a time, so that the last ones lie where everybody looks first. */
		n = n > SLAB_BATCH * (ht->cache_mask + 1) ? SLAB_BATCH : 1;
	} while (!__atomic_compare_exchange_n(&ht->head->credits, &seen, seen - n, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	if (n > 1)
		credits_return(&cache->credits, n - 1);
	return true;
}

/* A look over all credits: their number (stops at the first), and the sum of the return counts. */
static uint32_t credits_look(const struct hashtab *ht, uint64_t *returns)
{
	uint64_t word = __atomic_load_n(&ht->head->credits, __ATOMIC_ACQUIRE);
	uint32_t left = (uint32_t)word;

	*returns = word >> 32;
	for (uint32_t i = 0; i <= ht->cache_mask; i++) {
		word = __atomic_load_n(&ht->head->caches[i].credits, __ATOMIC_ACQUIRE);
		*returns += word >> 32;
		left += (uint32_t)word;
	}
	return left;
}

/* No credit anywhere at one moment: nothing was returned between two looks that both found none. */
static bool credits_gone(const struct hashtab *ht)
{
	uint64_t before, after;

	return !credits_look(ht, &before) && !credits_look(ht, &after) && before == after;
}

/* One from any cache.  False when there is none. */
static bool credits_steal(struct hashtab *ht)
{
	do {
		for (uint32_t i = 0; i <= ht->cache_mask; i++) {
			struct slab_cache *cache = &ht->head->caches[i];
			bool got;

			if (!(uint32_t)__atomic_load_n(&cache->credits, __ATOMIC_RELAXED))
				continue;
			cache_lock(cache);
			got = credits_spend(cache);
			cache_unlock(cache);
			if (got)
				return true;
		}
		if ((uint32_t)__atomic_load_n(&ht->head->credits, __ATOMIC_RELAXED)) {
			struct slab_cache *cache = cache_own(ht);
			bool got;

			cache_lock(cache);
			got = credits_from_head(ht, cache);
			cache_unlock(cache);
			if (got)
				return true;
		}
	} while (!credits_gone(ht));
	return false;
}

/* Too many in one cache: some go back to the head, lowered here first; the caller holds the lock. */
static void credits_spill(struct hashtab *ht, struct slab_cache *cache)
{
	__atomic_store_n(&cache->credits, cache->credits - SLAB_BATCH, __ATOMIC_RELEASE);
	__atomic_fetch_add(&ht->head->credits, ((uint64_t)1 << 32) + SLAB_BATCH, __ATOMIC_ACQ_REL);
}

uint32_t hashtab_count(const struct hashtab *ht)
{
	uint64_t returns;
	uint32_t left = credits_look(ht, &returns);

	return left > ht->max_entries ? 0 : ht->max_entries - left;
}

/* ---- taking ---- */

/* From the other caches' free and matured lists, all of one, into the caller's own. */
static uint32_t take_from_others(struct hashtab *ht)
{
	struct slab_cache *own = cache_own(ht);

	for (uint32_t i = 0; i <= ht->cache_mask; i++) {
		struct slab_cache *cache = &ht->head->caches[i];
		uint32_t elem, rest;

		cache_lock(cache);
		cache_mature(ht, cache);
		elem = cache_pop(ht, cache);
		rest = cache == own ? 0 : cache->free_head;
		if (rest)
			cache->free_head = 0;
		cache_unlock(cache);
		if (!elem)
			continue;
		if (rest) {
			cache_lock(own);
			if (!own->free_head) {
				own->free_head = rest;
				rest = 0;
			}
			cache_unlock(own);
		}
		if (rest) { /* the own cache has filled meanwhile: back to where it was, at the end of what is there */
			uint32_t last = rest;

			while (ht->link[last])
				last = ht->link[last];
			cache_lock(cache);
			ht->link[last] = cache->free_head;
			cache->free_head = rest;
			cache_unlock(cache);
		}
		return elem;
	}
	return 0;
}

/* Every spare element is in limbo: step the epoch, give readers the CPU, for a bounded time. */
static int64_t take_waiting(struct hashtab *ht)
{
	const struct timespec pause = { .tv_nsec = 50000 };

	for (uint32_t turn = 0; turn < WAIT_TURNS; turn++) {
		bool moved = epoch_advance(true);
		uint32_t elem = take_from_others(ht);

		if (elem)
			return elem;
		if (moved)
			continue;
		if (epoch_self_behind())
			return -ENOMEM;
		if (epoch_slot()->nowait)
			return -EAGAIN;
		if (turn < WAIT_TURNS / 2)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
	return -ENOMEM;
}

/* More than half of the spare elements have been used while the epoch stood: let the reader that holds it run,
 * which is most likely preempted.  In vain when the reader is this thread. */
static void give_way(const struct hashtab *ht)
{
	uint32_t bump = __atomic_load_n(&ht->head->bump, __ATOMIC_RELAXED);

	if (bump > ht->max_entries / 2 + ht->n_elems / 2 && epoch_held() && !epoch_self_behind() &&
	    !epoch_slot()->nowait)
		sched_yield();
}

/* The own cache is empty. */
static int64_t take_slow(struct hashtab *ht)
{
	struct slab_cache *cache = cache_own(ht);
	uint32_t elem;

	if (!epoch_advance(false))
		give_way(ht);
	cache_lock(cache);
	cache_mature(ht, cache);
	elem = cache_pop(ht, cache);
	if (!elem && cache_bump(ht, cache))
		elem = cache_pop(ht, cache);
	cache_unlock(cache);
	if (likely(elem))
		return elem;
	elem = take_from_others(ht);
	return elem ? elem : take_waiting(ht);
}

int64_t slab_take(struct hashtab *ht, bool credit)
{
	struct slab_cache *cache = cache_own(ht);
	int64_t elem;

	cache_lock(cache);
	if (credit && !credits_spend(cache) && !credits_from_head(ht, cache)) {
		cache_unlock(cache);
		if (!credits_steal(ht))
			return -E2BIG;
		cache_lock(cache);
	}
	elem = cache_pop(ht, cache);
	cache_unlock(cache);
	if (likely(elem))
		return elem;
	elem = take_slow(ht);
	if (elem < 0 && credit) {
		cache_lock(cache);
		credits_return(&cache->credits, 1);
		cache_unlock(cache);
	}
	return elem;
}

void slab_put(struct hashtab *ht, uint32_t elem, bool credit)
{
	struct slab_cache *cache = cache_own(ht);

	cache_lock(cache);
	ht->link[elem] = cache->free_head;
	cache->free_head = elem;
	if (credit)
		credits_return(&cache->credits, 1);
	cache_unlock(cache);
}

void slab_retire(struct hashtab *ht, uint32_t elem, bool credit)
{
	struct slab_cache *cache = cache_own(ht);
	struct slab_limbo *limbo;
	uint64_t epoch;

	cache_lock(cache);
	/* Under the lock, so that a cache's epochs only grow; after the caller's RMW that unlinked. */
	epoch = epoch_now();
	limbo = &cache->limbo[epoch % SLAB_LIMBOS];
	if (limbo->epoch != epoch) {
		if (limbo->head)
			cache_splice(ht, cache, limbo);
		limbo->epoch = epoch;
	}
	ht->link[elem] = limbo->head;
	if (!limbo->head)
		limbo->tail = elem;
	limbo->head = elem;
	if (credit) {
		credits_return(&cache->credits, 1);
		if ((uint32_t)cache->credits > 2 * SLAB_BATCH)
			credits_spill(ht, cache);
	}
	cache_unlock(cache);
}
