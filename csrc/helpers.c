/* The helper table by number, and the helpers that need nothing but the run record. */
#include "helpers.h"

#define HELPER_ROW(name, id) [id] = helper_##name,
static const ebpf_helper_fn helper_table[EBPF_MAX_HELPER_ID + 1] = { EBPF_NATIVE_HELPERS(HELPER_ROW) };

ebpf_helper_fn ebpf_helper_by_id(uint32_t id)
{
	return id < ARRAY_SIZE(helper_table) ? helper_table[id] : NULL;
}

#define HELPER_NAME_ROW(name, id) [id] = #name,
static const char *const helper_names[EBPF_MAX_HELPER_ID + 1] = { EBPF_HELPER_IDS(HELPER_NAME_ROW) };

const char *ebpf_helper_name(uint32_t id)
{
	return id < ARRAY_SIZE(helper_names) && helper_names[id] ? helper_names[id] : "unknown";
}

uint64_t helper_get_smp_processor_id(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
				     struct ebpf_run *run)
{
	(void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
	return run->vcpu->id;
}
