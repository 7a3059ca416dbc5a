/* Static maps are reached through their section and an offset. */
#include <pyebpf/bpf_helpers.h>

static struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} first SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} second SEC(".maps");

SEC("socket")
int both(struct __sk_buff *skb)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&second, &key) == bpf_map_lookup_elem(&first, &key);
}

char _license[] SEC("license") = "GPL";
