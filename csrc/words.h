/* Copies to and from memory that another thread may be writing: 8 bytes at a time, each at once (relaxed).
 * The shared side is 8-aligned and padded to a multiple of 8; the padding is written as zero. */
#pragma once

#include <string.h>

#include "common.h"

static inline void words_load(void *dst, const void *shared, size_t nbytes)
{
	const uint64_t *from = shared;
	char *to = dst;
	uint64_t word;

	for (; nbytes >= 8; nbytes -= 8, to += 8) {
		word = __atomic_load_n(from++, __ATOMIC_RELAXED);
		memcpy(to, &word, 8);
	}
	if (nbytes) {
		word = __atomic_load_n(from, __ATOMIC_RELAXED);
		memcpy(to, &word, nbytes);
	}
}

static inline void words_store(void *shared, const void *src, size_t nbytes)
{
	uint64_t *to = shared;
	const char *from = src;
	uint64_t word;

	for (; nbytes >= 8; nbytes -= 8, from += 8) {
		memcpy(&word, from, 8);
		__atomic_store_n(to++, word, __ATOMIC_RELAXED);
	}
	if (nbytes) {
		word = 0;
		memcpy(&word, from, nbytes);
		__atomic_store_n(to, word, __ATOMIC_RELAXED);
	}
}
