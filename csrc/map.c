/* Maps by type, and their references. */
#include "map.h"

/* One row a map type; map_*.c define them. */
static const struct map_ops *const map_ops_table[BPF_MAP_TYPE_ARENA + 1] = { NULL };

int map_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	const struct map_ops *ops = attr->type < ARRAY_SIZE(map_ops_table) ? map_ops_table[attr->type] : NULL;
	int rc;

	if (!ops)
		return ebpf_fail(err, -EINVAL, -1, "map type %u has no implementation", attr->type);
	rc = ops->check(attr, err);
	return rc ? rc : ops->create(attr, out, err);
}

void map_get(struct ebpf_map *map)
{
	__atomic_add_fetch(&map->refs, 1, __ATOMIC_RELAXED);
}

void map_put(struct ebpf_map *map)
{
	/* Release orders our uses before the free, acquire the others' uses before it. */
	if (__atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL) == 0)
		map->ops->destroy(map);
}
