/* A pump: a native thread that drains an event source into a program, without the GIL.
 *
 * The source says which descriptors to poll and how to drain them; the pump owns the thread and the program
 * reference.  Stopping drains what the descriptors hold at that moment, then joins.
 */
#pragma once

#include "prog.h"

struct pump_stats {
	uint64_t events; /* records the program ran on */
	uint64_t kept;   /* of those, with a return value other than 0 */
	uint64_t lost;   /* records the kernel reports it could not hand over */
	uint64_t failed; /* runs that ended early with an error */
};

struct event_source;

struct event_source_ops {
	/* Runs `prog` on what is there; *idle is set when nothing is left.  0 or -errno, which ends the pump. */
	int (*drain)(struct event_source *source, struct ebpf_prog *prog, bool *idle);
	void (*destroy)(struct event_source *source);
};

/* The head of every source. */
struct event_source {
	const struct event_source_ops *ops;
	const int *fds; /* readable when there is something to drain */
	uint32_t n_fds;
	int tick_ms;             /* drain at least so often, or -1 */
	struct pump_stats stats; /* written by the pump's thread alone, relaxed atomics */
};

/* Adds to a statistic that other threads read. */
static inline void pump_count(uint64_t *counter, uint64_t n)
{
	/* One writer; relaxed pairs with the relaxed load in pump_stats_read: a count orders nothing. */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

struct ebpf_pump;

/* Takes over `source` (also on failure) and a reference to `prog`.  -ENOMEM, -EAGAIN: no thread. */
int pump_start(struct event_source *source, struct ebpf_prog *prog, struct ebpf_pump **out, struct ebpf_error *err);

/* Drains what the source holds and joins the thread; never call it with the GIL held.  Statistics and the error
 * stay readable until pump_free. */
void pump_stop(struct ebpf_pump *pump);
void pump_free(struct ebpf_pump *pump);

/* From the next batch on, records go to `prog`; none is lost between.  Waits for the batch under way: never call it
 * with the GIL held. */
void pump_replace(struct ebpf_pump *pump, struct ebpf_prog *prog);

/* The -errno that ended the thread, 0 while it lives. */
int pump_error(const struct ebpf_pump *pump);
void pump_stats_read(const struct ebpf_pump *pump, struct pump_stats *out);
