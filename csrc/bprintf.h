/* Formatting as Linux's bpf_trace_printk and bpf_snprintf do it. */
#pragma once

#include "common.h"

/* Formats like snprintf: the length the text would have, buf NUL-terminated when size > 0.  fmt has fmt_nbytes
 * bytes, a NUL among them; each conversion takes one of the n_args 64-bit arguments, strings by their address.
 * -EINVAL for a format that Linux refuses, more conversions than arguments among them. */
int ebpf_bprintf(char *buf, size_t size, const char *fmt, size_t fmt_nbytes, const uint64_t *args, uint32_t n_args);
