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
# Mostly arguments of kernel functions.
INTEGER = "integer"  # a number, never a pointer
IGNORED = "ignored"  # nothing is asked of it, it need not even be initialised
CONSTANT_SIZE = "constant_size"  # a known length of the memory argument next to it, maybe 0
ITERATOR = "iterator"  # on the stack; ``type`` T stands for struct bpf_iter_T
ALLOCATED = "allocated"  # an object that the program allocated; ``type`` "percpu": one per CPU
REFCOUNTED = "refcounted"  # such an object with a bpf_refcount, owned or not
LIST_HEAD = "list_head"
LIST_NODE = "list_node"  # the node inside an allocated object
RB_ROOT = "rb_root"
RB_NODE = "rb_node"
RES_SPIN_LOCK = "res_spin_lock"
IRQ_FLAG = "irq_flag"  # eight bytes of stack that hold the saved interrupt state
WORK_QUEUE = "work_queue"
TASK_WORK = "task_work"
ARENA = "arena"  # memory that user space shares: a pointer into it, or any number
PASSED = "passed"  # of callbacks: what the caller passed as the argument named by ``type``
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
    INTEGER,
    IGNORED,
    CONSTANT_SIZE,
    ITERATOR,
    ALLOCATED,
    REFCOUNTED,
    LIST_HEAD,
    LIST_NODE,
    RB_ROOT,
    RB_NODE,
    RES_SPIN_LOCK,
    IRQ_FLAG,
    WORK_QUEUE,
    TASK_WORK,
    ARENA,
    PASSED,
)

# Return kinds.
VOID = "void"
TCP_SOCK = "tcp_sock"
XDP_SOCK = "xdp_sock"
MEMORY_OR_BTF = "memory_or_btf"  # what a per-CPU symbol's type makes of it
KERNEL_CONTEXT = "kernel_context"  # the kernel's structure behind the program's context
CAST = "cast"  # a read-only view as the type whose BTF id the constant argument gives
SAME = "same"  # another reference to the object of the first argument
RETURN_KINDS = (
    INTEGER,
    VOID,
    MAP_VALUE,
    SOCKET,
    SOCK_COMMON,
    TCP_SOCK,
    XDP_SOCK,
    MAP,
    BTF_POINTER,
    MEMORY,
    RINGBUF_MEMORY,
    MEMORY_OR_BTF,
    KPTR,
    ALLOCATED,
    LIST_NODE,
    RB_NODE,
    ARENA,
    KERNEL_CONTEXT,
    CAST,
    SAME,
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

# How far a pointer to a kernel structure may be relied on. An argument that asks for "rcu" takes
# trusted pointers too; one that asks for nothing takes all but untrusted ones.
TRUSTED = "trusted"
RCU = "rcu"  # valid until the read section ends
UNTRUSTED = "untrusted"  # may be read, with faults caught; never be passed on

# The numbers of a result that nothing is known of.
LOWEST = -(1 << 63)
HIGHEST = (1 << 63) - 1
