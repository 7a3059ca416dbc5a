/* Maps by type, their references, and bpf(2)'s side of the element commands. */
#include "map.h"

#include <string.h>

#include "epoch.h"
#include "map_array.h"
#include "map_hash.h"
#include "map_prog_array.h"
#include "map_stack.h"

/* How often a user command that found every spare element held by readers leaves its own epoch and tries again. */
#define USER_TRIES 100

/* One row a map type; map_*.c define them. */
static const struct map_ops *const map_ops_table[BPF_MAP_TYPE_ARENA + 1] = {
	[BPF_MAP_TYPE_HASH] = &map_hash_ops,
	[BPF_MAP_TYPE_ARRAY] = &map_array_ops,
	[BPF_MAP_TYPE_PROG_ARRAY] = &map_prog_array_ops,
	[BPF_MAP_TYPE_PERCPU_HASH] = &map_percpu_hash_ops,
	[BPF_MAP_TYPE_PERCPU_ARRAY] = &map_percpu_array_ops,
	[BPF_MAP_TYPE_STACK_TRACE] = &map_stack_ops,
};

int map_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	const struct map_ops *ops = attr->type < ARRAY_SIZE(map_ops_table) ? map_ops_table[attr->type] : NULL;
	int rc;

	if (!ops)
		return ebpf_fail(err, -EINVAL, -1, "map type %u has no implementation", attr->type);
	rc = ops->check(attr, err);
	return rc ? rc : ops->create(attr, out, err);
}

void map_init(struct ebpf_map *map, const struct map_ops *ops, const struct map_attr *attr)
{
	memset(map, 0, sizeof(*map));
	map->ops = ops;
	map->type = attr->type;
	map->key_size = attr->key_size;
	map->value_size = attr->value_size;
	map->user_value_size = attr->value_size;
	map->max_entries = attr->max_entries;
	map->flags = attr->flags;
	map->extra = attr->extra;
	map->refs = 1;
	memcpy(map->name, attr->name, sizeof(map->name));
}

void map_get(struct ebpf_map *map)
{
	__atomic_add_fetch(&map->refs, 1, __ATOMIC_RELAXED);
}

static void destroy(void *ptr)
{
	struct ebpf_map *map = ptr;

	map->ops->destroy(map);
}

void map_put(struct ebpf_map *map)
{
	/* Release orders our uses before the free, acquire the others' uses before it. */
	if (__atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL) == 0)
		epoch_retire(destroy, map);
}

/* ---- bpf(2)'s side ---- */

static bool frozen(const struct ebpf_map *map)
{
	return __atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE);
}

int map_user_freeze(struct ebpf_map *map)
{
	return __atomic_exchange_n(&map->frozen, true, __ATOMIC_ACQ_REL) ? -EPERM
									 : 0; /* as Linux: no write permission */
}

int map_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	int rc;

	/* BPF_F_LOCK needs a bpf_spin_lock in the value, which no type here takes. */
	if (flags)
		return -EINVAL;
	if (!map->ops->user_lookup)
		return -EBPF_ENOTSUPP;
	epoch_enter();
	rc = map->ops->user_lookup(map, key, value, flags);
	epoch_exit();
	return rc;
}

int map_user_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	int rc, tries = 0;

	if (frozen(map))
		return -EPERM;
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	do {
		epoch_enter();
		rc = map->ops->user_update(map, key, value, flags);
		epoch_exit();
	} while (rc == -ENOMEM && ++tries < USER_TRIES);
	return rc;
}

int map_user_erase(struct ebpf_map *map, const void *key)
{
	int rc;

	if (frozen(map))
		return -EPERM;
	epoch_enter();
	rc = map->ops->erase(map, key);
	epoch_exit();
	return rc;
}

int map_user_next_key(struct ebpf_map *map, const void *key, void *next)
{
	int rc;

	epoch_enter();
	rc = map->ops->next_key(map, key, next);
	epoch_exit();
	return rc;
}

int map_user_lookup_and_erase(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	int rc;

	if (flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if (frozen(map))
		return -EPERM;
	if (flags)
		return -EINVAL;
	if (!map->ops->lookup_and_erase)
		return -EBPF_ENOTSUPP;
	epoch_enter();
	rc = map->ops->lookup_and_erase(map, key, value, flags);
	epoch_exit();
	return rc;
}
