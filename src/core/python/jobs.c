/* Jobs: what a run from Python needs besides the program. A seat, a packet's room, a way to be stopped.
 *
 * A run begins with the GIL held: most are over in less time than giving it up takes. Once the first
 * slice of instructions is spent it is given up, and taken now and then to look for signals. A
 * program that calls helpers written in Python, or finds its processor taken, gives it up at once.
 * Nobody waits for a seat with the GIL: whoever has the seat may be waiting for the GIL.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "programs.h"

typedef struct anybpf_program_face face;

/* Slices between looks for signals: some tens of milliseconds. */
#define SLICES_PER_LOOK 512u

/* Jobs that a program keeps for later: as many threads may run it without making one each time. */
#define MOST_KEPT 4u

static void on_slice(struct anybpf_run *run)
{
    struct anybpf_job *job = run->user;

    if (job->thread == NULL) {
        job->thread = PyEval_SaveThread();
        return;
    }
    if (++job->slices % SLICES_PER_LOOK != 0)
        return;
    PyEval_RestoreThread(job->thread);
    if (PyErr_CheckSignals() != 0) {
        job->interrupted = true;
        atomic_store_explicit(&run->stop_now, true, memory_order_relaxed);
        anybpf_stop_run(run, ANYBPF_STOPPED);
    }
    job->thread = PyEval_SaveThread();
}

static struct anybpf_job *new_job(face *self)
{
    struct anybpf_job *job = PyMem_RawCalloc(1, sizeof(*job));

    if (job == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    anybpf_run_init(&job->run, self->program->domain, 0);
    job->run.user = job;
    job->run.on_slice = on_slice;
    job->home = ANYBPF_ANY_CPU;
    job->face = self;
    for (int i = 0; i < 3; i++) {
        job->run.packet_fields[i] = self->packet_fields[i];
        job->has_pointers |= self->packet_fields[i] >= 0;
    }
    job->next = self->jobs;
    self->jobs = job;
    self->job_count++;
    return job;
}

static void free_job(struct anybpf_job *job)
{
    PyMem_RawFree(job->context);
    PyMem_RawFree(job->packet);
    PyMem_RawFree(job);
}

struct anybpf_job *anybpf_job_begin(face *self)
{
    struct anybpf_job *job = self->jobs;

    if (self->program == NULL) {
        PyErr_SetString(PyExc_ValueError, "this program is closed");
        return NULL;
    }
    while (job != NULL && job->busy)
        job = job->next;
    if (job == NULL) {
        job = new_job(self);
        if (job == NULL)
            return NULL;
    }
    atomic_store_explicit(&job->run.stop_now, false, memory_order_relaxed);
    job->interrupted = false;
    job->program = self->program;
    job->busy = true;
    return job;
}

static void drop(struct anybpf_job *job)
{
    struct anybpf_job **at = &job->face->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->face->job_count--;
    free_job(job);
}

void anybpf_job_end(struct anybpf_job *job)
{
    face *self = job->face;

    job->busy = false;
    job->program = NULL;
    if (self->job_count > MOST_KEPT)
        drop(job);
    if (self->held != NULL)
        anybpf_program_let_go(self);
}

void anybpf_jobs_free(face *self)
{
    while (self->jobs != NULL)
        drop(self->jobs);
}

bool anybpf_job_has_cpu(const struct anybpf_job *job, long cpu)
{
    if (cpu < 0 || (unsigned long)cpu < job->run.domain->cpus)
        return true;
    PyErr_Format(PyExc_ValueError, "there is no processor %ld; the domain has %u", cpu,
                 job->run.domain->cpus);
    return false;
}

void anybpf_job_sit(struct anybpf_job *job, long cpu)
{
    struct anybpf_domain *domain = job->run.domain;
    uint32_t wanted = cpu < 0 ? ANYBPF_ANY_CPU : (uint32_t)cpu;
    uint32_t seat = anybpf_try_enter(domain, wanted);

    job->slices = 0;
    if (seat == ANYBPF_ANY_CPU || job->face->has_python_helpers || job->run.trace != NULL)
        job->thread = PyEval_SaveThread();
    if (seat == ANYBPF_ANY_CPU)
        seat = anybpf_enter(domain, wanted);
    job->run.seat = seat;
    job->home = seat;
}

bool anybpf_job_stand(struct anybpf_job *job)
{
    PyObject *raised;

    anybpf_leave(job->run.domain, job->run.seat);
    if (job->thread != NULL) {
        PyEval_RestoreThread(job->thread);
        job->thread = NULL;
    }
    if (anybpf_job_is_hot(job))
        anybpf_program_tell_hot(job->face);
    if (job->run.raised == NULL)
        return !job->interrupted;
    raised = job->run.raised;
    job->run.raised = NULL;
    if (!job->interrupted)
        PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_DECREF(raised);
    return false;
}

static bool grow(void **room, size_t *has, size_t wants)
{
    void *larger;

    if (*has >= wants)
        return true;
    larger = PyMem_RawRealloc(*room, wants);
    if (larger == NULL) {
        PyErr_NoMemory();
        return false;
    }
    *room = larger;
    *has = wants;
    return true;
}

bool anybpf_job_context(struct anybpf_job *job, size_t size)
{
    void *room = job->context;
    size_t wants = sizeof(struct anybpf_context) + ANYBPF_SMALL_CONTEXT + size;

    if (!grow(&room, &job->context_room, wants))
        return false;
    job->context = room;
    memset(job->context, 0, wants);
    return true;
}

bool anybpf_job_packet(struct anybpf_job *job, size_t size)
{
    void *room = job->packet;

    if (!grow(&room, &job->packet_room, size + 1))
        return false;
    job->packet = room;
    return true;
}

/* The fields of struct anybpf_event that are data stand in it as in the packed form. */
bool anybpf_job_event(struct anybpf_job *job, PyObject *event)
{
    const size_t front = offsetof(struct anybpf_event, fib);
    Py_buffer bytes;

    job->run.event = NULL;
    if (event == NULL || event == Py_None)
        return true;
    if (PyObject_GetBuffer(event, &bytes, PyBUF_SIMPLE) != 0)
        return false;
    if ((size_t)bytes.len != front) {
        PyErr_Format(PyExc_ValueError, "an event has %zu bytes, not %zd", front, bytes.len);
        PyBuffer_Release(&bytes);
        return false;
    }
    memset(&job->event, 0, sizeof(job->event));
    memcpy(&job->event, bytes.buf, front);
    PyBuffer_Release(&bytes);
    job->run.event = &job->event;
    return true;
}

bool anybpf_job_deadline(struct anybpf_job *job, double seconds)
{
    job->run.deadline = 0;
    if (seconds == 0.0)
        return true;
    if (!(seconds > 0.0)) {
        PyErr_SetString(PyExc_ValueError, "a timeout is not below 0");
        return false;
    }
    if (seconds < 1e9)
        job->run.deadline = anybpf_clock_ns(ANYBPF_MONOTONIC) + (uint64_t)(seconds * 1e9);
    return true;
}

void anybpf_job_forget_packet(struct anybpf_job *job)
{
    struct anybpf_run *run = &job->run;

    memset(&run->packet, 0, sizeof(run->packet));
    anybpf_set_region(run, ANYBPF_PACKET_REGION, NULL, 0, false);
}

bool anybpf_take_memory(PyObject *object, Py_buffer *memory)
{
    if (PyObject_GetBuffer(object, memory, PyBUF_WRITABLE) == 0)
        return true;
    PyErr_Clear();
    return PyObject_GetBuffer(object, memory, PyBUF_SIMPLE) == 0;
}

void anybpf_job_memory(struct anybpf_job *job, const Py_buffer *memory)
{
    anybpf_run_set_memory(&job->run, memory->buf, (size_t)memory->len);
    if (memory->readonly)
        anybpf_set_region(&job->run, ANYBPF_CONTEXT_REGION, memory->buf, (uint64_t)memory->len,
                          false);
}

PyObject *anybpf_stop_as_tuple(const struct anybpf_stop *stop)
{
    return Py_BuildValue("(iIIKIOK)", (int)stop->end, stop->program, stop->pc,
                         (unsigned long long)stop->address, stop->size,
                         stop->write ? Py_True : Py_False, (unsigned long long)stop->value);
}
