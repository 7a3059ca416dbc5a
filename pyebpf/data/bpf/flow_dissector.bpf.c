/* The dissector as Linux attaches one: keys go to the kernel's struct bpf_flow_keys, the hash is returned. */
#include "pyebpf/bpf_helpers.h"

#include "dissect.h"

SEC("flow_dissector")
int dissect_flow(struct __sk_buff *skb)
{
	return dissect((void *)(long)skb->data, (void *)(long)skb->data_end, skb->flow_keys);
}

char _license[] SEC("license") = "Apache-2.0";
