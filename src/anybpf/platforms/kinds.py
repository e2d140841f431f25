"""The words for what arguments, results and context fields are.

Plain strings, so that they can be printed and compared; what each means to a program is the
verifier's business.
"""

from __future__ import annotations

# Argument kinds. An argument that points to memory says in ``access`` what the helper does with it.
ANYTHING = "anything"  # any initialised value; pointers where the caller may leak them
CONTEXT = "context"
MAP = "map"
MAP_KEY = "map_key"
MAP_VALUE = "map_value"
MEMORY = "memory"  # as many bytes as another argument says, or ``size`` bytes
SIZE = "size"  # the length of a memory argument, at least 1
SIZE_OR_ZERO = "size_or_zero"
ALLOC_SIZE = "alloc_size"  # a constant, maybe 0: the length of the memory that comes back
STRING = "string"  # constant and zero-terminated, in read-only memory
STACK = "stack"
FUNCTION = "function"  # a subprogram that the helper calls back
SOCK_COMMON = "sock_common"
SOCKET = "socket"
SOCK_COMMON_BTF = "sock_common_btf"  # a socket pointer of either world
BTF_POINTER = "btf_pointer"  # to a kernel structure, named by ``type``
PERCPU_BTF_POINTER = "percpu_btf_pointer"
SPIN_LOCK = "spin_lock"
TIMER = "timer"
KPTR = "kptr"  # a map value's field that holds a kernel pointer
RINGBUF_MEMORY = "ringbuf_memory"
DYNPTR = "dynptr"
ARG_KINDS = (
    ANYTHING,
    CONTEXT,
    MAP,
    MAP_KEY,
    MAP_VALUE,
    MEMORY,
    SIZE,
    SIZE_OR_ZERO,
    ALLOC_SIZE,
    STRING,
    STACK,
    FUNCTION,
    SOCK_COMMON,
    SOCKET,
    SOCK_COMMON_BTF,
    BTF_POINTER,
    PERCPU_BTF_POINTER,
    SPIN_LOCK,
    TIMER,
    KPTR,
    RINGBUF_MEMORY,
    DYNPTR,
)

# Return kinds.
INTEGER = "integer"
VOID = "void"
TCP_SOCK = "tcp_sock"
MEMORY_OR_BTF = "memory_or_btf"  # what a per-CPU symbol's type makes of it
RETURN_KINDS = (
    INTEGER,
    VOID,
    MAP_VALUE,
    SOCKET,
    SOCK_COMMON,
    TCP_SOCK,
    BTF_POINTER,
    MEMORY,
    RINGBUF_MEMORY,
    MEMORY_OR_BTF,
    KPTR,
)

# Kinds of context fields.
SCALAR = "scalar"
PACKET = "packet"
PACKET_END = "packet_end"
PACKET_META = "packet_meta"
FLOW_KEYS = "flow_keys"
BUFFER = "buffer"  # memory as long as the attach point makes it
FIELD_KINDS = (
    SCALAR,
    PACKET,
    PACKET_END,
    PACKET_META,
    FLOW_KEYS,
    SOCKET,
    SOCK_COMMON,
    BTF_POINTER,
    BUFFER,
)
