/* What a BPF program in C needs: fixed-width types, SEC(), map definitions, helper calls.
 * Nothing else has to be included or installed:
 *
 *	clang -target bpf -O2 -g -mcpu=v3 -I $(include dir) -c prog.c
 *
 * Linux's headers may be used beside it; include them first. */
#pragma once

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

#include "bpf_types.h"

#include "bpf_helper_defs.h"

/* Places the definition in an ELF section; its name says what the program is: SEC("xdp"). */
#define SEC(name) __attribute__((section(name), used))

/* Members of a map definition in SEC(".maps"), which BTF carries to the loader:
 *
 *	struct {
 *		__uint(type, BPF_MAP_TYPE_HASH);
 *		__uint(max_entries, 1024);
 *		__type(key, __u32);
 *		__type(value, __u64);
 *	} counts SEC(".maps"); */
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __ulong(name, val) enum { ___bpf_concat(__unique_value, __COUNTER__) = val } name
#define ___bpf_concat(a, b) ___bpf_join(a, b)
#define ___bpf_join(a, b) a##b

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

enum libbpf_pin_type { LIBBPF_PIN_NONE, LIBBPF_PIN_BY_NAME };
enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

/* The oldest form of a map definition, SEC("maps"). */
struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

/* Hides a value from the optimiser, so that a check on it stays. */
#define barrier_var(var) asm volatile("" : "+r"(var))
#define barrier() asm volatile("" ::: "memory")

/* A line in trace_pipe; at most three arguments. */
#define bpf_printk(fmt, args...)                                                                   \
	({                                                                                         \
		static const char ____fmt[] = fmt;                                                 \
		bpf_trace_printk(____fmt, sizeof(____fmt), ##args);                                \
	})
