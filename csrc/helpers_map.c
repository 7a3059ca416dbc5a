/* Helpers on maps.  r1 is the map itself (decode.h resolves references); a run is inside an epoch, so what a
 * lookup finds stays until the run ends. */
#include "helpers.h"
#include "map.h"
#include "map_stack.h"
#include "stack.h"

static struct ebpf_map *map_of(uint64_t r1)
{
	return (struct ebpf_map *)(uintptr_t)r1;
}

static const void *mem_of(uint64_t reg)
{
	return (const void *)(uintptr_t)reg;
}

static uint64_t value_at(const struct ebpf_map *map, void *first, uint32_t cpu)
{
	return first ? (uint64_t)(uintptr_t)first + cpu * map->cpu_stride : 0;
}

uint64_t helper_map_lookup_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run)
{
	struct ebpf_map *map = map_of(r1);

	(void)r3, (void)r4, (void)r5;
	return value_at(map, map->ops->lookup(map, mem_of(r2)), run->vcpu->id);
}

uint64_t helper_map_update_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run)
{
	struct ebpf_map *map = map_of(r1);
	int rc;

	(void)r5;
	if (map->ops->update_cpu)
		rc = map->ops->update_cpu(map, mem_of(r2), mem_of(r3), r4, run->vcpu->id);
	else
		rc = map->ops->update(map, mem_of(r2), mem_of(r3), r4);
	return (uint64_t)(int64_t)rc;
}

uint64_t helper_map_delete_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run)
{
	struct ebpf_map *map = map_of(r1);

	(void)r3, (void)r4, (void)r5, (void)run;
	return (uint64_t)(int64_t)map->ops->erase(map, mem_of(r2));
}

uint64_t helper_map_lookup_percpu_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
				       struct ebpf_run *run)
{
	struct ebpf_map *map = map_of(r1);

	(void)r4, (void)r5, (void)run;
	if ((uint32_t)r3 >= ebpf_nr_vcpus())
		return 0;
	return value_at(map, map->ops->lookup(map, mem_of(r2)), (uint32_t)r3);
}

/* Calls callback(map, key, value, ctx) on every entry until it returns 1; the number of calls, or -EINVAL. */
uint64_t helper_for_each_map_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run)
{
	struct ebpf_map *map = map_of(r1);
	struct map_cursor cursor = { 0 };
	uint64_t n = 0, stop = 0;

	(void)r5;
	if (r4 || !map->ops->next)
		return (uint64_t)-EINVAL;
	while (!stop && map->ops->next(map, &cursor)) {
		n++;
		stop = ebpf_call_function(run, r2, r1, (uint64_t)(uintptr_t)cursor.key,
					  value_at(map, cursor.value, run->vcpu->id), r3, 0);
		if (run->error)
			break;
	}
	return n;
}

/* The stack that the event's source gave, else the one from which the run was started. */
uint64_t helper_get_stackid(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct ebpf_run *run)
{
	uint64_t ips[STACK_MAX_DEPTH];
	uint32_t n;

	(void)r1, (void)r4, (void)r5;
	if (run->ips && !(r3 & STACK_USER))
		return (uint64_t)map_stack_id(map_of(r2), run->ips, run->n_ips, r3);
	n = stack_walk(ips, STACK_MAX_DEPTH);
	return (uint64_t)map_stack_id(map_of(r2), ips, n, r3);
}
