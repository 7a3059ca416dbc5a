/* PROG_ARRAY: references to programs.  Readers load a slot with acquire inside their epoch; a replaced program's
 * reference is dropped at once, since prog_put frees by epoch. */
#include "map_prog_array.h"

#include <stdlib.h>
#include <string.h>

#include "epoch.h"
#include "map_array.h"
#include "map_check.h"
#include "prog.h"

#define PROG_ARRAY_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

struct prog_slot {
	struct ebpf_prog *prog; /* atomic */
	uint32_t id;            /* atomic; 0 while empty */
};

struct map_prog_array {
	struct ebpf_map map;
	uint64_t owner; /* atomic: 0, or type << 1 | engine, + 1 of the first program */
	struct prog_slot *slots;
	struct region region;
};

static struct map_prog_array *prog_array(struct ebpf_map *map)
{
	return container_of(map, struct map_prog_array, map);
}

static int prog_array_check(const struct map_attr *attr, struct ebpf_error *err)
{
	if (!attr->max_entries || attr->key_size != 4 || attr->value_size != 4)
		return ebpf_fail(err, -EINVAL, -1, "max_entries %u, key_size %u, value_size %u: want > 0, 4, 4",
				 attr->max_entries, attr->key_size, attr->value_size);
	return map_check_flags(attr, PROG_ARRAY_FLAGS, err);
}

static int prog_array_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	struct map_prog_array *arr = calloc(1, sizeof(*arr));

	if (!arr || region_reserve(&arr->region, (size_t)attr->max_entries * sizeof(struct prog_slot))) {
		free(arr);
		return ebpf_fail(err, -ENOMEM, -1, "no address space for %u programs", attr->max_entries);
	}
	map_init(&arr->map, &map_prog_array_ops, attr);
	arr->slots = (struct prog_slot *)(void *)arr->region.base;
	*out = &arr->map;
	return 0;
}

bool prog_array_compatible(struct ebpf_map *map, const struct ebpf_prog *prog)
{
	uint64_t mine = ((uint64_t)prog->type << 1 | (prog->engine == EBPF_ENGINE_JIT)) + 1;
	uint64_t none = 0;

	return __atomic_compare_exchange_n(&prog_array(map)->owner, &none, mine, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE) ||
	       none == mine;
}

/* The old program may be in a run that has found it: prog_put waits for that run's epoch. */
static bool slot_replace(struct prog_slot *slot, struct ebpf_prog *prog, uint32_t id)
{
	/* Release publishes the program, acquire is for dropping the old one; pairs with prog_array_get. */
	struct ebpf_prog *old = __atomic_exchange_n(&slot->prog, prog, __ATOMIC_ACQ_REL);

	__atomic_store_n(&slot->id, id, __ATOMIC_RELEASE);
	if (old)
		prog_put(old);
	return old != NULL;
}

int prog_array_set(struct ebpf_map *map, uint32_t index, struct ebpf_prog *prog, uint32_t id, uint64_t flags)
{
	if (__atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE))
		return -EPERM;
	if (flags != BPF_ANY)
		return -EINVAL;
	if (index >= map->max_entries)
		return -E2BIG;
	if (!prog_array_compatible(map, prog))
		return -EINVAL;
	prog_get(prog);
	slot_replace(&prog_array(map)->slots[index], prog, id);
	return 0;
}

struct ebpf_prog *prog_array_get(struct ebpf_map *map, uint32_t index)
{
	if (index >= map->max_entries)
		return NULL;
	/* Acquire: pairs with the exchange in slot_replace. */
	return __atomic_load_n(&prog_array(map)->slots[index].prog, __ATOMIC_ACQUIRE);
}

static void *prog_array_lookup(struct ebpf_map *map, const void *key)
{
	return prog_array_get(map, map_index(key));
}

static int prog_array_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	/* A program is not named by bytes here: prog_array_set. */
	(void)map, (void)key, (void)value, (void)flags;
	return -EINVAL;
}

static int prog_array_erase(struct ebpf_map *map, const void *key)
{
	uint32_t index = map_index(key);

	if (index >= map->max_entries)
		return -E2BIG;
	return slot_replace(&prog_array(map)->slots[index], NULL, 0) ? 0 : -ENOENT;
}

static int prog_array_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	uint32_t index = map_index(key), id;

	(void)flags;
	if (!prog_array_get(map, index))
		return -ENOENT;
	id = __atomic_load_n(&prog_array(map)->slots[index].id, __ATOMIC_ACQUIRE);
	memcpy(value, &id, sizeof(id));
	return 0;
}

/* Programs hold the map and the map programs: what the user no longer reaches lets go, as in Linux. */
static void prog_array_clear(struct ebpf_map *map)
{
	for (uint32_t i = 0; i < map->max_entries; i++) {
		if (prog_array_get(map, i))
			slot_replace(&prog_array(map)->slots[i], NULL, 0);
	}
}

static void prog_array_destroy(struct ebpf_map *map)
{
	prog_array_clear(map);
	region_release(&prog_array(map)->region);
	free(prog_array(map));
}

const struct map_ops map_prog_array_ops = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.name = "prog_array",
	.check = prog_array_check,
	.create = prog_array_create,
	.destroy = prog_array_destroy,
	.lookup = prog_array_lookup,
	.update = prog_array_update,
	.erase = prog_array_erase,
	.user_lookup = prog_array_user_lookup,
	.user_update = prog_array_update,
	.next_key = map_index_next_key,
	.user_release = prog_array_clear,
};
