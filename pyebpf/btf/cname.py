"""C names of BTF types: `unsigned int`, `struct flow *[4]`, `int (*)(void *)`."""

from pyebpf.btf.reader import MAX_DEPTH, SECTION, Btf
from pyebpf.btf.types import Kind, Type
from pyebpf.errors import BtfError

_KEYWORDS = {Kind.STRUCT: "struct", Kind.UNION: "union", Kind.ENUM: "enum", Kind.ENUM64: "enum"}
_QUALIFIERS = {Kind.CONST: "const", Kind.VOLATILE: "volatile", Kind.RESTRICT: "restrict"}


def c_name(btf: Btf, type_id: int) -> str:
    """The type's name as a C programmer would write it."""
    return declare(btf, type_id, "")


def declare(btf: Btf, type_id: int, name: str, depth: int = 0) -> str:
    """A C declaration of `name`: declare(btf, id, "x") -> `struct flow *x[4]`."""
    inner = name
    for _ in range(MAX_DEPTH):
        t = btf.type(type_id)
        if t.kind is Kind.PTR:
            target = btf.type(t.type).kind
            inner = f"(*{inner})" if target in (Kind.ARRAY, Kind.FUNC_PROTO) else f"*{inner}"
        elif t.kind is Kind.ARRAY:
            inner = f"{inner}[{t.count}]"
        elif t.kind is Kind.FUNC_PROTO:
            inner = f"{inner}({_params(btf, t, depth)})"
        elif t.kind in _QUALIFIERS:
            base = btf.type(t.type)
            if base.kind is Kind.PTR:
                inner = f"*{_QUALIFIERS[t.kind]} {inner}".rstrip()
                t = base
            else:
                return f"{_QUALIFIERS[t.kind]} {declare(btf, t.type, inner, depth + 1)}" if depth < MAX_DEPTH else "..."
        elif t.kind is Kind.TYPE_TAG:
            pass
        elif t.kind in (Kind.FUNC, Kind.VAR):
            inner = t.name
        else:
            base_name = _base(t)
            return f"{base_name} {inner}" if inner and inner[0] != "[" else base_name + inner
        type_id = t.type
    raise BtfError(f"type {type_id} is nested more than {MAX_DEPTH} deep", section=SECTION)


def _base(t: Type) -> str:
    if t.kind is Kind.FWD:
        return f"{'union' if t.kflag else 'struct'} {t.name}"
    keyword = _KEYWORDS.get(t.kind)
    if keyword is None:
        return t.name or t.kind.name.lower()
    return f"{keyword} {t.name}" if t.name else f"{keyword} {{...}}"


def _params(btf: Btf, t: Type, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise BtfError(f"type {t.id} is nested more than {MAX_DEPTH} deep", section=SECTION)
    if not t.params:
        return "void"
    return ", ".join(declare(btf, p.type, p.name, depth + 1) if p.type else "..." for p in t.params)
