/* The native call stack of the running thread, by the unwinder of the C library. */
#define _GNU_SOURCE
#include "stack.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>

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

const uint64_t *stack_of_thread(uint32_t *n)
{
	static _Thread_local uint64_t ips[STACK_MAX_DEPTH];

	*n = stack_walk(ips, STACK_MAX_DEPTH);
	return ips;
}

void stack_symbol(uint64_t ip, char *out, size_t nbytes)
{
	Dl_info info;
	const char *file;

	if (!dladdr((void *)(uintptr_t)ip, &info) || !info.dli_fname) {
		snprintf(out, nbytes, "%#llx", (unsigned long long)ip);
		return;
	}
	if (info.dli_sname) {
		snprintf(out, nbytes, "%s+%#llx", info.dli_sname,
			 (unsigned long long)(ip - (uint64_t)(uintptr_t)info.dli_saddr));
		return;
	}
	file = strrchr(info.dli_fname, '/');
	snprintf(out, nbytes, "%s+%#llx", file ? file + 1 : info.dli_fname,
		 (unsigned long long)(ip - (uint64_t)(uintptr_t)info.dli_fbase));
}
