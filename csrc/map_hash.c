/* HASH and PERCPU_HASH: rows of the map table over hashtab.h. */
#include "map_hash.h"

#include <stdlib.h>

#include "map_check.h"
#include "runtime.h"

/* Linux: KMALLOC_MAX_SIZE - sizeof(struct htab_elem). */
#define ELEM_MAX ((4u << 20) - 48)
/* Linux: a power of two of 16-byte bucket heads, under 4 GiB. */
#define ENTRIES_MAX (1u << 27)
#define HASH_FLAGS  (BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | MAP_ACCESS_FLAGS | BPF_F_ZERO_SEED)

static struct hashtab *table(struct ebpf_map *map)
{
	return &container_of(map, struct map_hash, map)->table;
}

static int hash_check(const struct map_attr *attr, struct ebpf_error *err)
{
	int rc = map_check_flags(attr, HASH_FLAGS, err);

	if (rc)
		return rc;
	if (attr->flags & BPF_F_NO_COMMON_LRU)
		return ebpf_fail(err, -EINVAL, -1, "BPF_F_NO_COMMON_LRU is for LRU maps");
	if (!attr->max_entries || !attr->key_size || !attr->value_size)
		return ebpf_fail(err, -EINVAL, -1, "max_entries %u, key_size %u, value_size %u: none may be 0",
				 attr->max_entries, attr->key_size, attr->value_size);
	if ((uint64_t)attr->key_size + attr->value_size >= ELEM_MAX)
		return ebpf_fail(err, -E2BIG, -1, "key_size %u + value_size %u: less than %u wanted", attr->key_size,
				 attr->value_size, ELEM_MAX);
	if (attr->max_entries > ENTRIES_MAX)
		return ebpf_fail(err, -E2BIG, -1, "max_entries %u: at most %u", attr->max_entries, ENTRIES_MAX);
	return attr->type == BPF_MAP_TYPE_PERCPU_HASH ? map_check_percpu(attr, err) : 0;
}

static void *hash_lookup_4(struct ebpf_map *map, const void *key)
{
	return hashtab_lookup_4(table(map), key);
}

static void *hash_lookup_8(struct ebpf_map *map, const void *key)
{
	return hashtab_lookup_8(table(map), key);
}

static void *hash_lookup_16(struct ebpf_map *map, const void *key)
{
	return hashtab_lookup_16(table(map), key);
}

static void *hash_lookup(struct ebpf_map *map, const void *key)
{
	return hashtab_lookup_any(table(map), key);
}

static int hash_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	if (flags > HASHTAB_EXIST)
		return -EINVAL;
	return hashtab_update(table(map), key, value, flags, HASHTAB_ALL_CPUS);
}

/* Values of up to 8 bytes. */
#define DEFINE_UPDATE_SMALL(size)                                                                                      \
	static int hash_update_small_##size(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)  \
	{                                                                                                              \
		return flags > HASHTAB_EXIST ? -EINVAL : hashtab_update_small_##size(table(map), key, value, flags);   \
	}
DEFINE_UPDATE_SMALL(4)
DEFINE_UPDATE_SMALL(8)
DEFINE_UPDATE_SMALL(16)

static int hash_update_cpu(struct ebpf_map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu)
{
	if (flags > HASHTAB_EXIST)
		return -EINVAL;
	return hashtab_update(table(map), key, value, flags, cpu);
}

static int hash_erase(struct ebpf_map *map, const void *key)
{
	return hashtab_delete(table(map), key);
}

static int hash_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	uint32_t elem = hashtab_find(table(map), key, NULL);

	(void)flags;
	if (!elem)
		return -ENOENT;
	hashtab_read_value(table(map), elem, value);
	return 0;
}

static int hash_next_key(struct ebpf_map *map, const void *key, void *next)
{
	return hashtab_next_key(table(map), key, next);
}

static int hash_lookup_and_erase(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	(void)flags;
	return hashtab_take(table(map), key, value);
}

static bool hash_next(struct ebpf_map *map, struct map_cursor *cursor)
{
	struct hashtab_pos pos;

	if (!hashtab_next(table(map), &cursor->at, &pos))
		return false;
	cursor->key = hashtab_key(table(map), pos.elem);
	cursor->value = hashtab_value(table(map), pos.elem);
	return true;
}

static uint32_t hash_read(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	return hashtab_read(table(map), cursor, keys, values, n);
}

static uint32_t hash_drain(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n)
{
	return hashtab_drain(table(map), cursor, keys, values, n);
}

static uint32_t hash_count(struct ebpf_map *map)
{
	return hashtab_count(table(map));
}

static int hash_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err);

static void hash_destroy(struct ebpf_map *map)
{
	hashtab_destroy(table(map));
	free(container_of(map, struct map_hash, map));
}

#define HASH_OPS(lookup_fn, update_fn)                                                                                 \
	.check = hash_check, .create = hash_create, .destroy = hash_destroy, .lookup = lookup_fn, .update = update_fn, \
	.erase = hash_erase, .next = hash_next, .user_lookup = hash_user_lookup, .user_update = update_fn,             \
	.next_key = hash_next_key, .lookup_and_erase = hash_lookup_and_erase, .read = hash_read, .drain = hash_drain,  \
	.count = hash_count, .inline_kind = MAP_INLINE_NONE

#define HASH_ROW(lookup_fn, update_fn) { .type = BPF_MAP_TYPE_HASH, .name = "hash", HASH_OPS(lookup_fn, update_fn) }
#define PERCPU_ROW(lookup_fn)                                                                                          \
	{ .type = BPF_MAP_TYPE_PERCPU_HASH,                                                                            \
	  .name = "percpu_hash",                                                                                       \
	  .update_cpu = hash_update_cpu,                                                                               \
	  HASH_OPS(lookup_fn, hash_update) }

const struct map_ops map_hash_ops = HASH_ROW(hash_lookup, hash_update);
const struct map_ops map_percpu_hash_ops = PERCPU_ROW(hash_lookup);

/* The rows of maps whose key size has functions of its own: 4, 8, 16. */
static const struct map_ops sized_ops[][3] = {
	{ HASH_ROW(hash_lookup_4, hash_update), HASH_ROW(hash_lookup_8, hash_update),
	  HASH_ROW(hash_lookup_16, hash_update) },
	{ PERCPU_ROW(hash_lookup_4), PERCPU_ROW(hash_lookup_8), PERCPU_ROW(hash_lookup_16) },
	{ HASH_ROW(hash_lookup_4, hash_update_small_4), HASH_ROW(hash_lookup_8, hash_update_small_8),
	  HASH_ROW(hash_lookup_16, hash_update_small_16) },
};

static const struct map_ops *hash_ops_for(const struct map_attr *attr, bool percpu)
{
	const struct map_ops *sized = sized_ops[percpu ? 1 : attr->value_size <= 8 ? 2 : 0];

	switch (attr->key_size) {
	case 4: return &sized[0];
	case 8: return &sized[1];
	case 16: return &sized[2];
	default: return percpu ? &map_percpu_hash_ops : &map_hash_ops;
	}
}

static int hash_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	bool percpu = attr->type == BPF_MAP_TYPE_PERCPU_HASH;
	const struct hashtab_config config = {
		.key_size = attr->key_size,
		.value_size = attr->value_size,
		.max_entries = attr->max_entries,
		.n_values = percpu ? ebpf_nr_vcpus() : 0,
		.zero_seed = attr->flags & BPF_F_ZERO_SEED,
	};
	struct map_hash *hash = calloc(1, sizeof(*hash));

	if (!hash || hashtab_create(&hash->table, &config)) {
		free(hash);
		return ebpf_fail(err, -ENOMEM, -1, "no address space for %u entries of %u + %u bytes",
				 attr->max_entries, attr->key_size, attr->value_size);
	}
	map_init(&hash->map, hash_ops_for(attr, percpu), attr);
	hash->map.user_value_size = hashtab_user_value_size(&hash->table);
	hash->map.cpu_stride = hash->table.cpu_stride;
	*out = &hash->map;
	return 0;
}
