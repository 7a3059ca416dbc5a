/* The native call stack of the running thread, by the unwinder of the C library. */
#include "stack.h"

#include <execinfo.h>

__attribute__((noinline)) uint32_t stack_walk(uint64_t *ips, uint32_t max)
{
	void *frames[STACK_MAX_DEPTH + 1];
	int n = backtrace(frames, STACK_MAX_DEPTH + 1);
	uint32_t done = 0;

	for (int i = 1; i < n && done < max; i++)
		ips[done++] = (uint64_t)(uintptr_t)frames[i];
	return done;
}

void stack_prepare(void)
{
	uint64_t ip;

	stack_walk(&ip, 1);
}
