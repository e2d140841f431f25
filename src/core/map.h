/* Maps: what all kinds have in common, and what a kind must be able to do.
 *
 * A map lies in one segment, anonymous or shared. At its start is the header; what follows is laid
 * out by the kind, by offsets. This process's view of it is `struct anybpf_map`: the shape is copied
 * there as the map is opened, checked once, and never read from the segment again, where another
 * process could change it under our feet. For the same reason whatever else is read from a shared
 * segment (an index, a length) is checked where it is used.
 *
 * Lookups take no lock. A value does not move, and is not used for something else, while somebody
 * who might have found it is seated (domain.h). Whoever changes a map leaves it at every instant in
 * a state that another process can go on from: it may be killed between any two instructions.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_MAP_H
#define ANYBPF_MAP_H

#include "domain.h"
#include "maps/direct.h"

#include <string.h>

/* What an operation came to. Platforms say which number a program or a user sees for each: the
 * table is handed over with the map (`shape.codes` of a program, anybpf.platforms in Python). */
enum anybpf_status {
    ANYBPF_OK = 0,
    ANYBPF_MISSING,        /* looked up: nothing there */
    ANYBPF_MISSING_KEY,    /* to be replaced or deleted: nothing there */
    ANYBPF_MISSING_PREFIX, /* no prefix of a trie matches */
    ANYBPF_EXISTS,         /* to be created: is there */
    ANYBPF_ALWAYS_THERE,   /* an array's entry cannot be created */
    ANYBPF_CANNOT_DELETE,  /* nor deleted */
    ANYBPF_NO_MORE_KEYS,   /* the walk is over */
    ANYBPF_FULL,           /* no room for another entry */
    ANYBPF_EMPTY,          /* nothing to take or to peek at */
    ANYBPF_QUEUE_FULL,     /* nothing can be pushed */
    ANYBPF_BAD_INDEX,      /* beyond the array's end, to be changed */
    ANYBPF_BAD_KEY,        /* a key that the map cannot have, e.g. a prefix that is too long */
    ANYBPF_BAD_VALUE,      /* a value that the map cannot have */
    ANYBPF_BAD_FLAGS,      /* flags unknown, or not together */
    ANYBPF_BAD_SIZE,       /* a size out of range, or not as the map's */
    ANYBPF_BAD_OBJECT,     /* the map or program does not fit into this one */
    ANYBPF_NO_OBJECT,      /* there is no such map or program */
    ANYBPF_NO_MEMORY,
    ANYBPF_NO_SPACE,       /* the ring has no room for the record */
    ANYBPF_TOO_BIG,        /* a record that the ring could never hold */
    ANYBPF_NOT_SUPPORTED,  /* not by this kind of map */
    ANYBPF_DENIED,         /* read only, write only or frozen */
    ANYBPF_BUSY,           /* somebody else is at it */
    ANYBPF_NO_OWNER,       /* local storage without an owner */
    ANYBPF_DAMAGED,        /* what is in the segment makes no sense */
    ANYBPF_NO_MORE_CALLS,  /* too many tail calls */
    ANYBPF_NO_DATA,        /* memory that cannot be read */
    ANYBPF_BAD_ARGUMENT,   /* of a helper */
    ANYBPF_OUT_OF_RANGE,
    ANYBPF_NO_PERMISSION,
    ANYBPF_NAME_TOO_LONG,
    ANYBPF_NO_DEVICE,
    ANYBPF_CANNOT_SEND,
    ANYBPF_PREFIXES_FULL,  /* no room for another prefix: Linux has a number of its own for it */
    ANYBPF_STATUSES        /* how many there are */
};

/* Each in the file of its name under maps/. */
enum anybpf_kind {
    ANYBPF_HASH = 1,
    ANYBPF_ARRAY,
    ANYBPF_PERCPU_HASH,
    ANYBPF_PERCPU_ARRAY,
    ANYBPF_LRU_HASH,
    ANYBPF_LRU_PERCPU_HASH,
    ANYBPF_LPM_TRIE,
    ANYBPF_QUEUE,
    ANYBPF_STACK,
    ANYBPF_ARRAY_OF_MAPS,
    ANYBPF_HASH_OF_MAPS,
    ANYBPF_PROG_ARRAY,
    ANYBPF_RINGBUF,
    ANYBPF_USER_RINGBUF,
    ANYBPF_PERF_EVENT_ARRAY,
    ANYBPF_BLOOM_FILTER,
    ANYBPF_LOCAL_STORAGE, /* of sockets, tasks, inodes and cgroups alike: by an opaque owner */
    ANYBPF_DEVMAP,        /* devmap, devmap_hash, cpumap and xskmap: where redirects go */
    ANYBPF_ARENA,
    ANYBPF_KINDS
};

/* Flags of an update: as both systems have them. */
enum { ANYBPF_ANY = 0, ANYBPF_NOEXIST = 1, ANYBPF_EXIST = 2, ANYBPF_WITH_LOCK = 4 };

/* Flags of a map. What a platform's own flags and rules come to. */
enum {
    ANYBPF_GROWS = 1 << 0,            /* `max_entries` is where it starts, not where it ends */
    ANYBPF_DELETE_ZEROES = 1 << 1,    /* deleting an array's entry makes it zero */
    ANYBPF_PROGRAM_READS_ONLY = 1 << 2,
    ANYBPF_PROGRAM_WRITES_ONLY = 1 << 3,
    ANYBPF_USER_READS_ONLY = 1 << 4,
    ANYBPF_USER_WRITES_ONLY = 1 << 5,
    ANYBPF_LRU_PER_CPU = 1 << 6,      /* no common list of what was used when */
    ANYBPF_DROPS_OLDEST = 1 << 7,     /* EXIST, pushed to a full queue, drops the oldest */
    ANYBPF_KEYED = 1 << 8,            /* a devmap by hash */
    ANYBPF_RECENCY_BY_USER = 1 << 9,  /* look-ups from outside count as use in LRU maps */
    ANYBPF_OVERWRITES = 1 << 10,      /* a perf ring that is full loses its oldest records */
    ANYBPF_NEEDS_READER = 1 << 11,    /* perf: what is written while nobody reads is refused */
    ANYBPF_INNER_SIZE_FREE = 1 << 12, /* maps held may have more or fewer entries than the template */
};

#define ANYBPF_MOST_NAME 64u
#define ANYBPF_MOST_KEY 0x7ffffff0u /* bytes; kinds may have less */
#define ANYBPF_MOST_VALUE 0x7ffffff0u
#define ANYBPF_SPIN_LOCK_SIZE 4u /* struct bpf_spin_lock */
#define ANYBPF_TIMER_SIZE 16u    /* struct bpf_timer */
#define ANYBPF_NO_FIELD UINT32_MAX

/* What a map is like. Sizes as the user gave them. */
struct anybpf_shape {
    uint32_t kind; /* enum anybpf_kind */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t flags;
    uint32_t cpus;        /* of per-CPU kinds: values an entry has. 0: as many as the domain */
    uint64_t extra;       /* bloom: hash functions; arena: address that programs see; perf: bytes of
                           * a ring, a power of two (0: max_entries, as on Windows); else 0 */
    uint32_t lock_offset; /* of the spin lock in a value, or ANYBPF_NO_FIELD */
    uint32_t timer_offset;
    char name[ANYBPF_MOST_NAME];
};

/* At the start of a map's segment. Offsets are from the segment's start. */
struct anybpf_map_header {
    uint64_t magic;
    uint32_t version;
    uint32_t id;
    uint64_t domain; /* its identity */
    struct anybpf_shape shape;
    _Atomic uint32_t frozen;  /* users may not change it any more */
    struct anybpf_lock lock;  /* for changes of the whole: growth */
    _Alignas(64) _Atomic uint64_t count; /* entries, where the kind counts them */
    _Alignas(64) uint8_t body[]; /* the kind's */
};

struct anybpf_map;

/* What a kind can do; NULL: it cannot. A `seat` is the caller's (domain.h); where a kind has values
 * per CPU, a seat below `cpus` has its own, and others have none. Keys and values are of the shape's
 * sizes; the caller has checked that. All return an enum anybpf_status unless they say otherwise. */
struct anybpf_map_ops {
    const char *name;

    /* Whether the shape makes sense, and how large the segment must be at first and at most. */
    int (*measure)(const struct anybpf_domain *domain, const struct anybpf_shape *shape,
                   size_t *size, size_t *reserve);
    /* Fills a fresh segment, which is zero. Then `open` is called as for any other. */
    int (*init)(struct anybpf_map *map);
    /* Checks the layout of a segment that may come from elsewhere, and makes the view: `values`,
     * `private`. */
    int (*open)(struct anybpf_map *map);
    /* Frees `private`; not the segment. */
    void (*close)(struct anybpf_map *map);

    /* For programs. */
    void *(*lookup)(struct anybpf_map *map, const void *key, uint32_t seat); /* NULL: nothing */
    int (*update)(struct anybpf_map *map, const void *key, const void *value, uint64_t flags,
                  uint32_t seat);
    int (*erase)(struct anybpf_map *map, const void *key, uint32_t seat);
    int (*push)(struct anybpf_map *map, const void *value, uint64_t flags);
    int (*pop)(struct anybpf_map *map, void *value);
    int (*peek)(struct anybpf_map *map, void *value);
    void *(*lookup_cpu)(struct anybpf_map *map, const void *key, uint32_t cpu);
    /* Puts functions for this very map in the place of those above, where there are quicker ones. */
    void (*get_direct)(const struct anybpf_map *map, struct anybpf_direct *direct);

    /* For users: whole entries, copied. `read`/`write` values of per-CPU kinds have
     * anybpf_user_value_size() bytes: one value a CPU, each padded to 8. A copy is never torn. */
    int (*read)(struct anybpf_map *map, const void *key, void *value, uint64_t flags);
    int (*write)(struct anybpf_map *map, const void *key, const void *value, uint64_t flags);
    int (*take)(struct anybpf_map *map, const void *key, void *value); /* look up and delete */
    /* The key after `key` (NULL: the first) in the map's own order. A key that is gone: the first.
     * Every entry that is there all the time is met, as long as no walked-over key vanishes. */
    int (*next)(struct anybpf_map *map, const void *key, void *next);
    /* Many at once: up to `*count` entries from `*cursor` (0: the start), which moves; fewer only at
     * the end, which is ANYBPF_NO_MORE_KEYS. Either array may be NULL. */
    int (*scan)(struct anybpf_map *map, uint64_t *cursor, void *keys, void *values,
                uint32_t *count);
    uint64_t (*count)(struct anybpf_map *map);

    /* Calls `visit` on every entry that is there all the time, without a lock; stops where it
     * returns non-zero. `value` is the seat's own in per-CPU kinds. The number of calls. */
    uint64_t (*each)(struct anybpf_map *map, uint32_t seat,
                     int (*visit)(void *arg, const void *key, void *value), void *arg);

    /* The key of a value that a program had a pointer to; NULL: it is no value that is there now.
     * For timers; without it every entry is looked at. */
    const void *(*key_of)(struct anybpf_map *map, const void *value);

    /* The holder of this value's spin lock died, and may have left a change of the value half made.
     * Called with that lock. NULL: nothing to do. */
    void (*settle)(struct anybpf_map *map, const void *value);

    /* Whether every invariant holds: the map is at rest, or its writers were killed and every
     * lock has been taken once. On a no, `why` has a sentence. For tests, soaks and repair. */
    bool (*check)(struct anybpf_map *map, char *why, size_t why_size);
};

struct anybpf_map {
    struct anybpf_object object; /* first: found by number */
    const struct anybpf_map_ops *ops;
    struct anybpf_direct direct; /* what programs get from `ops`, or quicker functions that do it */
    struct anybpf_domain *domain; /* outlives the map */
    struct anybpf_segment segment;
    struct anybpf_map_header *header;
    struct anybpf_shape shape;
    uint32_t value_stride; /* value_size, padded to 8 */
    uint8_t *values;       /* what look-ups may give pointers into; NULL: nothing */
    size_t values_size;
    void *private;         /* the kind's, this process's */
    void *owner;           /* the Python object, borrowed; the core does not look at it */
    const struct anybpf_shape *inner; /* of maps that hold maps: what they must be like; owned */
    _Atomic bool abandoned; /* no user refers to it any more, only programs do: it gets no timers */
};

/* Bytes of a value as users read and write it. */
size_t anybpf_user_value_size(const struct anybpf_shape *shape);
bool anybpf_is_per_cpu(uint32_t kind);
const struct anybpf_map_ops *anybpf_kind_ops(uint32_t kind); /* NULL: unknown or not built */
uint32_t anybpf_kind_by_name(const char *name);              /* 0: unknown */

/* A new map with number `id` in the domain. `inner` is copied. On success the map is registered and
 * its values are an area of the domain. An enum anybpf_status. */
int anybpf_map_create(struct anybpf_domain *domain, uint32_t id, const struct anybpf_shape *shape,
                      const struct anybpf_shape *inner, bool shared, struct anybpf_map **map);
/* A map that another process made, from its shared memory. Read only unless `writable`. For `sealed`
 * see anybpf_segment_attach. */
int anybpf_map_attach(struct anybpf_domain *domain, int fd, bool writable, bool sealed,
                      struct anybpf_map **map);
/* The map is no more for this process; its memory goes when nobody who is seated can know it. The
 * pointer must not be used afterwards by the caller. */
void anybpf_map_close(struct anybpf_map *map);

/* What all kinds need. */

/* Copies that tell a race detector and the compiler that others may write meanwhile: by words of
 * 8 bytes where both sides and the size permit, else by bytes. */
void anybpf_copy_from_shared(void *to, const void *from, size_t size);
void anybpf_copy_to_shared(void *to, const void *from, size_t size);
/* The same with a value's spin lock and timer left alone (the lock held by the caller, with
 * ANYBPF_WITH_LOCK). */
void anybpf_copy_value(const struct anybpf_shape *shape, void *to, const void *from);

/* A value's spin lock, for programs and for ANYBPF_WITH_LOCK alike; the word is a struct anybpf_lock.
 * The map has one, and `value` is a value's start. Take it before any lock of the map's own. */
void anybpf_value_lock(struct anybpf_map *map, void *value);
void anybpf_value_unlock(struct anybpf_map *map, void *value);

/* A word whose first bytes, up to 8, are these. */
static inline uint64_t anybpf_word_of(const void *bytes, uint32_t size)
{
    uint64_t word = 0;
    uint32_t half;

    if (size == 8) {
        memcpy(&word, bytes, 8);
    } else if (size == 4) {
        memcpy(&half, bytes, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = (uint64_t)half << 32;
#else
        word = half; /* not by way of memory: a load of 8 bytes would wait for the store of 4 */
#endif
    } else {
        memcpy(&word, bytes, size);
    }
    return word;
}

/* The other way round. */
static inline void anybpf_put_word(void *bytes, uint64_t word, uint32_t size)
{
    if (size == 8)
        memcpy(bytes, &word, 8);
    else if (size == 4)
        memcpy(bytes, &word, 4);
    else
        memcpy(bytes, &word, size);
}

uint64_t anybpf_hash_bytes(const void *bytes, size_t size, uint64_t seed);

/* NULL-safe reading of `flags`: ANYBPF_BAD_FLAGS if both EXIST and NOEXIST or any unknown bit. */
int anybpf_check_update_flags(const struct anybpf_map *map, uint64_t flags);

/* One a kind, in the file of its name. */
extern const struct anybpf_map_ops anybpf_hash_ops;
extern const struct anybpf_map_ops anybpf_percpu_hash_ops;
extern const struct anybpf_map_ops anybpf_lru_hash_ops;
extern const struct anybpf_map_ops anybpf_lru_percpu_hash_ops;
extern const struct anybpf_map_ops anybpf_hash_of_maps_ops;
extern const struct anybpf_map_ops anybpf_array_ops;
extern const struct anybpf_map_ops anybpf_percpu_array_ops;
extern const struct anybpf_map_ops anybpf_ringbuf_ops;
extern const struct anybpf_map_ops anybpf_user_ringbuf_ops;
extern const struct anybpf_map_ops anybpf_perf_event_array_ops;
extern const struct anybpf_map_ops anybpf_queue_ops;
extern const struct anybpf_map_ops anybpf_stack_ops;
extern const struct anybpf_map_ops anybpf_bloom_filter_ops;
extern const struct anybpf_map_ops anybpf_array_of_maps_ops;
extern const struct anybpf_map_ops anybpf_prog_array_ops;
extern const struct anybpf_map_ops anybpf_lpm_trie_ops;
extern const struct anybpf_map_ops anybpf_local_storage_ops;
extern const struct anybpf_map_ops anybpf_devmap_ops;
extern const struct anybpf_map_ops anybpf_arena_ops;

#endif
