/* The trace pipe: lines that programs print, in order, until somebody reads them.
 *
 * One ring of lines under a lock held only to copy one.  When it is full the oldest go, and the reader is told how
 * many were lost, as Linux's pipe does.
 */
#pragma once

#include "common.h"

#define TRACE_LINE_MAX 1024

/* Any thread, in a run or not; text without NUL or end of line. */
void trace_write(const char *text, size_t nbytes);

/* The next line into buf (at least TRACE_LINE_MAX bytes), its length; 0 after timeout_ns without one.  Where lines
 * were lost, a line that says how many. */
size_t trace_read(char *buf, uint64_t timeout_ns);
