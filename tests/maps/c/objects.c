/* epoch_retire: an object is freed when no reader can hold it, and all are freed in the end. */
#include "harness.h"

enum { SLOTS = 8, READERS = 3, REPLACERS = 2, LIVE = 0x600d, DEAD = 0xdead };

struct object {
	uint64_t state;
	uint64_t words[6];
};

static struct object *slots[SLOTS];       /* atomic */
static uint64_t made, freed;              /* atomic */

static struct object *object_new(void)
{
	struct object *obj = malloc(sizeof(*obj));

	CHECK(obj, "memory");
	for (size_t i = 0; i < ARRAY_SIZE(obj->words); i++)
		obj->words[i] = LIVE;
	obj->state = LIVE;
	__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	return obj;
}

/* Plain stores: TSan would see a reader that is still there. */
static void object_free(void *ptr)
{
	struct object *obj = ptr;

	CHECK(obj->state == LIVE, "freed twice");
	obj->state = DEAD;
	memset(obj->words, 0xdd, sizeof(obj->words));
	free(obj);
	__atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
}

static void *reader(void *ptr)
{
	struct worker *w = ptr;

	while (!stopped()) {
		struct object *obj;

		epoch_enter();
		obj = __atomic_load_n(&slots[rnd(w) % SLOTS], __ATOMIC_ACQUIRE);
		for (int turn = 0; turn < 8; turn++) {
			epoch_enter(); /* nests */
			CHECK(obj->state == LIVE && obj->words[turn % 6] == LIVE, "read after free");
			epoch_exit();
		}
		epoch_exit();
		w->ops++;
	}
	return NULL;
}

static void *replacer(void *ptr)
{
	struct worker *w = ptr;

	while (!stopped()) {
		struct object *old;
		bool inside = rnd(w) & 1;

		if (inside)
			epoch_enter();
		old = __atomic_exchange_n(&slots[rnd(w) % SLOTS], object_new(), __ATOMIC_ACQ_REL);
		epoch_retire(object_free, old);
		if (inside)
			epoch_exit();
		w->ops++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct worker w[READERS + REPLACERS];
	uint64_t ops;

	for (int i = 0; i < SLOTS; i++)
		slots[i] = object_new();
	workers_start(w, READERS, 0, reader, NULL);
	workers_start(w + READERS, REPLACERS, READERS, replacer, NULL);
	run_for(seconds_arg(argc, argv));
	ops = workers_join(w, READERS + REPLACERS);
	for (int i = 0; i < SLOTS; i++)
		epoch_retire(object_free, slots[i]);
	CHECK(made == freed, "%lu made, %lu freed", (unsigned long)made, (unsigned long)freed);
	printf("objects: %lu operations\n", (unsigned long)ops);
	return 0;
}
