/* Many elements in one call, from outside any epoch; an epoch is left and entered every MAP_BATCH_STEP elements. */
#pragma once

#include "map.h"

#define MAP_BATCH_STEP 1024

/* Up to n entries from *cursor (0: the start) on, packed keys and user-side values.  *done is 0 at the end.  Every
 * entry that is there all along is met exactly once.  -EBPF_ENOTSUPP: the type has no walk. */
int map_batch_lookup(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done);
/* As above, and removes them. */
int map_batch_drain(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done);
/* Stop at the first error; *done elements came before it. */
int map_batch_update(struct ebpf_map *map, const void *keys, const void *values, uint32_t n, uint64_t flags,
		     uint32_t *done);
int map_batch_erase(struct ebpf_map *map, const void *keys, uint32_t n, uint32_t *done);

/* Entries now (exact while nobody writes); of indexed types max_entries. */
uint32_t map_count(struct ebpf_map *map);
/* Where the values of an ARRAY lie, else 0. */
uint64_t map_value_address(struct ebpf_map *map);
