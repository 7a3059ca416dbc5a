/* Errors with a place. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int ebpf_fail(struct ebpf_error *err, int code, int64_t insn_idx, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	err->insn_idx = insn_idx;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}
