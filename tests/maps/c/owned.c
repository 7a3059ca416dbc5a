/* Each writer's own keys hold its last update; a lookup of 64 bytes is never a mix of two updates, neither through
 * a pointer held over other operations nor copied out; values of 8 bytes the same. */
#include "harness.h"

enum { WRITERS = 2, READERS = 2, KEYS = 512 };

struct key {
	uint32_t owner, n;
	uint64_t pad;
};

static uint32_t words; /* of a value */

/* All words of a value say which update it was. */
static uint64_t word_of(const struct key *key, uint64_t seq, uint32_t i)
{
	return (seq << 20 | (uint64_t)key->owner << 16 | key->n) ^ (i * 0x0101010101010101u);
}

static void check_value(const struct key *key, const uint64_t *value)
{
	uint64_t seq = __atomic_load_n(value, __ATOMIC_RELAXED) >> 20;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t seen = __atomic_load_n(&value[i], __ATOMIC_RELAXED);

		/* A value of one word may be stored again between two looks. */
		CHECK(words == 1 || seen == word_of(key, seq, i), "key %u/%u: word %u is %lx, seq %lu", key->owner,
		      key->n, i, (unsigned long)seen, (unsigned long)seq);
	}
}

static void *writer(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;
	uint64_t last[KEYS] = { 0 }, seq = 0;

	while (!stopped()) {
		struct key key = { .owner = (uint32_t)w->id, .n = (uint32_t)(rnd(w) % KEYS) };
		uint64_t value[8], *found, flags = HASHTAB_ANY;
		int rc;

		epoch_enter();
		found = hashtab_lookup(ht, &key);
		CHECK(!found == !last[key.n], "key %u: found %p, last %lu", key.n, (void *)found,
		      (unsigned long)last[key.n]);
		for (uint32_t i = 0; found && i < words; i++)
			CHECK(__atomic_load_n(&found[i], __ATOMIC_RELAXED) == word_of(&key, last[key.n], i),
			      "key %u does not hold update %lu", key.n, (unsigned long)last[key.n]);
		if (rnd(w) % 4 == 0) {
			rc = rnd(w) & 1 ? hashtab_delete(ht, &key) : hashtab_take(ht, &key, value);
			CHECK(rc == (last[key.n] ? 0 : -ENOENT), "delete gave %d", rc);
			last[key.n] = 0;
		} else {
			seq++;
			for (uint32_t i = 0; i < words; i++)
				value[i] = word_of(&key, seq, i);
			if (rnd(w) & 1)
				flags = last[key.n] ? HASHTAB_EXIST : HASHTAB_NOEXIST;
			rc = hashtab_update(ht, &key, value, flags, 0);
			CHECK(rc == 0, "update gave %d", rc);
			last[key.n] = seq;
		}
		epoch_exit();
		w->ops++;
	}
	return NULL;
}

static void *reader(void *ptr)
{
	struct worker *w = ptr;
	struct hashtab *ht = w->arg;

	while (!stopped()) {
		struct key held = { .owner = (uint32_t)(rnd(w) % WRITERS), .n = (uint32_t)(rnd(w) % KEYS) };
		uint64_t *pointer;

		epoch_enter();
		pointer = hashtab_lookup(ht, &held);
		if (pointer)
			check_value(&held, pointer);
		for (int i = 0; i < 16; i++) {
			struct key key = { .owner = (uint32_t)(rnd(w) % WRITERS), .n = (uint32_t)(rnd(w) % KEYS) };
			uint64_t *value = hashtab_lookup(ht, &key);

			if (value)
				check_value(&key, value);
			w->ops++;
		}
		/* Removed or replaced by now perhaps, but not reused: this run may go on reading it. */
		if (pointer)
			check_value(&held, pointer);
		epoch_exit();
	}
	return NULL;
}

static void stress(uint32_t value_size, double seconds)
{
	struct hashtab_config config = { .key_size = sizeof(struct key), .value_size = value_size,
					 .max_entries = WRITERS * KEYS };
	struct worker w[WRITERS + READERS];
	struct hashtab ht;
	uint64_t ops;

	words = value_size / 8;
	stop_flag = false;
	CHECK(!hashtab_create(&ht, &config), "create");
	workers_start(w, WRITERS, 0, writer, &ht);
	workers_start(w + WRITERS, READERS, WRITERS, reader, &ht);
	run_for(seconds);
	ops = workers_join(w, WRITERS + READERS);
	hashtab_destroy(&ht);
	printf("owned: value %u: %lu operations\n", value_size, (unsigned long)ops);
}

int main(int argc, char **argv)
{
	stress(64, seconds_arg(argc, argv) / 2);
	stress(8, seconds_arg(argc, argv) / 2);
	return 0;
}
