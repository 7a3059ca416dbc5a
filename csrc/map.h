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

/* A walk over a map: all zero at first. */
struct map_cursor {
	uint64_t at;     /* the type's own: where to go on */
	uint32_t index;  /* what key points to, where keys are indices */
	const void *key; /* of the present entry, good until the walk goes on or the epoch is left */
	void *value;     /* of the present entry; per-CPU: vCPU 0's, the others cpu_stride apart */
};

struct map_ops {
	uint32_t type;
	const char *name;
	/* 0, or -EINVAL, -E2BIG as Linux's MAP_CREATE gives. */
	int (*check)(const struct map_attr *attr, struct ebpf_error *err);
	/* -ENOMEM; on success *out has one reference. */
	int (*create)(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err);
	void (*destroy)(struct ebpf_map *map);

	/* Program side.  lookup: the value (per-CPU: vCPU 0's, the others cpu_stride apart), or NULL; of a PROG_ARRAY
	 * the struct ebpf_prog itself.  update, erase, push, pop, peek: 0 or -errno. */
	void *(*lookup)(struct ebpf_map *map, const void *key);
	int (*update)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
	int (*erase)(struct ebpf_map *map, const void *key);
	/* Per-CPU types, instead of update: sets this vCPU's value; of a new entry the others are zero. */
	int (*update_cpu)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags, uint32_t cpu);
	/* Goes to the next entry, false at the end: an entry that is there all along is met exactly once.  NULL where
	 * Linux has no for_each_map_elem. */
	bool (*next)(struct ebpf_map *map, struct map_cursor *cursor);

	/* User side.  next_key: key NULL asks for the first; -ENOENT after the last. */
	int (*user_lookup)(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
	int (*user_update)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
	int (*next_key)(struct ebpf_map *map, const void *key, void *next);
	int (*lookup_and_erase)(struct ebpf_map *map, const void *key, void *value, uint64_t flags);

	/* Copies up to n entries out, packed; the number, 0 at the end.  NULL: by next. */
	uint32_t (*read)(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n);
	/* As read, and removes them.  NULL: not for this type. */
	uint32_t (*drain)(struct ebpf_map *map, uint64_t *cursor, void *keys, void *values, uint32_t n);
	/* Entries now; NULL: max_entries. */
	uint32_t (*count)(struct ebpf_map *map);
	/* The last user reference is gone: lets go of what could hold the map in turn.  NULL: nothing to do. */
	void (*user_release)(struct ebpf_map *map);

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
	uint64_t cpu_stride; /* bytes from one vCPU's value to the next one's; 0: one value for all */
	uint32_t refs;       /* atomic: map_get / map_put; destroyed at 0 after a grace period */
	bool frozen;         /* atomic: no more writes from the user side */
	char name[EBPF_OBJ_NAME_LEN];
};

/* How the JIT may inline a lookup (map_ops.inline_kind). */
enum map_inline {
	MAP_INLINE_NONE,  /* call ops->lookup(map, key) */
	MAP_INLINE_ARRAY, /* map_array.h; per-CPU: add cpu * cpu_stride */
};

/* Every map lock, ref count and table is used through these.  -EINVAL for a type that has no ops. */
int map_create(const struct map_attr *attr, struct ebpf_map **out, struct ebpf_error *err);
void map_get(struct ebpf_map *map);
void map_put(struct ebpf_map *map);
/* For create: fills the head from the attributes, with one reference. */
void map_init(struct ebpf_map *map, const struct map_ops *ops, const struct map_attr *attr);

/* bpf(2)'s side, from outside any epoch; errors as Linux gives them for any flags and a frozen map (-EPERM).
 * -EAGAIN only in nowait mode (epoch.h). */
int map_user_lookup(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
int map_user_update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
int map_user_erase(struct ebpf_map *map, const void *key);
int map_user_next_key(struct ebpf_map *map, const void *key, void *next);
int map_user_lookup_and_erase(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
int map_user_freeze(struct ebpf_map *map);
