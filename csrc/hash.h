/* The seeded hash of the tables: multiply-fold twice, 128 bits of seed, so that strangers' keys cannot build
 * collisions.  Fold: the high and low halves of a 64 x 64 bit product, xored (as wyhash and others do).
 * Sizes known at compile time get straight code: 4, 8, 16. */
#pragma once

#include <string.h>

#include "common.h"

struct hash_seed {
	uint64_t a, b;
};

/* Odd constants with about half their bits set; they keep an all-zero seed (BPF_F_ZERO_SEED) from folding to 0. */
#define HASH_K0 0xa0761d6478bd642fu
#define HASH_K1 0xe7037ed1a0b428dbu

static inline uint64_t hash_fold(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_load8(const void *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline uint32_t hash_load4(const void *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline uint64_t hash_4(const struct hash_seed *seed, const void *key)
{
	return hash_fold(hash_fold(hash_load4(key) ^ seed->a ^ HASH_K0, seed->b ^ HASH_K1), seed->a ^ HASH_K1);
}

static inline uint64_t hash_8(const struct hash_seed *seed, const void *key)
{
	return hash_fold(hash_fold(hash_load8(key) ^ seed->a ^ HASH_K0, seed->b ^ HASH_K1), seed->a ^ HASH_K1);
}

static inline uint64_t hash_16(const struct hash_seed *seed, const void *key)
{
	uint64_t lo = hash_load8(key), hi = hash_load8((const char *)key + 8);

	return hash_fold(hash_fold(lo ^ seed->a ^ HASH_K0, hi ^ seed->b ^ HASH_K1), seed->a ^ HASH_K1);
}

/* Any size; the same function as the ones above for theirs.  Reads exactly nbytes. */
uint64_t hash_bytes(const struct hash_seed *seed, const void *key, size_t nbytes);

/* Random, from the system. */
void hash_seed_random(struct hash_seed *seed);
