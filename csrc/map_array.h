/* ARRAY and PERCPU_ARRAY.
 *
 * For the JIT (MAP_INLINE_ARRAY): a lookup is
 *     index < max_entries ? values + index * step [+ vcpu * map.cpu_stride] : NULL
 * with the index the 4 bytes at key; every operand is constant for the map's life. */
#pragma once

#include "alloc.h"
#include "map.h"

struct map_array {
	struct ebpf_map map;
	char *values;  /* vCPU 0's where per CPU; page-aligned */
	uint32_t step; /* bytes from one value to the next: value_size rounded up to 8 */
	struct region region;
};

extern const struct map_ops map_array_ops, map_percpu_array_ops;

/* What all types keyed by an index share: key NULL or out of range: 0; -ENOENT after max_entries - 1. */
int map_index_next_key(struct ebpf_map *map, const void *key, void *next);
static inline uint32_t map_index(const void *key)
{
	uint32_t index;

	__builtin_memcpy(&index, key, sizeof(index));
	return index;
}
