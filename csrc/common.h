/* Shared by every C file: attributes, checked sizes, alignment. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linux's "operation not supported", which bpf(2) lets through. */
#define EBPF_ENOTSUPP 524

#define EBPF_CACHELINE                  64
#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline size_t align_up(size_t n, size_t a)
{
	return (n + a - 1) & ~(a - 1);
}

/* n * size into *out; false when it does not fit. */
static inline bool mul_size(size_t n, size_t size, size_t *out)
{
	return !__builtin_mul_overflow(n, size, out);
}

/* In a spin: lets the other thread of the core run. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Zeroes a small struct whose size is a multiple of 16 in line: compilers like `rep stos` here, which starts slowly. */
static inline __attribute__((always_inline)) void zero_struct(void *struct_ptr, size_t nbytes)
{
	typedef uint64_t vector __attribute__((vector_size(16), aligned(8), may_alias));
	char *p = struct_ptr;

	for (size_t i = 0; i < nbytes; i += sizeof(vector)) {
		*(vector *)(void *)(p + i) = (vector){ 0, 0 };
		/* Keeps the loop from being recognised as memset. */
		__asm__ volatile("" : "+r"(p));
	}
}
