/* Atomic adds through looked-up pointers on keys that nobody replaces are exact, while other threads insert and
 * delete other keys of the same table. */
#include "harness.h"

enum { KEYS = 64, CHURN = 4096, ADDERS = 3, CHURNERS = 2 };

static uint64_t added[MAX_THREADS][KEYS];

static void *adder(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		epoch_enter();
		for (int i = 0; i < 32; i++) {
			uint64_t key = rnd(w) % KEYS;
			uint64_t *value = hashtab_lookup(ht, &key);

			CHECK(value, "key %lu is missing", (unsigned long)key);
			__atomic_fetch_add(value, key + 1, __ATOMIC_RELAXED);
			added[w->id][key] += key + 1;
			w->ops++;
		}
		epoch_exit();
	}
	return NULL;
}

static void *churner(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		uint64_t key = KEYS + rnd(w) % CHURN, value = key * 3;
		int rc;

		epoch_enter();
		rc = rnd(w) & 1 ? hashtab_update(ht, &key, &value, HASHTAB_ANY, 0) : hashtab_delete(ht, &key);
		epoch_exit();
		CHECK(rc == 0 || rc == -ENOENT || rc == -E2BIG, "rc %d", rc);
		w->ops++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct hashtab_config config = { .key_size = 8, .value_size = 8, .max_entries = KEYS + CHURN / 3 };
	struct worker w[ADDERS + CHURNERS];
	struct hashtab ht;
	uint64_t zero = 0, ops;

	CHECK(!hashtab_create(&ht, &config), "create");
	epoch_enter();
	for (uint64_t key = 0; key < KEYS; key++)
		CHECK(!hashtab_update(&ht, &key, &zero, HASHTAB_NOEXIST, 0), "insert");
	epoch_exit();
	workers_start(w, ADDERS, 0, adder, &ht);
	workers_start(w + ADDERS, CHURNERS, ADDERS, churner, &ht);
	run_for(seconds_arg(argc, argv));
	ops = workers_join(w, ADDERS + CHURNERS);
	epoch_enter();
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t want = 0, *value = hashtab_lookup(&ht, &key);

		for (int i = 0; i < ADDERS; i++)
			want += added[i][key];
		CHECK(value && *value == want, "key %lu: %lu, %lu added", (unsigned long)key,
		      (unsigned long)(value ? *value : 0), (unsigned long)want);
	}
	epoch_exit();
	hashtab_destroy(&ht);
	printf("counters: %lu operations\n", (unsigned long)ops);
	return 0;
}
