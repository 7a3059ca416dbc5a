/* Threads that insert and delete shared keys at the edge of a full table: live entries never exceed max_entries, no
 * key is there twice or lost, a scan meets every entry that stays exactly once, and in the end the count is exact:
 * exactly max_entries go in, the next one gives -E2BIG. */
#include "harness.h"

enum { WORKERS = 4, STAY = 50, MAX = 300, KEYS = 600 };

static int64_t live; /* atomic; raised after an insert returns, lowered before a delete starts: never above truth */

static void *worker(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		uint32_t key = STAY + (uint32_t)(rnd(w) % KEYS), value[4] = { key, key, key, key };
		int rc;

		epoch_enter();
		if (rnd(w) % 3) {
			rc = hashtab_update(ht, &key, value, HASHTAB_NOEXIST, 0);
			if (rc == 0) {
				int64_t n = __atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);

				CHECK(n <= MAX, "%ld live entries of %d", (long)n, MAX);
			}
			CHECK(rc == 0 || rc == -EEXIST || rc == -E2BIG, "insert gave %d", rc);
		} else {
			__atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
			rc = hashtab_delete(ht, &key);
			if (rc)
				__atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
			CHECK(rc == 0 || rc == -ENOENT, "delete gave %d", rc);
		}
		epoch_exit();
		w->ops++;
	}
	return NULL;
}

static uint32_t scan(struct hashtab *ht, uint8_t *seen)
{
	struct hashtab_pos pos;
	uint64_t cursor = 0;
	uint32_t n = 0;

	while (hashtab_next(ht, &cursor, &pos)) {
		uint32_t key = *(uint32_t *)hashtab_key(ht, pos.elem);

		CHECK(key < STAY + KEYS, "a key %u that nobody inserted", key);
		seen[key]++;
		n++;
	}
	return n;
}

static void *scanner(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		uint8_t seen[STAY + KEYS] = { 0 };

		epoch_enter();
		scan(ht, seen);
		epoch_exit();
		for (uint32_t key = 0; key < STAY; key++)
			CHECK(seen[key] == 1, "key %u, there all along, was met %u times", key, seen[key]);
		w->ops++;
	}
	return NULL;
}

static void check_rest(struct hashtab *ht)
{
	uint8_t seen[STAY + KEYS] = { 0 };
	uint32_t n = scan(ht, seen), value[4] = { 0 };

	CHECK(n == hashtab_count(ht), "%u found, count %u", n, hashtab_count(ht));
	CHECK((int64_t)n == live, "%u found, %ld inserted and not deleted", n, (long)live);
	for (uint32_t key = 0; key < STAY + KEYS; key++) {
		CHECK(seen[key] <= 1, "key %u is there %u times", key, seen[key]);
		CHECK(!hashtab_lookup(ht, &key) == !seen[key], "lookup and scan differ on key %u", key);
	}
	for (uint32_t key = 1000000; n < MAX; key++, n++)
		CHECK(!hashtab_update(ht, &key, value, HASHTAB_NOEXIST, 0), "entry %u of %d", n + 1, MAX);
	n = 2000000;
	CHECK(hashtab_update(ht, &n, value, HASHTAB_ANY, 0) == -E2BIG, "one too many");
}

int main(int argc, char **argv)
{
	struct hashtab_config config = { .key_size = 4, .value_size = 16, .max_entries = MAX };
	struct worker w[WORKERS + 1];
	uint32_t value[4] = { 0 };
	struct hashtab ht;
	uint64_t ops;

	CHECK(!hashtab_create(&ht, &config), "create");
	epoch_enter();
	for (uint32_t key = 0; key < STAY; key++)
		CHECK(!hashtab_update(&ht, &key, value, HASHTAB_NOEXIST, 0), "insert");
	epoch_exit();
	live = STAY;
	workers_start(w, WORKERS, 0, worker, &ht);
	workers_start(w + WORKERS, 1, WORKERS, scanner, &ht);
	run_for(seconds_arg(argc, argv));
	ops = workers_join(w, WORKERS + 1);
	epoch_enter();
	check_rest(&ht);
	epoch_exit();
	hashtab_destroy(&ht);
	printf("capacity: %lu operations\n", (unsigned long)ops);
	return 0;
}
