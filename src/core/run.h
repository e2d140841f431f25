/* Programs, and one run of one: what the interpreter, compiled code, helpers and hooks share.
 *
 * A program sees real addresses. What it may touch is a handful of regions in `struct anybpf_run`;
 * the interpreter checks every access against them, and whoever gives a program a pointer makes
 * sure that it leads into one: the stack, the context, the packet, and areas of the domain (the
 * values of maps) are there already.
 *
 * A context lies behind a header of fixed size (`struct anybpf_context`). Its bytes are those of the
 * platform's structure; fields that hold pointers in fewer than eight bytes (`data` of xdp_md) are
 * read from the header instead: whoever prepares a program for running turns a load of such a field
 * into an eight-byte load at a negative offset. So hooks fill one structure, and no field is copied.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_RUN_H
#define ANYBPF_RUN_H

#include "code.h"
#include "map.h"

struct anybpf_run;
struct anybpf_program;

/* Five arguments as the program has them in r1 to r5; what it finds in r0. `run` says who calls. A
 * helper trusts no pointer and no length: it asks `anybpf_readable` and `anybpf_writable`. One that
 * cannot go on at all calls `anybpf_stop_run`; the value it returns is then not used. */
typedef uint64_t (*anybpf_helper)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                                  struct anybpf_run *run);

/* Compiled code: `r1` and `r2` as the program finds them, as for anybpf_interpret. */
typedef uint64_t (*anybpf_native)(void *r1, struct anybpf_run *run, uint64_t r2);

/* Why a run ended. Stable: Python has a text for each. */
enum anybpf_end {
    ANYBPF_ENDED = 0,      /* by itself */
    ANYBPF_OUT_OF_BOUNDS,  /* an access outside what the program may touch */
    ANYBPF_READ_ONLY,      /* a write to what it may only read */
    ANYBPF_OUT_OF_BUDGET,  /* instructions */
    ANYBPF_OUT_OF_TIME,    /* the deadline */
    ANYBPF_TOO_DEEP,       /* more than eight frames */
    ANYBPF_BAD_CALL,       /* of what is no function */
    ANYBPF_HELPER_FAILED,  /* a helper written in Python raised, or cannot be run here */
    ANYBPF_THROWN,         /* the program ended itself by bpf_throw: `value` is its cookie */
    ANYBPF_STOPPED,        /* by somebody else: `anybpf_run.stop_now` */
    ANYBPF_MISALIGNED      /* an atomic operation at an address that is no multiple of its size */
};

#define ANYBPF_NO_PC UINT32_MAX
struct anybpf_stop {
    enum anybpf_end end;
    uint32_t program; /* id */
    uint32_t pc;      /* slot in that program's code, as it was loaded; ANYBPF_NO_PC: not known yet */
    uint64_t address; /* of an access */
    uint32_t size;
    bool write;
    uint64_t value;
};

/* Regions by index. The header's are the slots in front of a context, without that of the run. */
enum {
    ANYBPF_STACK_REGION,
    ANYBPF_CONTEXT_REGION,
    ANYBPF_PACKET_REGION,
    ANYBPF_HEADER_REGION,
    ANYBPF_HEADER_END_REGION,
    ANYBPF_SCRATCH_REGION, /* what helpers hand to callbacks; empty but during such calls */
    ANYBPF_FIRST_AREA
};
#define ANYBPF_REGIONS 16u

/* Set by anybpf_set_region, so that the sizes agree: one comparison tells whether to read, one
 * whether to write. Unused ones are zero. */
struct anybpf_region {
    uintptr_t start;
    uint64_t size;
    uint64_t writable_size; /* `size`, or 0 */
    bool writable;
};

#define ANYBPF_FRAME_BYTES 512u
#define ANYBPF_FRAMES 8u
#define ANYBPF_MOST_TAIL_CALLS 33u

/* In front of every context. Eight slots of eight bytes: what a platform's structure has no room
 * for. Slot numbers are part of what a program is prepared for (anybpf.engines.preparing). */
#define ANYBPF_CONTEXT_HEADER 64u
enum {
    ANYBPF_SLOT_DATA,
    ANYBPF_SLOT_DATA_END,
    ANYBPF_SLOT_DATA_META,
    ANYBPF_SLOT_RUN, /* struct anybpf_run *; programs cannot read it */
    ANYBPF_SLOT_4,
    ANYBPF_SLOT_5,
    ANYBPF_SLOT_6,
    ANYBPF_SLOT_7
};
struct anybpf_context {
    uint64_t slot[8];
    _Alignas(8) uint8_t bytes[]; /* what r1 points to */
};

/* A packet in its buffer: room in front to grow into, and behind. */
struct anybpf_packet {
    uint8_t *buffer;
    uint8_t *limit;     /* end of the buffer */
    uint8_t *data_meta; /* buffer <= data_meta <= data <= data_end <= limit */
    uint8_t *data;
    uint8_t *data_end;
    bool read_only;     /* the program may not write it */
};

/* What happened that the program is asked about, as far as the hook knows it. */
struct anybpf_event {
    uint64_t pid_tgid; /* process id above, thread id below */
    uint64_t uid_gid;  /* gid above, uid below, as on Linux */
    char comm[16];
    uint64_t cgroup_id;
    uint64_t socket_cookie;
    uint64_t netns_cookie;
    uint64_t attach_cookie;
    uint64_t function_ip;
    uint64_t logon_id;
    uint64_t process_start_key;
    uint64_t thread_create_time;
    int32_t is_admin; /* 1, 0 or a negative number */
    uint32_t present; /* bits: which of these the hook knows, ANYBPF_EVENT_* */
    const void *fib;  /* a table for fib_lookup; NULL: no routes */
    void *host;       /* of the hook that supplies `functions` */
    const struct anybpf_hook_functions *functions; /* NULL: none */
};
enum {
    ANYBPF_EVENT_PID = 1 << 0,
    ANYBPF_EVENT_UID = 1 << 1,
    ANYBPF_EVENT_COMM = 1 << 2,
    ANYBPF_EVENT_CGROUP = 1 << 3,
    ANYBPF_EVENT_SOCKET = 1 << 4,
    ANYBPF_EVENT_NETNS = 1 << 5,
    ANYBPF_EVENT_ATTACH = 1 << 6,
    ANYBPF_EVENT_FUNCTION = 1 << 7,
    ANYBPF_EVENT_LOGON = 1 << 8,
    ANYBPF_EVENT_PROCESS = 1 << 9,
    ANYBPF_EVENT_ADMIN = 1 << 10
};

/* What a hook does for helpers that only it can answer. Any may be NULL. */
struct anybpf_hook_functions {
    /* sk_lookup_tcp and its kin: a socket's bytes (struct bpf_sock), in an area; 0: none. */
    uint64_t (*find_socket)(struct anybpf_run *run, uint32_t protocol, const void *tuple,
                            uint32_t tuple_size, uint64_t netns, uint64_t flags);
    void (*release_socket)(struct anybpf_run *run, uint64_t socket);
    /* More packet than the buffer holds at its ends: false if that cannot be. */
    bool (*grow_packet)(struct anybpf_run *run, int64_t head, int64_t tail);
    /* clone_redirect: sends a copy of the packet as it is now; 0 or a negative errno of Linux. */
    int (*clone_packet)(struct anybpf_run *run, uint32_t interface, uint64_t flags);
};

/* What redirect and redirect_map decided. */
struct anybpf_redirect {
    uint32_t kind; /* 0: nothing; 1: interface; 2: entry of a map */
    uint32_t map;  /* id */
    uint64_t key;  /* interface index, or the entry's */
    uint64_t flags;
    uint8_t value[8]; /* the entry, copied */
};

struct anybpf_trace; /* trace.h: counts, steps and watches; only with the tracing interpreter */

struct anybpf_run {
    struct anybpf_region region[ANYBPF_REGIONS];
    uint32_t regions;  /* in use */
    uint32_t next_area; /* where the next area found goes, round and round */
    uint64_t areas_version;

    struct anybpf_domain *domain;
    uint32_t seat;                        /* below domain->cpus: the processor */
    const struct anybpf_program *program; /* that runs now: tail calls change it */
    void *context;                        /* bytes of an anybpf_context, or any r1 */
    struct anybpf_packet packet;
    const struct anybpf_event *event;     /* NULL: nothing is known */
    struct anybpf_redirect redirect;

    /* Instructions that may still be run. A slice is taken out and spent at jumps back and calls;
     * when it is below zero, whoever runs the program asks anybpf_next_slice. Left: both together. */
    uint64_t budget;
    int64_t slice;
    uint64_t deadline; /* monotonic ns; 0: none */
    _Atomic bool stop_now; /* set by another thread */
    bool packet_changed;   /* anybpf_run_set_packet was called; whoever set this to false asks */

    uint32_t frames;     /* of functions active, 1 in the entry function */
    uint32_t tail_calls; /* made so far */
    /* Set by bpf_tail_call when it succeeds: the engine goes on there instead of returning. */
    const struct anybpf_program *next_program;

    struct anybpf_stop stop;

    uint32_t calling; /* index of the helper being called, where it has `helper_data` */
    /* Where in the context's bytes eight-byte pointers to the packet's data, its end and its
     * metadata are kept; below 0: nowhere. anybpf_run_set_packet writes them. */
    int32_t packet_fields[3];
    void (*on_slice)(struct anybpf_run *run); /* NULL, or called when a slice is taken after the first */

    uint64_t random; /* state of bpf_get_prandom_u32 */

    /* Helpers'. Zero at first. */
    struct anybpf_log *log; /* where prints go; NULL: the domain's */
    struct anybpf_map *held_map; /* whose value's spin lock this run has; NULL: none */
    void *held_value;
    void *raised; /* the exception of a helper in Python; whoever started the run owns it */
    struct {
        const struct anybpf_map *map;
        uint32_t id;
    } inner[4]; /* maps that look-ups gave: to be known again when they are used */
    uint32_t next_inner;
    uint32_t scratch_used;
    struct anybpf_trace *trace;
    void *user; /* of whoever started the run */
    uint64_t interpreted; /* instructions that no program's `heat` has counted yet */

    /* Runs a function of the program that is running (a callback's value as the program has it) in
     * a new frame. The engine's; helpers look at `stop.end` afterwards. */
    uint64_t (*call)(struct anybpf_run *run, uint64_t function, uint64_t r1, uint64_t r2,
                     uint64_t r3, uint64_t r4, uint64_t r5);

    _Alignas(16) uint8_t stack[ANYBPF_FRAMES * ANYBPF_FRAME_BYTES];
    _Alignas(16) uint8_t scratch[ANYBPF_FRAMES * ANYBPF_FRAME_BYTES];
};

/* One instruction, decoded once: interpreter.c. */
struct anybpf_op;

/* The compiled functions of a program that others call by value: sorted by the slot each begins at.
 * Never changed once they are there. */
struct anybpf_native_functions {
    struct anybpf_native_functions *older; /* that others may still be looking at; owned */
    uint32_t count;
    struct {
        uint32_t slot;
        anybpf_helper function;
    } item[];
};

/* A program, ready to run. Owned by whoever made it; freed late, as maps are. */
struct anybpf_program {
    struct anybpf_object object;
    struct anybpf_domain *domain;
    char name[ANYBPF_MOST_NAME];
    uint8_t *code; /* as prepared, for the interpreter and listings; owned */
    uint32_t slots;
    struct anybpf_op *ops; /* decoded; owned */
    /* Compiled code, or NULL; switched while others run. Same meaning as anybpf_interpret. */
    _Atomic anybpf_native native;
    struct anybpf_native_functions *_Atomic native_functions; /* of it, or NULL; owned */
    struct anybpf_map **maps; /* by index in the code; owned array, borrowed maps */
    uint32_t map_count;
    anybpf_helper *helpers; /* by index in the code */
    void **helper_data;     /* beside each: what a Python helper needs; borrowed */
    uint32_t helper_count;
    /* By enum anybpf_status: what the program finds in r0 for each. Owned. */
    int64_t codes[ANYBPF_STATUSES];
    uint32_t type;         /* number of the program type on its platform */
    uint32_t context_size; /* bytes of the structure; 0: r1 is not a context */
    uint32_t behaviour;    /* ANYBPF_BEHAVES_*: where helpers of one name differ by platform */
    uint64_t compatible;   /* programs of one tail-call chain have the same */
    uint32_t handler;      /* slot of the function that handles exceptions; 0: there is none */
    _Atomic uint64_t runs; /* statistics, when switched on */
    _Atomic uint64_t run_ns;
    _Atomic bool counts;   /* statistics on */
    _Atomic uint32_t heat; /* slices of instructions that were interpreted */
    void *owner;           /* the Python object, borrowed */
};

enum {
    ANYBPF_BEHAVES_WINDOWS_TAIL_CALL = 1 << 0, /* failure returns a number to the caller in r0 */
    ANYBPF_TAIL_CALL_HELPER_FAILS_NEGATIVE = 1 << 1,
    ANYBPF_BEHAVES_WINDOWS = 1 << 2 /* where helpers of one name differ otherwise */
};

/* Prepares `run` for programs of the domain: seat, regions, nothing else known. The structure may be
 * used for many runs. `stack` need not be cleared. */
void anybpf_run_init(struct anybpf_run *run, struct anybpf_domain *domain, uint32_t seat);

/* Tells the run where the context and packet are; `context` may be NULL. Also after a helper moved
 * the packet's ends: the context's header is brought up to date. */
void anybpf_run_set_context(struct anybpf_run *run, struct anybpf_context *context, size_t size,
                            bool writable);
void anybpf_run_set_packet(struct anybpf_run *run, const struct anybpf_packet *packet);
/* r1 as a plain pointer to readable and writable memory, with its length in r2: conformance. */
void anybpf_run_set_memory(struct anybpf_run *run, void *memory, size_t size);

/* Runs a program, compiled if it is, to its end or to its stop (`run->stop.end`). `r1` as the
 * program finds it, `r2` as well. The run must be seated. */
uint64_t anybpf_run_program(struct anybpf_run *run, const struct anybpf_program *program,
                            uint64_t r1, uint64_t r2);

/* The same for one of many runs, inline. What is left of a slice stays for the next, and what is left
 * of the budget is anybpf_budget_left; a budget for each run is given by anybpf_give_budget. `native`
 * is program->native, or NULL where that is not to be used. anybpf_between_runs comes before the first
 * run on a seat; `trace` and `program->counts` are not looked at, and anybpf_warm is told by who runs. */
static inline uint64_t anybpf_run_next(struct anybpf_run *run, const struct anybpf_program *program,
                                       anybpf_native native, uint64_t r1, uint64_t r2);

void anybpf_set_region(struct anybpf_run *run, uint32_t index, const void *start, uint64_t size,
                       bool writable);
/* Takes the next slice of the budget if there is none, and looks at the clock and at `stop_now`; false
 * if the run must end, which is then told why. */
bool anybpf_next_slice(struct anybpf_run *run);

/* Whether the program may read or write there; with an area's help if need be. A size of 0 is
 * always fine. */
bool anybpf_readable(struct anybpf_run *run, uint64_t address, uint64_t size);
bool anybpf_writable(struct anybpf_run *run, uint64_t address, uint64_t size);
/* The slow half of a check: finds the region, or an area which becomes one. Its index, or -1. */
int anybpf_find_region(struct anybpf_run *run, uint64_t address, uint64_t size, bool write);

/* Ends the run as soon as the helper returns. The first reason counts. The slot is filled in by
 * whoever runs the program; the result of a run that ends by ANYBPF_THROWN is `stop.value`. Where
 * the program that threw has a handler, anybpf_run_program runs it then, and such a run has ended by
 * itself, with the handler's result: no engine need know of it. */
void anybpf_stop_run(struct anybpf_run *run, enum anybpf_end end);

/* What the program finds for a status. */
static inline uint64_t anybpf_result(const struct anybpf_run *run, int status)
{
    return (uint64_t)run->program->codes[status];
}

/* Helpers by name ("map_lookup_elem"); NULL: not built. The table is in helpers/table.c. */
anybpf_helper anybpf_helper_by_name(const char *name);
/* Whether a function is one of those: what comes in as a number is not called unseen. */
bool anybpf_is_helper(anybpf_helper helper);
/* To be called when a run ends, however: gives back a spin lock that the program still has. */
void anybpf_release_held(struct anybpf_run *run);

/* What a run consists of. */

/* Slices after which a program is worth compiling: some milliseconds of interpreting. */
#define ANYBPF_HOT 32u
/* Instructions between two looks at the clock: some tens of microseconds. */
#define ANYBPF_SLICE 65536

static inline void anybpf_give_budget(struct anybpf_run *run, uint64_t budget)
{
    uint64_t slice = budget < ANYBPF_SLICE ? budget : ANYBPF_SLICE;

    run->budget = budget - slice;
    run->slice = (int64_t)slice;
}

/* NULL: it is not compiled. */
static inline anybpf_native anybpf_native_of(const struct anybpf_program *program)
{
    return atomic_load_explicit(&program->native, memory_order_acquire);
}

static inline uint64_t anybpf_budget_left(const struct anybpf_run *run)
{
    return run->slice > 0 ? run->budget + (uint64_t)run->slice : run->budget;
}

/* Counts what the interpreter did towards the program's heat, a slice at a time. */
void anybpf_heat(struct anybpf_run *run, const struct anybpf_program *program);
static inline void anybpf_warm(struct anybpf_run *run, const struct anybpf_program *program,
                               uint64_t instructions)
{
    run->interpreted += instructions;
    if (__builtin_expect(run->interpreted >= ANYBPF_SLICE, 0))
        anybpf_heat(run, program);
}

/* The seldom parts of a run: what to do at the end of one that was stopped or has a lock, and the result
 * then; runs that are counted and timed. */
uint64_t anybpf_end_run(struct anybpf_run *run, const struct anybpf_program *first,
                        uint64_t result);
uint64_t anybpf_run_counted(struct anybpf_run *run, const struct anybpf_program *program,
                            anybpf_native native, uint64_t r1, uint64_t r2);
/* After a seat was taken or refreshed: forgets areas that went, and takes the next slice if the last is
 * used up. Areas that go while one is seated stay until one leaves. And whether somebody wants the runs
 * to stop; `look`: also at the clock. False: as if the next run was stopped where it begins. */
bool anybpf_between_runs(struct anybpf_run *run, const struct anybpf_program *program, bool look);
uint64_t anybpf_interpret(struct anybpf_run *run, const struct anybpf_program *program,
                          uint32_t slot, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                          uint64_t r5);

static inline uint64_t anybpf_run_next(struct anybpf_run *run, const struct anybpf_program *program,
                                       anybpf_native native, uint64_t r1, uint64_t r2)
{
    uint64_t result;

    run->program = program;
    /* Most runs change none of this, and looking is cheaper than writing. */
    if ((uintptr_t)run->next_program | (run->frames ^ 1) | run->tail_calls | run->stop.end |
        run->redirect.kind) {
        run->next_program = NULL;
        run->frames = 1;
        run->tail_calls = 0;
        run->stop.end = ANYBPF_ENDED;
        run->redirect.kind = 0;
    }
    result = native != NULL ? native((void *)(uintptr_t)r1, run, r2)
                            : anybpf_interpret(run, program, 0, r1, r2, 0, 0, 0);
    if (__builtin_expect((run->stop.end | (uintptr_t)run->held_map) != 0, 0))
        return anybpf_end_run(run, program, result);
    return result;
}

#endif
