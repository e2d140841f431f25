/* What the files of Program share: program.c (life), jobs.c (what runs need), calls.c (the shortest
 * runs), runs.c (one run with all that can be wished for), batch.c (many).
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#ifndef ANYBPF_PROGRAMS_H
#define ANYBPF_PROGRAMS_H

#include "faces.h"

#include "../program.h"
#include "../trace.h"

struct anybpf_job;

struct anybpf_program_face {
    PyObject_HEAD
    vectorcallfunc call;
    struct anybpf_program *program;    /* owned; NULL before __init__ and after close */
    struct anybpf_program *held;       /* after close, as long as jobs are under way */
    struct anybpf_domain_face *domain; /* strong */
    PyObject *maps;                    /* tuple, held */
    PyObject *helpers;                 /* tuple: Python's, whom helper_data points to */
    PyObject *codes;                   /* list of Code that was ever attached; or NULL */
    PyObject *on_hot;                  /* to be called once the program is hot; or NULL */
    bool has_python_helpers;           /* then the GIL is given up at once */
    int32_t packet_fields[3];
    int32_t length_field;
    struct anybpf_job *jobs; /* owned, busy or not; the first is nearly always the only one */
    uint32_t job_count;
    PyObject *weak;
};

/* What a job's run is set up for: what is so already need not be done again. */
enum anybpf_setting {
    ANYBPF_SET_OTHERWISE,
    ANYBPF_SET_FOR_MEMORY,
    ANYBPF_SET_FOR_PACKETS
};

/* One run, or one after the other, of one thread; and what is kept from one to the next. */
struct anybpf_job {
    struct anybpf_job *next;
    bool busy;              /* under way */
    bool interrupted;       /* an exception is set: of a signal handler */
    bool has_pointers;      /* packet_fields are in use */
    enum anybpf_setting setting;
    uint32_t home; /* the seat that it had last, or ANYBPF_ANY_CPU */
    uint32_t slices;
    struct anybpf_program_face *face; /* whose job it is; whoever calls it holds it */
    const struct anybpf_program *program; /* there while under way, whoever closes the face */
    PyThreadState *thread; /* not NULL: the GIL is given up */
    struct anybpf_context *context;
    size_t context_room;
    uint8_t *packet;
    size_t packet_room;
    size_t packet_size; /* set for packets: beyond it, and in front, the room is zero */
    struct anybpf_run run; /* run.user is the job */
    struct anybpf_event event;
    struct anybpf_trace trace;
    PyObject *step;  /* borrowed */
    PyObject *touch; /* borrowed */
};

/* The program was closed while jobs were under way: if the last of them ended, it goes now. */
void anybpf_program_let_go(struct anybpf_program_face *face);

/* The program is hot: calls `on_hot`, which is then forgotten. With the GIL, without a seat. */
void anybpf_program_tell_hot(struct anybpf_program_face *face);

/* NULL with an exception: the program is closed, or there is no memory. */
struct anybpf_job *anybpf_job_begin(struct anybpf_program_face *face);
/* Whether there is such a processor; else ValueError. */
bool anybpf_job_has_cpu(const struct anybpf_job *job, long cpu);
/* Takes a seat on `cpu` (below 0: any), giving up the GIL if that or the program demands it. */
void anybpf_job_sit(struct anybpf_job *job, long cpu);
/* Leaves the seat and takes the GIL again. False with an exception. */
bool anybpf_job_stand(struct anybpf_job *job);
void anybpf_job_end(struct anybpf_job *job);
/* Whether somebody is still to be told that the program is hot. */
static inline bool anybpf_job_is_hot(const struct anybpf_job *job)
{
    return job->face->on_hot != NULL &&
           atomic_load_explicit(&job->program->heat, memory_order_relaxed) >= ANYBPF_HOT;
}
void anybpf_jobs_free(struct anybpf_program_face *face);

/* Contexts up to this size are copied in one go, so that much there is of each. */
#define ANYBPF_SMALL_CONTEXT 32u

/* Room for `size` bytes of context, zeroed, behind its header; of packet. False with MemoryError. */
bool anybpf_job_context(struct anybpf_job *job, size_t size);
bool anybpf_job_packet(struct anybpf_job *job, size_t size);
bool anybpf_job_event(struct anybpf_job *job, PyObject *event); /* None: nothing is known */
/* Seconds from now; 0: no limit. False with an exception. */
bool anybpf_job_deadline(struct anybpf_job *job, double seconds);
/* The length of the packet, where a context has it whose bytes begin at `context`. */
static inline void anybpf_job_length(const struct anybpf_job *job, uint8_t *context,
                                     uint64_t length)
{
    int32_t place = job->face->length_field;
    uint64_t size = job->run.region[ANYBPF_CONTEXT_REGION].size;
    uint32_t number = (uint32_t)length;

    if (place >= 0 && size >= 4 && (uint64_t)place <= size - 4)
        memcpy(context + place, &number, sizeof(number));
}

PyObject *anybpf_stop_as_tuple(const struct anybpf_stop *stop);

/* Runs after each other on one seat look up, after some: at the seat always, at the clock and at
 * whoever wants them to stop less often. */
#define ANYBPF_RUNS_A_SEAT 256u
#define ANYBPF_RUNS_A_LOOK 16384u

void anybpf_job_forget_packet(struct anybpf_job *job);

/* An object's bytes, to be written if they can be; as r1. */
bool anybpf_take_memory(PyObject *object, Py_buffer *memory);
void anybpf_job_memory(struct anybpf_job *job, const Py_buffer *memory);

/* calls.c */
PyObject *anybpf_program_call(PyObject *self, PyObject *const *args, size_t count,
                              PyObject *names);
PyObject *anybpf_program_packet(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *anybpf_program_run(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *anybpf_program_run_batch(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
