/* Functions without debug information needs: order of appending, recursion of calls, two mains, dead code. */
#include <pyebpf/bpf_helpers.h>

#define FN static __noinline int

FN d4(int x)
{
	barrier_var(x);
	return x * 5;
}

FN d3(int x)
{
	barrier_var(x);
	return d4(x) + 1;
}

FN d2(int x)
{
	barrier_var(x);
	return d3(x) + d4(x);
}

FN d1(int x)
{
	barrier_var(x);
	return d2(x) - d3(x);
}

__noinline int dead(int x)
{
	return d4(x);
}

SEC("socket")
int b_then_a(struct __sk_buff *skb)
{
	return d4(skb->len) + d1(skb->len);
}

SEC("socket")
int a_then_b(struct __sk_buff *skb)
{
	return d1(skb->len) + d4(skb->len);
}

SEC("tc")
int none(struct __sk_buff *skb)
{
	return skb->len;
}

char _license[] SEC("license") = "GPL";
