/* The trace pipe. */
#define _GNU_SOURCE
#include "trace.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RING_NBYTES (1u << 20)

/* A line in the ring: its length in two bytes, then its bytes, both wrapping around. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t some; /* on CLOCK_MONOTONIC from trace_once on */
	pthread_once_t once;
	uint64_t head, tail; /* bytes ever written, ever dropped or read */
	uint64_t lost;       /* lines, since the last read */
	uint8_t bytes[RING_NBYTES];
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static void fork_prepare(void)
{
	pthread_mutex_lock(&ring.lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&ring.lock);
}

static void trace_once(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ring.some, &attr);
	pthread_condattr_destroy(&attr);
	pthread_atfork(fork_prepare, fork_done, fork_done);
}

static void put(uint64_t at, const void *from, size_t nbytes)
{
	size_t start = at % RING_NBYTES, first = RING_NBYTES - start < nbytes ? RING_NBYTES - start : nbytes;

	memcpy(ring.bytes + start, from, first);
	memcpy(ring.bytes, (const uint8_t *)from + first, nbytes - first);
}

static void get(uint64_t at, void *to, size_t nbytes)
{
	size_t start = at % RING_NBYTES, first = RING_NBYTES - start < nbytes ? RING_NBYTES - start : nbytes;

	memcpy(to, ring.bytes + start, first);
	memcpy((uint8_t *)to + first, ring.bytes, nbytes - first);
}

void trace_write(const char *text, size_t nbytes)
{
	uint16_t len = (uint16_t)(nbytes < TRACE_LINE_MAX ? nbytes : TRACE_LINE_MAX), old;

	pthread_once(&ring.once, trace_once);
	pthread_mutex_lock(&ring.lock);
	while (RING_NBYTES - (ring.head - ring.tail) < sizeof(len) + len) {
		get(ring.tail, &old, sizeof(old));
		ring.tail += sizeof(old) + old;
		ring.lost++;
	}
	put(ring.head, &len, sizeof(len));
	put(ring.head + sizeof(len), text, len);
	ring.head += sizeof(len) + len;
	pthread_cond_signal(&ring.some);
	pthread_mutex_unlock(&ring.lock);
}

static struct timespec deadline(uint64_t timeout_ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	timeout_ns += (uint64_t)ts.tv_nsec;
	ts.tv_sec += (time_t)(timeout_ns / 1000000000);
	ts.tv_nsec = (long)(timeout_ns % 1000000000);
	return ts;
}

size_t trace_read(char *buf, uint64_t timeout_ns)
{
	struct timespec until = deadline(timeout_ns);
	uint16_t len = 0;
	int rc = 0;

	pthread_once(&ring.once, trace_once);
	pthread_mutex_lock(&ring.lock);
	while (ring.head == ring.tail && !rc)
		rc = pthread_cond_timedwait(&ring.some, &ring.lock, &until);
	if (ring.lost) {
		/* Linux's words; our ring is one for all. */
		len =
		    (uint16_t)snprintf(buf, TRACE_LINE_MAX, "CPU:0 [LOST %llu EVENTS]", (unsigned long long)ring.lost);
		ring.lost = 0;
	} else if (ring.head != ring.tail) {
		get(ring.tail, &len, sizeof(len));
		get(ring.tail + sizeof(len), buf, len);
		ring.tail += sizeof(len) + len;
	}
	pthread_mutex_unlock(&ring.lock);
	return len;
}
