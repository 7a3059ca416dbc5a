/* What instructions compute where C leaves it undefined, unaligned or different (RFC 9669, 4 and 5). */
#pragma once

#include "common.h"

/* Memory of a program may be unaligned and of any type. */
typedef uint8_t any_u8;
typedef uint16_t __attribute__((aligned(1), may_alias)) any_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) any_u64;
/* Atomics are on aligned memory: the verifier sees to it, and x86 forgives the rest. */
typedef uint8_t shared_u8;
typedef uint16_t __attribute__((may_alias)) shared_u16;
typedef uint32_t __attribute__((may_alias)) shared_u32;
typedef uint64_t __attribute__((may_alias)) shared_u64;

/* Division by zero gives 0, modulo by zero the dividend; the smallest number divided by -1 gives itself, rest 0. */
#define DEFINE_DIVISION(bits)                                                                                          \
	static inline uint##bits##_t div##bits(uint##bits##_t a, uint##bits##_t b)                                     \
	{                                                                                                              \
		return b ? a / b : 0;                                                                                  \
	}                                                                                                              \
	static inline uint##bits##_t mod##bits(uint##bits##_t a, uint##bits##_t b)                                     \
	{                                                                                                              \
		return b ? a % b : a;                                                                                  \
	}                                                                                                              \
	static inline uint##bits##_t sdiv##bits(uint##bits##_t a, uint##bits##_t b)                                    \
	{                                                                                                              \
		int##bits##_t n = (int##bits##_t)a, d = (int##bits##_t)b;                                              \
                                                                                                                       \
		return d == 0 ? 0 : d == -1 ? 0 - a : (uint##bits##_t)(n / d);                                         \
	}                                                                                                              \
	static inline uint##bits##_t smod##bits(uint##bits##_t a, uint##bits##_t b)                                    \
	{                                                                                                              \
		int##bits##_t n = (int##bits##_t)a, d = (int##bits##_t)b;                                              \
                                                                                                                       \
		return d == 0 ? a : d == -1 ? 0 : (uint##bits##_t)(n % d);                                             \
	}                                                                                                              \
	static inline uint##bits##_t arsh##bits(uint##bits##_t a, uint##bits##_t n)                                    \
	{                                                                                                              \
		return (uint##bits##_t)((int##bits##_t)a >> (n & (bits - 1)));                                         \
	}
DEFINE_DIVISION(32)
DEFINE_DIVISION(64)
#undef DEFINE_DIVISION
