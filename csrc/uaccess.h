/* Memory named by an address that a stranger gave: bpf_attr pointers and the probe_read helpers.
 *
 * The kernel copies for us (process_vm_readv and writev on this very process), so that a bad address is -EFAULT and
 * never a signal.  Where that call is refused every function returns -ENOSYS: no pointer is trusted instead.
 * A failed write may have changed a prefix of the destination, as in Linux.
 */
#pragma once

#include "common.h"

/* 0, -EFAULT or -ENOSYS; on failure *dst is undefined. */
int copy_from_user(void *dst, uint64_t src, size_t nbytes);
int copy_to_user(uint64_t dst, const void *src, size_t nbytes);

/* At most nbytes up to and including the NUL: the length without it (nbytes when there is no NUL), -EFAULT, -ENOSYS. */
int64_t string_from_user(char *dst, uint64_t src, size_t nbytes);
