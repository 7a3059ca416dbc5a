/* The JIT's face: native code of one program. */
#pragma once

#include "decode.h"
#include "error.h"
#include "prog.h"

/* Compiles *code.  *out->fn is then an ebpf_fn.  0; -EACCES: the machine forbids executable memory; -ENOMEM;
 * -EBPF_ENOTSUPP: no JIT for this machine. */
int jit_compile(struct ebpf_prog *prog, const struct ebpf_code *code, struct jit_image *out, struct ebpf_error *err);
/* Once no run can be in it. */
void jit_free(struct jit_image *image);
