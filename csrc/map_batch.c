/* Many elements in one call. */
#include "map_batch.h"

#include "epoch.h"
#include "map_array.h"
#include "words.h"

static void read_value(const struct ebpf_map *map, const void *from, char *value)
{
	size_t step = align_up(map->value_size, 8);

	if (!map->cpu_stride) {
		words_load(value, from, map->value_size);
		return;
	}
	for (size_t off = 0; off < map->user_value_size; off += step, from = (const char *)from + map->cpu_stride)
		words_load(value + off, from, step);
}

static uint32_t lookup_step(struct ebpf_map *map, struct map_cursor *cursor, char *keys, char *values, uint32_t n)
{
	uint32_t done = 0;

	epoch_enter();
	while (done < n && map->ops->next(map, cursor)) {
		memcpy(keys + (size_t)done * map->key_size, cursor->key, map->key_size);
		read_value(map, cursor->value, values + (size_t)done * map->user_value_size);
		done++;
	}
	epoch_exit();
	return done;
}

int map_batch_lookup(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done)
{
	struct map_cursor at = { .at = *cursor };
	uint32_t got;

	*done = 0;
	if (!map->ops->next)
		return -EBPF_ENOTSUPP;
	do {
		uint32_t want = n - *done < MAP_BATCH_STEP ? n - *done : MAP_BATCH_STEP;

		got = lookup_step(map, &at, (char *)keys + (size_t)*done * map->key_size,
				  (char *)values + (size_t)*done * map->user_value_size, want);
		*done += got;
	} while (got && *done < n);
	*cursor = at.at;
	return 0;
}

int map_batch_drain(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done)
{
	uint32_t got;

	*done = 0;
	if (!map->ops->drain)
		return -EBPF_ENOTSUPP;
	if (__atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE))
		return -EPERM;
	do {
		uint32_t want = n - *done < MAP_BATCH_STEP ? n - *done : MAP_BATCH_STEP;

		epoch_enter();
		got = map->ops->drain(map, cursor, (char *)keys + (size_t)*done * map->key_size,
				      (char *)values + (size_t)*done * map->user_value_size, want);
		epoch_exit();
		*done += got;
	} while (got && *done < n);
	return 0;
}

int map_batch_update(struct ebpf_map *map, const void *keys, const void *values, uint32_t n, uint64_t flags,
		     uint32_t *done)
{
	int rc = 0;

	for (*done = 0; *done < n; ++*done) {
		rc = map_user_update(map, (const char *)keys + (size_t)*done * map->key_size,
				     (const char *)values + (size_t)*done * map->user_value_size, flags);
		if (rc)
			break;
	}
	return rc;
}

int map_batch_erase(struct ebpf_map *map, const void *keys, uint32_t n, uint32_t *done)
{
	int rc = 0;

	for (*done = 0; *done < n; ++*done) {
		rc = map_user_erase(map, (const char *)keys + (size_t)*done * map->key_size);
		if (rc)
			break;
	}
	return rc;
}

uint32_t map_count(struct ebpf_map *map)
{
	return map->ops->count ? map->ops->count(map) : map->max_entries;
}

uint64_t map_value_address(struct ebpf_map *map)
{
	if (map->type != BPF_MAP_TYPE_ARRAY)
		return 0;
	return (uint64_t)(uintptr_t)container_of(map, struct map_array, map)->values;
}
