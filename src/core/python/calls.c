/* The shortest runs of a Program: program(memory) and program.packet(packet).
 *
 * What differs from call to call is set, and nothing else: a job knows what it is set up for. A
 * packet is always copied, so that nothing of the caller's is written, and the room around it is zero
 * whatever was there before.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "programs.h"

typedef struct anybpf_program_face face;

/* Room in front of a packet and behind it, as Program.run has it. */
#define HEADROOM 256u
#define TAILROOM 320u
#define LEAST_PACKET_ROOM 2176u /* a usual packet's */

static const uint8_t nothing[ANYBPF_SMALL_CONTEXT];

/* A seat without waiting; the GIL is given up only where that takes other than this. */
static inline void sit(struct anybpf_job *job)
{
    struct anybpf_domain *domain = job->run.domain;

    if (__builtin_expect(job->home < domain->cpus && !job->face->has_python_helpers, 1) &&
        __builtin_expect(anybpf_enter_again(domain, job->home), 1))
        job->run.seat = job->home;
    else
        anybpf_job_sit(job, -1);
}

static __attribute__((noinline, cold)) PyObject *ended_otherwise(struct anybpf_job *job,
                                                                 uint64_t value)
{
    PyObject *result = NULL;

    if (anybpf_job_stand(job))
        result = job->run.stop.end == ANYBPF_ENDED ? PyLong_FromUnsignedLongLong(value)
                                                   : anybpf_stop_as_tuple(&job->run.stop);
    anybpf_job_end(job);
    return result;
}

/* Seldom: areas went since the last run, runs are counted, or this one was stopped before it began. */
static inline bool needs_more(const struct anybpf_run *run, const struct anybpf_program *program)
{
    return atomic_load_explicit(&run->domain->areas_version, memory_order_acquire) !=
               run->areas_version ||
           atomic_load_explicit(&program->counts, memory_order_relaxed) ||
           atomic_load_explicit(&run->stop_now, memory_order_relaxed);
}

/* One run, and the end of the job. */
static inline PyObject *run_once(struct anybpf_job *job, uint64_t r2)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    uint64_t r1 = (uint64_t)(uintptr_t)run->context;
    uint64_t value;

    sit(job);
    if (__builtin_expect(needs_more(run, program), 0)) {
        value = anybpf_run_program(run, program, r1, r2);
    } else {
        anybpf_native native = anybpf_native_of(program);
        uint64_t budget = run->budget;

        run->slice = ANYBPF_SLICE; /* of a budget that never ends */
        value = anybpf_run_next(run, program, native, r1, r2);
        if (native == NULL)
            anybpf_warm(run, program, budget - run->budget + ANYBPF_SLICE - (uint64_t)run->slice);
    }
    if (__builtin_expect(
            job->thread != NULL || run->stop.end != ANYBPF_ENDED || anybpf_job_is_hot(job), 0))
        return ended_otherwise(job, value);
    anybpf_leave(run->domain, run->seat);
    job->busy = false;
    return PyLong_FromUnsignedLongLong(value);
}

static void set_up(struct anybpf_job *job, enum anybpf_setting setting)
{
    struct anybpf_run *run = &job->run;

    anybpf_run_set_context(run, NULL, 0, false);
    anybpf_job_forget_packet(job);
    run->event = NULL;
    run->trace = NULL;
    run->budget = UINT64_MAX;
    run->deadline = 0;
    job->setting = setting;
}

/* As anybpf_job_begin, for jobs that begin again and again. */
static inline struct anybpf_job *begin(face *self)
{
    struct anybpf_job *job = self->jobs;

    if (__builtin_expect(job == NULL || job->busy || self->program == NULL, 0))
        return anybpf_job_begin(self);
    if (__builtin_expect(atomic_load_explicit(&job->run.stop_now, memory_order_relaxed), 0))
        return anybpf_job_begin(self);
    job->program = self->program;
    job->busy = true;
    return job;
}

/* Bytes of an object. `buffer.obj` is NULL where none needs to be released. */
struct bytes {
    const void *start;
    size_t size;
    bool read_only;
    Py_buffer buffer;
};

/* For as long as the object cannot change its size: `bytes` never can. */
static inline bool look(PyObject *object, struct bytes *bytes)
{
    bytes->buffer.obj = NULL;
    if (PyBytes_CheckExact(object)) {
        bytes->start = PyBytes_AS_STRING(object);
        bytes->size = (size_t)PyBytes_GET_SIZE(object);
        bytes->read_only = true;
        return true;
    }
    if (!anybpf_take_memory(object, &bytes->buffer))
        return false;
    bytes->start = bytes->buffer.buf;
    bytes->size = (size_t)bytes->buffer.len;
    bytes->read_only = bytes->buffer.readonly;
    return true;
}

static inline void look_away(struct bytes *bytes)
{
    if (bytes->buffer.obj != NULL)
        PyBuffer_Release(&bytes->buffer);
}

static inline PyObject *call(face *self, void *start, size_t size, bool writable)
{
    struct anybpf_job *job = begin(self);

    if (job == NULL)
        return NULL;
    if (__builtin_expect(job->setting != ANYBPF_SET_FOR_MEMORY, 0))
        set_up(job, ANYBPF_SET_FOR_MEMORY);
    job->run.context = start;
    anybpf_set_region(&job->run, ANYBPF_CONTEXT_REGION, start, size, writable);
    return run_once(job, size);
}

static __attribute__((noinline)) PyObject *call_with_memory(face *self, PyObject *memory)
{
    struct bytes bytes;
    PyObject *result;

    if (!look(memory, &bytes))
        return NULL;
    result = call(self, (void *)(uintptr_t)bytes.start, bytes.size, !bytes.read_only);
    look_away(&bytes);
    return result;
}

PyObject *anybpf_program_call(PyObject *object, PyObject *const *args, size_t flags,
                              PyObject *names)
{
    size_t count = (size_t)PyVectorcall_NARGS(flags);

    if (count > 1 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "a program is called with memory, or with nothing");
        return NULL;
    }
    if (count == 1 && args[0] != Py_None)
        return call_with_memory((face *)object, args[0]);
    return call((face *)object, NULL, 0, false);
}

/* Packets. */

/* The room is zero but for what will be the packet: nobody finds there what others left. */
static bool make_room(struct anybpf_job *job, size_t size)
{
    size_t wants = HEADROOM + size + TAILROOM;

    if (wants > job->packet_room) {
        if (!anybpf_job_packet(job, wants > LEAST_PACKET_ROOM ? wants : LEAST_PACKET_ROOM))
            return false;
        memset(job->packet, 0, job->packet_room);
    } else if (job->run.packet_changed) {
        memset(job->packet, 0, job->packet_room);
    } else if (size < job->packet_size) {
        memset(job->packet + HEADROOM + size, 0, job->packet_size - size);
    }
    return true;
}

static __attribute__((noinline)) bool place_anew(struct anybpf_job *job, size_t size)
{
    struct anybpf_packet packet = {0};

    if (!make_room(job, size)) {
        job->setting = ANYBPF_SET_OTHERWISE;
        return false;
    }
    packet.buffer = job->packet;
    packet.data_meta = packet.data = job->packet + HEADROOM;
    packet.data_end = packet.data + size;
    packet.limit = packet.data_end + TAILROOM;
    anybpf_run_set_packet(&job->run, &packet);
    job->run.packet_changed = false;
    job->packet_size = size;
    return true;
}

static __attribute__((noinline)) bool set_up_for_packets(struct anybpf_job *job)
{
    size_t size = job->program->context_size;

    set_up(job, ANYBPF_SET_OTHERWISE);
    if (!anybpf_job_context(job, size))
        return false;
    if (size != 0)
        anybpf_run_set_context(&job->run, job->context, size, true);
    job->run.packet_changed = true; /* whatever was there */
    job->setting = ANYBPF_SET_FOR_PACKETS;
    return true;
}

static inline bool place(struct anybpf_job *job, const struct bytes *packet,
                         const struct bytes *context)
{
    struct anybpf_run *run = &job->run;
    size_t size = job->program->context_size;

    if (__builtin_expect(job->setting != ANYBPF_SET_FOR_PACKETS, 0) && !set_up_for_packets(job))
        return false;
    if (size <= ANYBPF_SMALL_CONTEXT)
        memcpy(job->context->bytes, nothing, ANYBPF_SMALL_CONTEXT);
    else
        memset(job->context->bytes, 0, size);
    if (context->size != 0)
        memcpy(job->context->bytes, context->start, context->size);
    if (packet->size != job->packet_size || run->packet_changed) {
        if (!place_anew(job, packet->size))
            return false;
    } else if (job->has_pointers) {
        anybpf_run_set_packet(run, &run->packet);
        run->packet_changed = false;
    }
    memcpy(job->packet + HEADROOM, packet->start, packet->size);
    anybpf_job_length(job, job->context->bytes, packet->size);
    return true;
}

static inline PyObject *call_with_packet(face *self, const struct bytes *packet,
                                         const struct bytes *context)
{
    struct anybpf_job *job = begin(self);

    if (job == NULL)
        return NULL;
    if (context->size > job->program->context_size)
        PyErr_Format(PyExc_ValueError, "this program's context has %u bytes, not %zu",
                     job->program->context_size, context->size);
    else if (place(job, packet, context))
        return run_once(job, 0);
    anybpf_job_end(job);
    return NULL;
}

PyObject *anybpf_program_packet(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct bytes context, packet;
    PyObject *result;

    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "packet() takes a packet, and a context or nothing");
        return NULL;
    }
    context.size = 0;
    context.buffer.obj = NULL;
    if (count == 2 && args[1] != Py_None && !look(args[1], &context))
        return NULL;
    if (look(args[0], &packet)) {
        result = call_with_packet((face *)object, &packet, &context);
        look_away(&packet);
    } else {
        result = NULL;
    }
    look_away(&context);
    return result;
}
