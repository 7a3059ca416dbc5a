/* Map definitions from before BTF. */
#include <pyebpf/bpf_helpers.h>

struct bpf_map_def SEC("maps") by_proto = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 256,
	.map_flags = BPF_F_NO_PREALLOC,
};

struct bpf_map_def SEC("maps") totals = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 1,
};

SEC("socket")
int tally(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *n = bpf_map_lookup_elem(&totals, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	n = bpf_map_lookup_elem(&by_proto, &key);
	return n != NULL;
}

char _license[] SEC("license") = "GPL";
