/* The map interface: struct map_ops, one row a map type; everything else sees maps through it.
 *
 * Every call is made inside an epoch (runtime.h).  Values that lookup returns stay readable and writable until
 * the caller leaves its epoch.  "user" calls are bpf(2)'s side: a per-CPU value is then all vCPUs' values, each
 * rounded up to 8 bytes, in vCPU order.
 */
#pragma once

#include "common.h"
#include "error.h"
#include "gen/kinds.h"

struct ebpf_map;
struct ebpf_run;

struct map_attr {
	uint32_t type;
	uint32_t key_size;   /* bytes */
	uint32_t value_size; /* bytes */
	uint32_t max_entries;
	uint32_t flags; /* BPF_F_* of MAP_CREATE */
	uint64_t extra; /* map_extra */
	char name[EBPF_OBJ_NAME_LEN];
};

struct map_ops {
	uint32_t type;
	const char *name;
	/* 0, or -EINVAL, -E2BIG as Linux's MAP_CREATE gives. */
	int (*check)(const struct map_attr *attr, struct ebpf_error *err);
	/* -ENOMEM; on success *out has one reference. */
	int (*create)(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err);
	void (*destroy)(struct ebpf_map *map);

	/* Program side.  lookup: the value, or NULL; of a PROG_ARRAY the struct ebpf_prog itself.  update, erase, push,
	 * pop, peek: 0 or -errno. */
	void *(*lookup)(struct ebpf_map *map, const void *key);
	int (*update)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
	int (*erase)(struct ebpf_map *map, const void *key);

	/* User side.  next_key: key NULL asks for the first; -ENOENT after the last. */
	int (*user_lookup)(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
	int (*user_update)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
	int (*next_key)(struct ebpf_map *map, const void *key, void *next);
	int (*lookup_and_erase)(struct ebpf_map *map, const void *key, void *value, uint64_t flags);

	/* Of types whose values a program may address directly (LD_MAP_IDX_VALUE), else NULL: the address of byte off
	 * of the first value; -EINVAL when it lies outside. It is good as long as the map lives. */
	int (*direct_value)(struct ebpf_map *map, uint32_t off, uint64_t *addr);

	/* For the JIT: how a lookup may be inlined (jit reads the layout from map_array.h, hashtab.h). */
	uint32_t inline_kind;
};

/* The head of every map; a type's own struct begins with it. */
struct ebpf_map {
	const struct map_ops *ops;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t flags;
	uint32_t type;
	uint32_t user_value_size; /* bytes of a value on the user side */
	uint64_t extra;
	uint32_t refs; /* atomic: map_get / map_put; destroyed at 0 after a grace period */
	bool frozen;   /* atomic: no more writes from the user side */
	char name[EBPF_OBJ_NAME_LEN];
};

/* -EINVAL for a type that has no ops. */
int map_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err);
void map_get(struct ebpf_map *map);
void map_put(struct ebpf_map *map);
