/* ARRAY and PERCPU_ARRAY: values side by side, all there from the start. */
#include "map_array.h"

#include <stdlib.h>

#include "map_check.h"
#include "runtime.h"
#include "words.h"

#define ARRAY_FLAGS (BPF_F_NUMA_NODE | BPF_F_MMAPABLE | MAP_ACCESS_FLAGS | BPF_F_INNER_MAP)

static struct map_array *array(struct ebpf_map *map)
{
	return container_of(map, struct map_array, map);
}

static int array_check(const struct map_attr *attr, struct ebpf_error *err)
{
	bool percpu = attr->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	int rc;

	if (!attr->max_entries || attr->key_size != 4 || !attr->value_size)
		return ebpf_fail(err, -EINVAL, -1, "max_entries %u, key_size %u, value_size %u: want > 0, 4, > 0",
				 attr->max_entries, attr->key_size, attr->value_size);
	rc = map_check_flags(attr, percpu ? BPF_F_NUMA_NODE | MAP_ACCESS_FLAGS : ARRAY_FLAGS, err);
	if (rc)
		return rc;
	if (attr->value_size > INT32_MAX)
		return ebpf_fail(err, -E2BIG, -1, "value_size %u: at most %d", attr->value_size, INT32_MAX);
	return percpu ? map_check_percpu(attr, err) : 0;
}

static int array_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	bool percpu = attr->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	uint32_t step = (uint32_t)align_up(attr->value_size, 8);
	struct map_array *arr = calloc(1, sizeof(*arr));
	size_t stride = (size_t)attr->max_entries * step, nbytes;

	if (percpu)
		stride = align_up(stride, 2 * EBPF_CACHELINE);
	if (!arr || !mul_size(stride, percpu ? ebpf_nr_vcpus() : 1, &nbytes) || region_reserve(&arr->region, nbytes)) {
		free(arr);
		return ebpf_fail(err, -ENOMEM, -1, "no address space for %u values of %u bytes", attr->max_entries,
				 attr->value_size);
	}
	region_random(arr->region.base, nbytes);
	map_init(&arr->map, percpu ? &map_percpu_array_ops : &map_array_ops, attr);
	arr->values = arr->region.base;
	arr->step = step;
	if (percpu) {
		arr->map.cpu_stride = stride;
		arr->map.user_value_size = step * ebpf_nr_vcpus();
	}
	*out = &arr->map;
	return 0;
}

static void array_destroy(struct ebpf_map *map)
{
	region_release(&array(map)->region);
	free(array(map));
}

static void *array_at(struct ebpf_map *map, uint32_t index)
{
	return array(map)->values + (size_t)index * array(map)->step;
}

static void *array_lookup(struct ebpf_map *map, const void *key)
{
	uint32_t index = map_index(key);

	return index < map->max_entries ? array_at(map, index) : NULL;
}

/* Linux's order: flags, index, NOEXIST. */
static int array_may_update(const struct ebpf_map *map, uint32_t index, uint64_t flags)
{
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (index >= map->max_entries)
		return -E2BIG;
	return flags == BPF_NOEXIST ? -EEXIST : 0;
}

static int array_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t index = map_index(key);
	int rc = array_may_update(map, index, flags);

	if (!rc)
		words_store(array_at(map, index), value, map->value_size);
	return rc;
}

static int array_update_cpu(struct ebpf_map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	uint32_t index = map_index(key);
	int rc = array_may_update(map, index, flags);

	if (!rc)
		words_store((char *)array_at(map, index) + cpu * map->cpu_stride, value, map->value_size);
	return rc;
}

static int array_user_update_percpu(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	uint32_t index = map_index(key), step = array(map)->step;
	int rc = array_may_update(map, index, flags);

	for (uint32_t cpu = 0; !rc && cpu < ebpf_nr_vcpus(); cpu++)
		words_store((char *)array_at(map, index) + cpu * map->cpu_stride,
			    (const char *)value + (size_t)cpu * step, step);
	return rc;
}

static int array_erase(struct ebpf_map *map, const void *key)
{
	(void)map, (void)key;
	return -EINVAL;
}

static int array_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	const char *from = array_lookup(map, key);
	uint32_t step = array(map)->step;

	(void)flags;
	if (!from)
		return -ENOENT;
	if (!map->cpu_stride) {
		words_load(value, from, map->value_size);
		return 0;
	}
	for (uint32_t cpu = 0; cpu < ebpf_nr_vcpus(); cpu++)
		words_load((char *)value + (size_t)cpu * step, from + cpu * map->cpu_stride, step);
	return 0;
}

int map_index_next_key(struct ebpf_map *map, const void *key, void *next)
{
	uint32_t index = key ? map_index(key) : UINT32_MAX;

	if (index >= map->max_entries)
		index = 0;
	else if (index == map->max_entries - 1)
		return -ENOENT;
	else
		index++;
	memcpy(next, &index, sizeof(index));
	return 0;
}

static bool array_next(struct ebpf_map *map, struct map_cursor *cursor)
{
	if (cursor->at >= map->max_entries)
		return false;
	cursor->index = (uint32_t)cursor->at++;
	cursor->key = &cursor->index;
	cursor->value = array_at(map, cursor->index);
	return true;
}

static int array_direct_value(struct ebpf_map *map, uint32_t off, uint64_t *addr)
{
	if (map->max_entries != 1)
		return -EBPF_ENOTSUPP;
	if (off >= map->value_size)
		return -EINVAL;
	*addr = (uint64_t)(uintptr_t)array(map)->values + off;
	return 0;
}

const struct map_ops map_array_ops = {
	.type = BPF_MAP_TYPE_ARRAY,
	.name = "array",
	.check = array_check,
	.create = array_create,
	.destroy = array_destroy,
	.lookup = array_lookup,
	.update = array_update,
	.erase = array_erase,
	.next = array_next,
	.user_lookup = array_user_lookup,
	.user_update = array_update,
	.next_key = map_index_next_key,
	.direct_value = array_direct_value,
	.inline_kind = MAP_INLINE_ARRAY,
};

const struct map_ops map_percpu_array_ops = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.name = "percpu_array",
	.check = array_check,
	.create = array_create,
	.destroy = array_destroy,
	.lookup = array_lookup,
	.update = array_user_update_percpu,
	.update_cpu = array_update_cpu,
	.erase = array_erase,
	.next = array_next,
	.user_lookup = array_user_lookup,
	.user_update = array_user_update_percpu,
	.next_key = map_index_next_key,
	.inline_kind = MAP_INLINE_ARRAY,
};
