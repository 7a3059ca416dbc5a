/* STACK_TRACE: one bucket an id, each under its own lock for the length of a copy (at most 1 KiB): nobody holds a
 * pointer into it, since programs cannot look these maps up. */
#include "map_stack.h"

#include <stdlib.h>

#include "alloc.h"
#include "hash.h"
#include "lock.h"
#include "map_array.h"
#include "map_check.h"
#include "stack.h"

#define STACK_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

struct stack_bucket {
	uint16_t lock;
	uint16_t used;
	uint32_t n; /* ips */
	uint64_t hash;
	uint64_t ips[];
};

struct map_stack {
	struct ebpf_map map;
	uint32_t n_buckets; /* a power of two */
	size_t step;
	struct region region;
};

static struct map_stack *stacks(struct ebpf_map *map)
{
	return container_of(map, struct map_stack, map);
}

static struct stack_bucket *stack_bucket(struct ebpf_map *map, uint32_t id)
{
	return (struct stack_bucket *)(void *)(stacks(map)->region.base + id * stacks(map)->step);
}

/* Its writer stayed in the parent of a fork: what it left is half a stack. */
static void stack_lock(struct stack_bucket *bucket)
{
	if (lock_acquire(&bucket->lock))
		bucket->used = 0;
}

static int stack_check(const struct map_attr *attr, struct ebpf_error *err)
{
	int rc = map_check_flags(attr, STACK_FLAGS, err);

	if (rc)
		return rc;
	if (!attr->max_entries || attr->key_size != 4 || attr->value_size < 8 || attr->value_size % 8 ||
	    attr->value_size / 8 > STACK_MAX_DEPTH)
		return ebpf_fail(
		    err, -EINVAL, -1,
		    "max_entries %u, key_size %u, value_size %u: want > 0, 4, 8 bytes for each of 1 to %d frames",
		    attr->max_entries, attr->key_size, attr->value_size, STACK_MAX_DEPTH);
	if (attr->max_entries > 1u << 31)
		return ebpf_fail(err, -E2BIG, -1, "max_entries %u: at most %u", attr->max_entries, 1u << 31);
	return 0;
}

static int stack_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err)
{
	struct map_stack *stack = calloc(1, sizeof(*stack));
	uint32_t n = 1;

	while (n < attr->max_entries)
		n *= 2;
	if (stack) {
		stack->n_buckets = n;
		stack->step = sizeof(struct stack_bucket) + attr->value_size;
	}
	if (!stack || region_reserve(&stack->region, n * stack->step)) {
		free(stack);
		return ebpf_fail(err, -ENOMEM, -1, "no address space for %u stacks", n);
	}
	map_init(&stack->map, &map_stack_ops, attr);
	stack_prepare();
	*out = &stack->map;
	return 0;
}

static void stack_destroy(struct ebpf_map *map)
{
	region_release(&stacks(map)->region);
	free(stacks(map));
}

int64_t map_stack_id(struct ebpf_map *map, const uint64_t *ips, uint32_t n, uint64_t flags)
{
	static const struct hash_seed seed;
	uint32_t skip = (uint32_t)flags & STACK_SKIP_MASK, depth = map->value_size / 8;
	struct stack_bucket *bucket;
	uint64_t hash;
	uint32_t id;
	int64_t rc;

	if (flags & ~(uint64_t)(STACK_SKIP_MASK | STACK_USER | STACK_FAST_CMP | STACK_REUSE_STACKID))
		return -EINVAL;
	if (n <= skip)
		return -EFAULT;
	ips += skip;
	n = n - skip < depth ? n - skip : depth;
	hash = hash_bytes(&seed, ips, n * sizeof(*ips));
	id = (uint32_t)(hash >> 32) & (stacks(map)->n_buckets - 1);
	bucket = stack_bucket(map, id);
	stack_lock(bucket);
	rc = id;
	if (bucket->used && bucket->hash == hash &&
	    (flags & STACK_FAST_CMP || (bucket->n == n && !memcmp(bucket->ips, ips, n * sizeof(*ips)))))
		goto out;
	if (bucket->used && !(flags & STACK_REUSE_STACKID)) {
		rc = -EEXIST;
		goto out;
	}
	bucket->used = 1;
	bucket->n = n;
	bucket->hash = hash;
	memcpy(bucket->ips, ips, n * sizeof(*ips));
out:
	lock_release(&bucket->lock);
	return rc;
}

static void *stack_lookup(struct ebpf_map *map, const void *key)
{
	(void)map, (void)key;
	return NULL;
}

static int stack_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
	(void)map, (void)key, (void)value, (void)flags;
	return -EINVAL;
}

/* Empties the bucket too when `take`. */
static int stack_copy(struct ebpf_map *map, const void *key, char *value, bool take)
{
	uint32_t id = map_index(key);
	struct stack_bucket *bucket;
	int rc = 0;

	if (id >= stacks(map)->n_buckets)
		return -ENOENT;
	bucket = stack_bucket(map, id);
	stack_lock(bucket);
	if (bucket->used) {
		memset(value, 0, map->value_size);
		memcpy(value, bucket->ips, bucket->n * sizeof(uint64_t));
		if (take)
			bucket->used = 0;
	} else {
		rc = -ENOENT;
	}
	lock_release(&bucket->lock);
	return rc;
}

static int stack_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	(void)flags;
	return stack_copy(map, key, value, false);
}

static int stack_lookup_and_erase(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
	(void)flags;
	return stack_copy(map, key, value, true);
}

static int stack_erase(struct ebpf_map *map, const void *key)
{
	uint32_t id = map_index(key);
	struct stack_bucket *bucket;
	bool used;

	if (id >= stacks(map)->n_buckets)
		return -E2BIG;
	bucket = stack_bucket(map, id);
	stack_lock(bucket);
	used = bucket->used;
	bucket->used = 0;
	lock_release(&bucket->lock);
	return used ? 0 : -ENOENT;
}

static bool stack_used(struct ebpf_map *map, uint32_t id)
{
	struct stack_bucket *bucket = stack_bucket(map, id);
	bool used;

	stack_lock(bucket);
	used = bucket->used;
	lock_release(&bucket->lock);
	return used;
}

static int stack_next_key(struct ebpf_map *map, const void *key, void *next)
{
	uint32_t n = stacks(map)->n_buckets;
	uint32_t id = key && map_index(key) < n ? map_index(key) + 1 : 0;

	while (id < n && !stack_used(map, id))
		id++;
	if (id >= n)
		return -ENOENT;
	memcpy(next, &id, sizeof(id));
	return 0;
}

const struct map_ops map_stack_ops = {
	.type = BPF_MAP_TYPE_STACK_TRACE,
	.name = "stack_trace",
	.check = stack_check,
	.create = stack_create,
	.destroy = stack_destroy,
	.lookup = stack_lookup,
	.update = stack_update,
	.erase = stack_erase,
	.user_lookup = stack_user_lookup,
	.user_update = stack_update,
	.next_key = stack_next_key,
	.lookup_and_erase = stack_lookup_and_erase,
};
