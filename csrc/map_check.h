/* What Linux's MAP_CREATE checks of every map type alike. */
#pragma once

#include "map.h"

#define MAP_ACCESS_FLAGS (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
/* The most a per-CPU value may have (Linux: PCPU_MIN_UNIT_SIZE). */
#define MAP_PERCPU_VALUE_MAX (32u << 10)

/* 0, or -EINVAL when a flag outside `allowed` is set, or one side could neither read nor write. */
static inline int map_check_flags(const struct map_attr *attr, uint32_t allowed, struct ebpf_error *err)
{
	const uint32_t both = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, user = BPF_F_RDONLY | BPF_F_WRONLY;

	if (attr->flags & ~allowed)
		return ebpf_fail(err, -EINVAL, -1, "map type %u: flags %#x are not allowed, of %#x", attr->type,
				 attr->flags & ~allowed, attr->flags);
	if ((attr->flags & both) == both)
		return ebpf_fail(err, -EINVAL, -1, "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other");
	if ((attr->flags & user) == user)
		return ebpf_fail(err, -EINVAL, -1, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other");
	return 0;
}

static inline int map_check_percpu(const struct map_attr *attr, struct ebpf_error *err)
{
	if (attr->flags & BPF_F_NUMA_NODE)
		return ebpf_fail(err, -EINVAL, -1, "BPF_F_NUMA_NODE is not for per-CPU maps");
	if (align_up(attr->value_size, 8) > MAP_PERCPU_VALUE_MAX)
		return ebpf_fail(err, -E2BIG, -1, "value_size %u: a per-CPU value has at most %u bytes",
				 attr->value_size, MAP_PERCPU_VALUE_MAX);
	return 0;
}
