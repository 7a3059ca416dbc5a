/* STACK_TRACE: call stacks by the hash of their addresses. */
#pragma once

#include "map.h"

extern const struct map_ops map_stack_ops;

#define STACK_SKIP_MASK     0xffu
#define STACK_USER          256u
#define STACK_FAST_CMP      512u
#define STACK_REUSE_STACKID 1024u

/* The id of the stack ips[0..n), innermost first; it is stored when it is new.
 * -EINVAL: unknown flags; -EFAULT: nothing left after the skipped frames; -EEXIST: the id has another stack and
 * STACK_REUSE_STACKID is not set. */
int64_t map_stack_id(struct ebpf_map *map, const uint64_t *ips, uint32_t n, uint64_t flags);
