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

static uint32_t read_by_next(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	struct map_cursor at = { .at = *cursor };
	uint32_t done = 0;

	while (done < n && map->ops->next(map, &at)) {
		memcpy((char *)keys + (size_t)done * map->key_size, at.key, map->key_size);
		read_value(map, at.value, (char *)values + (size_t)done * map->user_value_size);
		done++;
	}
	*cursor = at.at;
	return done;
}

typedef uint32_t walk_fn(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n);

static uint32_t by_steps(struct ebpf_map *map, walk_fn *walk, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	uint32_t done = 0, got = 1;

	while (got && done < n) {
		epoch_enter();
		got = walk(map, cursor, (char *)keys + (size_t)done * map->key_size,
			   (char *)values + (size_t)done * map->user_value_size,
			   n - done < MAP_BATCH_STEP ? n - done : MAP_BATCH_STEP);
		epoch_exit();
		done += got;
	}
	return done;
}

int map_batch_lookup(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done)
{
	*done = 0;
	if (!map->ops->next)
		return -EBPF_ENOTSUPP;
	*done = by_steps(map, map->ops->read ? map->ops->read : read_by_next, cursor, keys, values, n);
	return 0;
}

int map_batch_drain(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n, uint32_t *done)
{
	*done = 0;
	if (!map->ops->drain)
		return -EBPF_ENOTSUPP;
	if (__atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE))
		return -EPERM;
	*done = by_steps(map, map->ops->drain, cursor, keys, values, n);
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
