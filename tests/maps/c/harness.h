/* What the stress programs share: threads that run until a deadline, a generator, checks that abort. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "epoch.h"
#include "hashtab.h"
#include "words.h"

#define CHECK(cond, ...)                                                                                               \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                                      \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fputc('\n', stderr);                                                                           \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#define MAX_THREADS 16

struct worker {
	pthread_t thread;
	int id;
	uint64_t rng;
	uint64_t ops;
	void *arg;
};

static bool stop_flag; /* atomic */

static inline bool stopped(void)
{
	return __atomic_load_n(&stop_flag, __ATOMIC_ACQUIRE);
}

static inline uint64_t rnd(struct worker *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

static inline void workers_start(struct worker *w, int n, int first_id, void *(*fn)(void *), void *arg)
{
	for (int i = 0; i < n; i++) {
		w[i] = (struct worker){ .id = first_id + i, .rng = 0x9e3779b97f4a7c15u * (uint64_t)(first_id + i + 1), .arg = arg };
		CHECK(pthread_create(&w[i].thread, NULL, fn, &w[i]) == 0, "thread %d", i);
	}
}

static inline uint64_t workers_join(struct worker *w, int n)
{
	uint64_t ops = 0;

	for (int i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		ops += w[i].ops;
	}
	return ops;
}

static inline void run_for(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&ts, NULL);
	__atomic_store_n(&stop_flag, true, __ATOMIC_RELEASE);
}

static inline double seconds_arg(int argc, char **argv)
{
	return argc > 1 ? atof(argv[1]) : 1.0;
}
