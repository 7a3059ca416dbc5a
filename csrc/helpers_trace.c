/* Helpers that print: into the trace pipe, or into memory. */
#define _GNU_SOURCE
#include "helpers.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bprintf.h"
#include "trace.h"

#define TRACE_PRINTK_ARGS 3
/* Linux's MAX_BPRINTF_VARARGS. */
#define MAX_VARARGS 12

/* A line as Linux's trace_pipe has it, without flags of interrupts. */
static void trace_line(const char *text, const struct ebpf_run *run)
{
	char line[TRACE_LINE_MAX], comm[16] = { 0 };
	struct timespec ts;
	int len;

	prctl(PR_GET_NAME, comm);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	len = snprintf(line, sizeof(line), "%16s-%-7ld [%03u] ..... %6lld.%06ld: bpf_trace_printk: %s", comm,
		       (long)syscall(SYS_gettid), run->vcpu->id, (long long)ts.tv_sec, ts.tv_nsec / 1000, text);
	trace_write(line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

static uint64_t trace_print(const char *fmt, size_t fmt_nbytes, const uint64_t *args, uint32_t n_args,
			    const struct ebpf_run *run)
{
	char text[TRACE_LINE_MAX];
	int len = ebpf_bprintf(text, sizeof(text), fmt, fmt_nbytes, args, n_args);

	if (len >= 0)
		trace_line(text, run);
	return (uint64_t)(int64_t)len;
}

/* trace_printk(format, nbytes, up to three arguments) */
EBPF_HELPER(trace_printk)
{
	uint64_t args[TRACE_PRINTK_ARGS] = { r3, r4, r5 };

	return trace_print(EBPF_PTR(r1), (uint32_t)r2, args, ARRAY_SIZE(args), run);
}

static bool bad_varargs(uint64_t data, uint32_t nbytes)
{
	return nbytes % 8 || nbytes / 8 > MAX_VARARGS || (nbytes && !data);
}

/* trace_vprintk(format, nbytes, arguments, nbytes) */
EBPF_HELPER(trace_vprintk)
{
	if (bad_varargs(r3, (uint32_t)r4))
		return EBPF_ERROR(EINVAL);
	return trace_print(EBPF_PTR(r1), (uint32_t)r2, EBPF_PTR(r3), (uint32_t)r4 / 8, run);
}

/* snprintf(buffer, nbytes, format, arguments, nbytes): the length with its NUL, written or not. */
EBPF_HELPER(snprintf)
{
	int len;

	if (bad_varargs(r4, (uint32_t)r5))
		return EBPF_ERROR(EINVAL);
	/* The format is a constant string of a read-only map: the verifier has found its end. */
	len = ebpf_bprintf(EBPF_PTR(r1), (uint32_t)r2, EBPF_PTR(r3), SIZE_MAX, EBPF_PTR(r4), (uint32_t)r5 / 8);
	return (uint64_t)(int64_t)(len < 0 ? len : len + 1);
}
