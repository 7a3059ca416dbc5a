/* The native call stack of the running thread. */
#pragma once

#include "common.h"

/* As Linux's sysctl_perf_event_max_stack. */
#define STACK_MAX_DEPTH 127

/* Return addresses, innermost first, without this function's own; their number.  Walks by unwind tables, so it
 * ends at code that has none (a JIT's): take it before the program is entered. */
uint32_t stack_walk(uint64_t *ips, uint32_t max);
/* Loads what the first walk would load, so that no walk allocates inside a run. */
void stack_prepare(void);
/* A walk into a buffer of the thread, good until its next one. */
const uint64_t *stack_of_thread(uint32_t *n);

/* "function+0x12", "file.so+0x1234" where no symbol is known, "0x..." where nothing is; NUL-terminated. */
void stack_symbol(uint64_t ip, char *out, size_t nbytes);
