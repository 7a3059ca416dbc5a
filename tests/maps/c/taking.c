/* Deletes that return the value, one by one and as a drain, against updates in place: every update is either still in
 * the table or in the value that was taken.  Writers own their keys and raise a count by one an update; when the key
 * is gone after an update, somebody must have taken that very count. */
#include "harness.h"

enum { WRITERS = 2, TAKERS = 2, KEYS = 4 };

/* The highest count that was taken or found of each key. */
static uint64_t highest[WRITERS * KEYS], stored[WRITERS * KEYS];

static void note(uint32_t key, uint64_t count)
{
	uint64_t seen = __atomic_load_n(&highest[key], __ATOMIC_RELAXED);

	CHECK(key < WRITERS * KEYS, "key %u", key);
	while (seen < count &&
	       !__atomic_compare_exchange_n(&highest[key], &seen, count, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* The key was gone after its update to `count`: whoever took it is about to say so. */
static void wait_taken(uint32_t key, uint64_t count)
{
	const struct timespec pause = { .tv_nsec = 20000 };

	for (int turn = 0; turn < 50000; turn++) {
		if (__atomic_load_n(&highest[key], __ATOMIC_RELAXED) >= count)
			return;
		if (turn > 100)
			nanosleep(&pause, NULL);
	}
	CHECK(false, "key %u: the update to %lu is neither there nor was it taken", key, (unsigned long)count);
}

static void *writer(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		uint32_t key = (uint32_t)w->id * KEYS + (uint32_t)(rnd(w) % KEYS);
		uint64_t count = stored[key] + 1, *found;
		int rc;

		epoch_enter();
		rc = hashtab_update(ht, &key, &count, HASHTAB_ANY, 0);
		found = hashtab_lookup(ht, &key);
		CHECK(!found || __atomic_load_n(found, __ATOMIC_RELAXED) == count, "another value");
		epoch_exit();
		CHECK(rc == 0, "update gave %d", rc);
		stored[key] = count;
		if (!found)
			wait_taken(key, count);
		w->ops++;
	}
	return NULL;
}

static void *taker(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		uint32_t keys[64], n = 1;
		uint64_t values[64], cursor = 0;

		epoch_enter();
		if (rnd(w) % 4) {
			keys[0] = (uint32_t)(rnd(w) % (WRITERS * KEYS));
			n = hashtab_take(ht, keys, values) == 0;
		} else {
			n = hashtab_drain(ht, &cursor, keys, values, 64);
		}
		epoch_exit();
		for (uint32_t i = 0; i < n; i++)
			note(keys[i], values[i]);
		w->ops++;
	}
	return NULL;
}

/* A delete in flight may still count against max_entries, one a taker. */
int main(int argc, char **argv)
{
	struct hashtab_config config = { .key_size = 4, .value_size = 8, .max_entries = WRITERS * KEYS + TAKERS };
	struct worker w[WRITERS + TAKERS];
	struct hashtab ht;
	uint64_t ops;

	CHECK(!hashtab_create(&ht, &config), "create");
	workers_start(w, WRITERS, 0, writer, &ht);
	workers_start(w + WRITERS, TAKERS, WRITERS, taker, &ht);
	run_for(seconds_arg(argc, argv));
	ops = workers_join(w, WRITERS + TAKERS);
	epoch_enter();
	for (uint32_t key = 0; key < WRITERS * KEYS; key++) {
		uint64_t *value = hashtab_lookup(&ht, &key);

		if (value)
			note(key, *value);
		CHECK(highest[key] == stored[key], "key %u: the last update was %lu, seen %lu", key,
		      (unsigned long)stored[key], (unsigned long)highest[key]);
	}
	CHECK(hashtab_count(&ht) <= WRITERS * KEYS, "count");
	epoch_exit();
	hashtab_destroy(&ht);
	printf("taking: %lu operations\n", (unsigned long)ops);
	return 0;
}
