/* Byte order between host and network, constants folded at compile time.  BPF objects here are
 * little-endian; the other order works all the same. */
#pragma once

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htons(x) __builtin_bswap16(x)
#define bpf_ntohl(x) __builtin_bswap32(x)
#define bpf_htonl(x) __builtin_bswap32(x)
#define bpf_be64_to_cpu(x) __builtin_bswap64(x)
#define bpf_cpu_to_be64(x) __builtin_bswap64(x)
#else
#define bpf_ntohs(x) ((__u16)(x))
#define bpf_htons(x) ((__u16)(x))
#define bpf_ntohl(x) ((__u32)(x))
#define bpf_htonl(x) ((__u32)(x))
#define bpf_be64_to_cpu(x) ((__u64)(x))
#define bpf_cpu_to_be64(x) ((__u64)(x))
#endif
