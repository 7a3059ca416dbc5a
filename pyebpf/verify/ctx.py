"""The context: which of its bytes a program type may read and write, and what a load gives."""

from __future__ import annotations

from typing import Any

import cython

from pyebpf.spec.contexts import FieldKind

if not cython.compiled:
    from pyebpf.bits import cbool, i32, status
    from pyebpf.verify.access import check_unmodified, unknown_reg
    from pyebpf.verify.bounds import mark_known
    from pyebpf.verify.env import Env, fail, reg, unsupported
    from pyebpf.verify.model import EACCES, FLOW_KEYS, PKT, PKT_END, PKT_META, SCALAR

KINDS = {
    FieldKind.SCALAR: SCALAR,
    FieldKind.PKT: PKT,
    FieldKind.PKT_META: PKT_META,
    FieldKind.PKT_END: PKT_END,
    FieldKind.FLOW_KEYS: FLOW_KEYS,
}
XDP_DEVMAP = 37
WRITES_CTX = 4


def find_rule(env: Env, off: i32, size: i32, is_write: cbool, signed: cbool) -> Any:
    """The rule that allows the access; None if there is none."""
    rules: Any = env.ctx_rules
    if off < 0 or off % size:
        return None
    if off == rules.devmap_only and env.kind_of_attach != XDP_DEVMAP:
        return None
    for rule in rules.rules:
        if not rule.start <= off < rule.end:
            continue
        sizes = rule.write if is_write else rule.read
        if size in sizes and off + size <= rule.end and not (signed and rule.kind != FieldKind.SCALAR):
            return rule
        return None
    return None


def access_ctx(env: Env, regno: i32, off: i32, size: i32, is_write: cbool, dst: i32, signed: cbool) -> status:
    """A load from or a store to the context; off includes the register's fixed offset."""
    check_unmodified(env, reg(env, regno), regno, False)
    rule = find_rule(env, off, size, is_write, signed)
    if rule is None:
        return fail(env, EACCES, f"invalid bpf_context access off={off} size={size}")
    if is_write:
        env.flags |= WRITES_CTX
        return 0
    if env.max_ctx_off < off + size:
        env.max_ctx_off = off + size
    if dst < 0:
        return 0
    kind = KINDS.get(rule.kind)
    if kind is None:
        return unsupported(env, f"context field at offset {off} is a socket")
    if kind == SCALAR:
        unknown_reg(env, dst)
        return 0
    d = reg(env, dst)
    mark_known(d, 0)
    d.precise = 0
    d.kind = kind
    return 0
