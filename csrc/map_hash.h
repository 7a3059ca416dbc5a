/* HASH and PERCPU_HASH.  For the JIT: map->ops->lookup is the lookup for the map's key size, to be called
 * directly as `void *(struct ebpf_map *map, const void *key)` and good for the map's life. */
#pragma once

#include "hashtab.h"
#include "map.h"

struct map_hash {
	struct ebpf_map map;
	struct hashtab table;
};

extern const struct map_ops map_hash_ops, map_percpu_hash_ops;
