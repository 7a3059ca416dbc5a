/* Many sections, maps, kinds of data, static, global, weak and hidden functions, callbacks. */
#include <pyebpf/bpf_helpers.h>

static long (*const loop)(__u32 nr, void *callback, void *ctx, __u64 flags) = (void *)181;
static long (*const for_each)(void *map, void *callback, void *ctx, __u64 flags) = (void *)164;

struct pair {
	__u32 a, b;
	char name[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pair);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 16);
} a_map_with_a_long_name SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, 4);
	__uint(value_size, 8 * 127);
} stacks SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &inner_a, [2] = &inner_b } };

const volatile __u32 ro_word = 7;
const volatile char ro_text[] = "text";
volatile __u64 rw_word = 1ull << 40;
volatile struct pair rw_pair = { 1, 2, "pair" };
volatile __u16 zero[5];
static volatile __u32 hidden_word = 3;
volatile __u32 own SEC(".data.own") = 5;
const volatile __u32 own_ro SEC(".rodata.own") = 6;
volatile __u32 own_zero SEC(".bss.own");

static __noinline int leaf(int x)
{
	barrier_var(x);
	return x + hidden_word;
}

__noinline int unused_global(int x)
{
	return leaf(x) + own;
}

__noinline int middle(int x)
{
	return leaf(x) * 3 + leaf(x + 1);
}

__weak __noinline int soft(int x)
{
	barrier_var(x);
	return x ^ ro_word;
}

__hidden __noinline int concealed(int x)
{
	barrier_var(x);
	return middle(x) - soft(x);
}

static __noinline long each(__u32 i, void *ctx)
{
	*(__u32 *)ctx += leaf(i);
	return 0;
}

static long each_pair(void *map, struct pair *key, struct pair *value, void *ctx)
{
	value->a += key->b + own_ro;
	return 0;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u32 sum = 0;
	loop(4, each, &sum, 0);
	for_each(&pairs, each_pair, &sum, 0);
	rw_word += concealed(sum);
	zero[1]++;
	return middle(sum) & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
	__u32 key = ro_word & 3;
	__u64 *n = bpf_map_lookup_elem(&a_map_with_a_long_name, &key);
	if (n)
		*n += soft(key) + rw_pair.b;
	n = bpf_map_lookup_elem(&percpu, &key);
	if (n)
		(*n)++;
	own_zero = own;
	return ro_text[key & 3] ? XDP_PASS : XDP_DROP;
}

SEC("tc")
int third(struct __sk_buff *skb)
{
	return concealed(skb->len) ? 0 : 2;
}

SEC("?socket")
int optional(struct __sk_buff *skb)
{
	return soft(skb->len);
}

SEC("tracepoint/sched/sched_switch")
int traced(void *ctx)
{
	__u32 key = 0, *inner = bpf_map_lookup_elem(&outer, &key);
	return inner != NULL;
}

char _license[] SEC("license") = "Dual BSD/GPL";
__u32 _version SEC("version") = 0x60c00;
