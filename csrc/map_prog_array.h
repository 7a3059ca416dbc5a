/* PROG_ARRAY: references to programs, for tail calls. */
#pragma once

#include "map.h"

struct ebpf_prog;

extern const struct map_ops map_prog_array_ops;

/* Whether prog may be put into the array, or may tail-call through it: of the type and engine of the first
 * program that did either (Linux: bpf_prog_map_compatible). */
bool prog_array_compatible(struct ebpf_map *map, const struct ebpf_prog *prog);

/* Puts prog in, with a reference; id is what a user lookup shows.  Runs that have found the old one go on with it.
 * 0, or -EINVAL: flags other than BPF_ANY, not compatible; -E2BIG: no such index; -EPERM: frozen. */
int prog_array_set(struct ebpf_map *map, uint32_t index, struct ebpf_prog *prog, uint32_t id, uint64_t flags);

/* The program at index, or NULL; good until the caller leaves its epoch. */
struct ebpf_prog *prog_array_get(struct ebpf_map *map, uint32_t index);
