/* The seeded hash for keys of any size. */
#define _GNU_SOURCE
#include "hash.h"

#include <sys/random.h>
#include <time.h>

static uint64_t hash_short(const struct hash_seed *seed, const unsigned char *p, size_t nbytes)
{
	uint64_t lo, hi;

	if (nbytes >= 8) {
		lo = hash_load8(p);
		hi = hash_load8(p + nbytes - 8);
	} else if (nbytes >= 4) {
		lo = hash_load4(p);
		hi = hash_load4(p + nbytes - 4);
	} else {
		lo = nbytes ? (uint64_t)p[0] << 16 | (uint64_t)p[nbytes >> 1] << 8 | p[nbytes - 1] : 0;
		hi = 0;
	}
	return hash_fold(hash_fold(lo ^ seed->a ^ HASH_K0, hi ^ seed->b ^ HASH_K1), seed->a ^ HASH_K1 ^ nbytes);
}

static uint64_t hash_long(const struct hash_seed *seed, const unsigned char *p, size_t nbytes)
{
	uint64_t x = seed->b ^ nbytes;
	size_t left = nbytes;

	for (; left > 16; left -= 16, p += 16)
		x = hash_fold(hash_load8(p) ^ seed->a ^ HASH_K0, hash_load8(p + 8) ^ x ^ HASH_K1);
	/* The last 16 bytes, whatever of them the loop has seen. */
	p -= 16 - left;
	x = hash_fold(hash_load8(p) ^ seed->a ^ HASH_K0, hash_load8(p + 8) ^ x ^ HASH_K1);
	return hash_fold(x, seed->a ^ HASH_K1);
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *key, size_t nbytes)
{
	switch (nbytes) {
	case 4: return hash_4(seed, key);
	case 8: return hash_8(seed, key);
	case 16: return hash_16(seed, key);
	default: return nbytes < 16 ? hash_short(seed, key, nbytes) : hash_long(seed, key, nbytes);
	}
}

void hash_seed_random(struct hash_seed *seed)
{
	struct timespec ts;

	if (getrandom(seed, sizeof(*seed), GRND_NONBLOCK) == (ssize_t)sizeof(*seed))
		return;
	/* Before the system has entropy, or without the call: an address and a clock. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	seed->a = hash_fold((uint64_t)ts.tv_nsec ^ HASH_K0, (uint64_t)(uintptr_t)&ts ^ HASH_K1);
	seed->b = hash_fold(seed->a, (uint64_t)ts.tv_sec ^ HASH_K1);
}
