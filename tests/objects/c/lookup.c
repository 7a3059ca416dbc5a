/* A program of a type that the verifier does not know yet. */
#include <pyebpf/bpf_helpers.h>

SEC("sk_lookup")
int lookup(void *ctx)
{
	return 1;
}

char _license[] SEC("license") = "GPL";
