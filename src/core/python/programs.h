/* What the files of Program share: program.c (life), runs.c (one run), batch.c (many).
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
    struct anybpf_job *jobs;  /* under way */
    struct anybpf_job *spare; /* not under way; kept for the next run */
    PyObject *weak;
};

/* One run, or one after the other, of one thread. */
struct anybpf_job {
    struct anybpf_run run; /* run.user is the job */
    struct anybpf_program_face *face; /* strong while under way */
    const struct anybpf_program *program; /* there while under way, whoever closes the face */
    struct anybpf_job *next;
    struct anybpf_job **link;
    PyThreadState *thread; /* not NULL: the GIL is given up */
    uint32_t slices;
    bool interrupted; /* an exception is set: of a signal handler */
    struct anybpf_context *context;
    size_t context_room;
    uint8_t *packet;
    size_t packet_room;
    struct anybpf_event event;
    struct anybpf_trace trace;
    PyObject *step;  /* borrowed */
    PyObject *touch; /* borrowed */
};

/* The program was closed while jobs were under way, and the last of them ended: it goes now. */
void anybpf_program_let_go(struct anybpf_program_face *face);

/* The program is hot: calls `on_hot`, which is then forgotten. With the GIL, without a seat. */
void anybpf_program_tell_hot(struct anybpf_program_face *face);

/* NULL with an exception. `check` that the program is open. */
struct anybpf_job *anybpf_job_begin(struct anybpf_program_face *face);
/* Whether there is such a processor; else ValueError. */
bool anybpf_job_has_cpu(const struct anybpf_job *job, long cpu);
/* Takes a seat on `cpu` (below 0: any), giving up the GIL if that or the program demands it. */
void anybpf_job_sit(struct anybpf_job *job, long cpu);
/* Leaves the seat and takes the GIL again. False with an exception. */
bool anybpf_job_stand(struct anybpf_job *job);
void anybpf_job_end(struct anybpf_job *job);

/* Room for `size` bytes of context, zeroed, behind its header; of packet. False with MemoryError. */
bool anybpf_job_context(struct anybpf_job *job, size_t size);
bool anybpf_job_packet(struct anybpf_job *job, size_t size);
bool anybpf_job_event(struct anybpf_job *job, PyObject *event); /* None: nothing is known */
/* Seconds from now; 0: no limit. False with an exception. */
bool anybpf_job_deadline(struct anybpf_job *job, double seconds);
/* The length of the packet, where the context has it. */
void anybpf_job_length(struct anybpf_job *job, uint64_t length);

PyObject *anybpf_stop_as_tuple(const struct anybpf_stop *stop);

PyObject *anybpf_program_call(PyObject *self, PyObject *const *args, size_t count,
                              PyObject *names);
PyObject *anybpf_program_run(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *anybpf_program_run_batch(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
