/* Runs, batches, tail calls, callbacks and the trace pipe on more threads than there are vCPUs, while programs come
 * and go: per-CPU values add up to the runs made, so every run had its vCPU to itself. */
#include "harness.h"

#include <unistd.h>

#include "batch.h"
#include "map.h"
#include "map_prog_array.h"
#include "packet.h"
#include "prog.h"
#include "trace.h"

#define INSN(code, d, s, o, i) ((struct ebpf_insn){ .opcode = (code), .dst = (d), .src = (s), .off = (o), .imm = (i) })
#define LD_MAP(d, idx)         INSN(0x18, d, 5, 0, idx), INSN(0, 0, 0, 0, 0)
#define EXIT                   INSN(0x95, 0, 0, 0, 0)
#define CALL(id)               INSN(0x85, 0, 0, 0, id)

static struct ebpf_map *counts, *programs;

/* r0 = value of this vCPU; (*r0)++; tail call entry 0 of the array; return 0 */
static const struct ebpf_insn counter[] = {
	INSN(0xbf, 6, 1, 0, 0),                         /* r6 = r1 */
	INSN(0x62, 10, 0, -4, 0),                       /* *(u32 *)(r10 - 4) = 0 */
	INSN(0xbf, 2, 10, 0, 0), INSN(0x07, 2, 0, 0, -4), /* r2 = r10 - 4 */
	LD_MAP(1, 0), CALL(1),                          /* map_lookup_elem */
	INSN(0x15, 0, 0, 3, 0),                         /* if r0 == 0 goto +3 */
	INSN(0x79, 1, 0, 0, 0), INSN(0x07, 1, 0, 0, 1), INSN(0x7b, 0, 1, 0, 0),
	INSN(0xbf, 1, 6, 0, 0), LD_MAP(2, 1), INSN(0xb7, 3, 0, 0, 0), CALL(12), /* tail_call */
	INSN(0xb7, 0, 0, 0, 0), EXIT,
};

/* Ten turns of a callback, then one line for the trace pipe. */
static const struct ebpf_insn target[] = {
	INSN(0xb7, 1, 0, 0, 10), INSN(0x18, 2, 4, 0, 11), INSN(0, 0, 0, 0, 0), INSN(0xb7, 3, 0, 0, 0),
	INSN(0xb7, 4, 0, 0, 0), CALL(181),                                   /* loop */
	INSN(0x62, 10, 0, -8, 0x6968), INSN(0xbf, 1, 10, 0, 0), INSN(0x07, 1, 0, 0, -8),
	INSN(0xb7, 2, 0, 0, 4), CALL(6),                                     /* trace_printk("hi") */
	INSN(0xb7, 0, 0, 0, 1), EXIT,
	INSN(0xb7, 0, 0, 0, 0), EXIT,
};

static struct ebpf_map *make_map(uint32_t type, uint32_t value_size)
{
	struct map_attr attr = { .type = type, .key_size = 4, .value_size = value_size, .max_entries = 1 };
	struct ebpf_error err = { 0 };
	struct ebpf_map *map;

	CHECK(map_create(&attr, &map, &err) == 0, "%s", err.text);
	return map;
}

static struct ebpf_prog *make_prog(const struct ebpf_insn *insns, uint32_t n, enum ebpf_engine engine)
{
	struct ebpf_map *maps[] = { counts, programs };
	struct ebpf_prog_desc desc = { .insns = insns, .n_insns = n, .maps = maps, .n_maps = 2, .type = BPF_PROG_TYPE_XDP };
	struct ebpf_error err = { 0 };
	struct ebpf_prog *prog;

	CHECK(prog_create(&desc, engine, &prog, &err) == 0, "%s", err.text);
	return prog;
}

static void *runner(void *arg)
{
	struct worker *w = arg;
	struct ebpf_prog *prog = w->arg;
	uint8_t packets[64 * 64] = { 0 };
	struct prog_batch batch = { .base = packets, .stride = 64, .row = 64, .n = 64 };
	uint64_t retval, failed;

	while (!stopped()) {
		if (rnd(w) % 2) {
			CHECK(prog_run_batch(prog, &batch, 1 + (uint32_t)(rnd(w) % 2), &failed) == 0, "event %lu", failed);
			w->ops += batch.n;
		} else {
			CHECK(prog_run_packet(prog, packets, 64, true, &retval) == 0 && retval <= 1, "%lu", retval);
			w->ops++;
		}
	}
	return NULL;
}

static void *changer(void *arg)
{
	struct worker *w = arg;
	uint32_t key = 0;

	while (!stopped()) {
		struct ebpf_prog *prog = make_prog(target, ARRAY_SIZE(target), EBPF_ENGINE_INTERP);

		CHECK(prog_array_set(programs, key, prog, 1, 0) == 0, "set");
		prog_put(prog);
		usleep(200);
		if (rnd(w) % 2)
			map_user_erase(programs, &key);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct worker *w = arg;
	char line[TRACE_LINE_MAX];

	while (!stopped())
		w->ops += trace_read(line, 1000000) != 0;
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	struct worker runners[6], others[2];
	struct ebpf_prog *prog;
	uint64_t values[EBPF_MAX_VCPUS] = { 0 }, sum = 0, runs;
	uint32_t key = 0;

	counts = make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 8);
	programs = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4);
	prog = make_prog(counter, ARRAY_SIZE(counter), EBPF_ENGINE_INTERP);
	workers_start(runners, 6, 0, runner, prog);
	workers_start(&others[0], 1, 6, changer, NULL);
	workers_start(&others[1], 1, 7, reader, NULL);
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(&stop_flag, true, __ATOMIC_RELEASE);
	runs = workers_join(runners, 6);
	CHECK(workers_join(others, 2) > 0, "no line came through the trace pipe");
	CHECK(map_user_lookup(counts, &key, values, 0) == 0, "lookup");
	for (uint32_t i = 0; i < ebpf_nr_vcpus(); i++)
		sum += values[i];
	CHECK(sum == runs, "%lu counted, %lu made", sum, runs);
	map_user_erase(programs, &key);
	prog_put(prog);
	map_put(programs);
	map_put(counts);
	printf("runs: %lu operations\n", runs);
	return 0;
}
