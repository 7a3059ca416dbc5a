/* One run that replaces more than a table can spare: updates of existing entries go on in place, with the values
 * right; an insert says -ENOMEM, and works again once the run is over.  Also: keys spread over buckets whatever their
 * pattern, and seeds make a difference. */
#include "hashtab_slab.h"
#include "harness.h"

enum { MAX = 16, VALUE = 4096 };

static uint64_t ops;

static void exhaust(struct hashtab *ht)
{
	uint64_t value[VALUE / 8] = { 0 };
	uint64_t key = 1, seq;
	int rc = 0;

	epoch_enter();
	for (key = 0; key < MAX; key++)
		CHECK(!hashtab_update(ht, &key, value, HASHTAB_NOEXIST, 0), "fill");
	for (seq = 1; seq <= ht->n_elems + 1000u; seq++) {
		uint64_t *found;

		key = seq % MAX;
		value[0] = value[VALUE / 8 - 1] = seq;
		CHECK(!hashtab_update(ht, &key, value, HASHTAB_EXIST, 0), "update %lu", (unsigned long)seq);
		found = hashtab_lookup(ht, &key);
		CHECK(found && found[0] == seq && found[VALUE / 8 - 1] == seq, "value");
		ops++;
	}
	CHECK(ht->head->copies > 0, "nothing was copied in place");
	key = 3;
	CHECK(!hashtab_delete(ht, &key), "delete");
	key = 100;
	rc = hashtab_update(ht, &key, value, HASHTAB_ANY, 0);
	CHECK(rc == -ENOMEM, "insert gave %d", rc);
	epoch_exit();
	epoch_enter();
	rc = hashtab_update(ht, &key, value, HASHTAB_ANY, 0);
	for (int tries = 0; rc == -ENOMEM && tries < 10; tries++) {
		epoch_exit();
		epoch_enter();
		rc = hashtab_update(ht, &key, value, HASHTAB_ANY, 0);
	}
	CHECK(rc == 0, "insert after the run gave %d", rc);
	CHECK(hashtab_count(ht) == MAX, "count %u", hashtab_count(ht));
	epoch_exit();
}

/* The i-th key of a pattern: counting, shifted, strided, in the last bytes, few bits. */
static void pattern(unsigned char *key, uint32_t key_size, int which, uint32_t i)
{
	uint64_t x = i;

	memset(key, 0, key_size);
	switch (which) {
	case 0: break;
	case 1: x <<= 12; break;
	case 2: x *= 0x10001; break;
	case 3:
		memcpy(key + key_size - 4, &i, 4);
		return;
	default: x = x << 16 | x;
	}
	memcpy(key, &x, key_size < 8 ? key_size : 8);
}

static void spread(uint32_t key_size, int which)
{
	enum { N = 1 << 16, BUCKETS = 9973 };
	static uint32_t load[BUCKETS], tags[256];
	unsigned char key[64];
	struct hash_seed seed;
	double chi = 0, tag_chi = 0;

	hash_seed_random(&seed);
	memset(load, 0, sizeof(load));
	memset(tags, 0, sizeof(tags));
	for (uint32_t i = 0; i < N; i++) {
		uint64_t hash;

		pattern(key, key_size, which, i);
		hash = hash_bytes(&seed, key, key_size);
		load[(hash >> 32) * BUCKETS >> 32]++;
		tags[hash & 255]++;
		ops++;
	}
	for (int i = 0; i < BUCKETS; i++)
		chi += (load[i] - (double)N / BUCKETS) * (load[i] - (double)N / BUCKETS) / ((double)N / BUCKETS);
	for (int i = 0; i < 256; i++)
		tag_chi += (tags[i] - N / 256.0) * (tags[i] - N / 256.0) / (N / 256.0);
	/* Means BUCKETS and 256, deviations sqrt(2 * n): eight of them is never. */
	CHECK(chi < BUCKETS + 8 * 141.2, "key size %u pattern %d: buckets uneven, %.0f", key_size, which, chi);
	CHECK(tag_chi < 256 + 8 * 22.6, "key size %u pattern %d: tags uneven, %.0f", key_size, which, tag_chi);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 32, 40, 63 };
	struct hashtab_config config = { .key_size = 8, .value_size = VALUE, .max_entries = MAX };
	struct hash_seed a, b;
	struct hashtab ht;
	uint64_t key = 42;

	(void)argc, (void)argv;
	CHECK(!hashtab_create(&ht, &config), "create");
	exhaust(&ht);
	hashtab_destroy(&ht);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int which = 0; which < 5; which++)
			spread(sizes[i], which);
	}
	hash_seed_random(&a);
	hash_seed_random(&b);
	CHECK(hash_bytes(&a, &key, 8) != hash_bytes(&b, &key, 8), "two seeds, one hash");
	printf("spare: %lu operations\n", (unsigned long)ops);
	return 0;
}
