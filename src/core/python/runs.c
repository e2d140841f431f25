/* Runs of a Program from Python: one at a time. Many at once are in batch.c.
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

/* Jobs. */

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

struct anybpf_job *anybpf_job_begin(face *self)
{
    struct anybpf_job *job = self->spare;

    if (self->program == NULL) {
        PyErr_SetString(PyExc_ValueError, "this program is closed");
        return NULL;
    }
    self->spare = NULL;
    if (job == NULL) {
        job = PyMem_RawCalloc(1, sizeof(*job));
        if (job == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        anybpf_run_init(&job->run, self->program->domain, 0);
        job->run.user = job;
        job->run.on_slice = on_slice;
        for (int i = 0; i < 3; i++)
            job->run.packet_fields[i] = self->packet_fields[i];
    }
    atomic_store_explicit(&job->run.stop_now, false, memory_order_relaxed);
    job->interrupted = false;
    job->face = (face *)Py_NewRef((PyObject *)self);
    job->program = self->program;
    job->next = self->jobs;
    job->link = &self->jobs;
    if (job->next != NULL)
        job->next->link = &job->next;
    self->jobs = job;
    return job;
}

void anybpf_job_end(struct anybpf_job *job)
{
    face *self = job->face;

    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    job->program = NULL;
    if (self->held != NULL && self->jobs == NULL)
        anybpf_program_let_go(self);
    if (self->spare == NULL) {
        self->spare = job;
    } else {
        PyMem_RawFree(job->context);
        PyMem_RawFree(job->packet);
        PyMem_RawFree(job);
    }
    Py_DECREF((PyObject *)self);
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
}

bool anybpf_job_stand(struct anybpf_job *job)
{
    PyObject *raised;

    anybpf_leave(job->run.domain, job->run.seat);
    if (job->thread != NULL) {
        PyEval_RestoreThread(job->thread);
        job->thread = NULL;
    }
    if (job->face->on_hot != NULL && atomic_load_explicit(&job->program->heat,
                                                          memory_order_relaxed) >= ANYBPF_HOT)
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

    if (!grow(&room, &job->context_room, sizeof(struct anybpf_context) + size + 8))
        return false;
    job->context = room;
    memset(job->context, 0, sizeof(struct anybpf_context) + size + 8);
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

void anybpf_job_length(struct anybpf_job *job, uint64_t length)
{
    int32_t place = job->face->length_field;
    const struct anybpf_region *context = &job->run.region[ANYBPF_CONTEXT_REGION];
    uint32_t number = (uint32_t)length;

    if (place >= 0 && context->size >= 4 && (uint64_t)place <= context->size - 4)
        memcpy((uint8_t *)context->start + place, &number, sizeof(number));
}

PyObject *anybpf_stop_as_tuple(const struct anybpf_stop *stop)
{
    return Py_BuildValue("(iIIKIOK)", (int)stop->end, stop->program, stop->pc,
                         (unsigned long long)stop->address, stop->size,
                         stop->write ? Py_True : Py_False, (unsigned long long)stop->value);
}

/* Whether r1 is to be memory of the caller's, and which. */
static bool take_memory(PyObject *object, Py_buffer *memory)
{
    if (PyObject_GetBuffer(object, memory, PyBUF_WRITABLE) == 0)
        return true;
    PyErr_Clear();
    return PyObject_GetBuffer(object, memory, PyBUF_SIMPLE) == 0;
}

static void use_memory(struct anybpf_run *run, const Py_buffer *memory)
{
    anybpf_run_set_memory(run, memory->buf, (size_t)memory->len);
    if (memory->readonly)
        anybpf_set_region(run, ANYBPF_CONTEXT_REGION, memory->buf, (uint64_t)memory->len, false);
}

static void forget_packet(struct anybpf_run *run)
{
    if (run->packet.buffer != NULL) {
        memset(&run->packet, 0, sizeof(run->packet));
        anybpf_set_region(run, ANYBPF_PACKET_REGION, NULL, 0, false);
    }
}

PyObject *anybpf_program_call(PyObject *object, PyObject *const *args, size_t flags,
                              PyObject *names)
{
    size_t count = (size_t)PyVectorcall_NARGS(flags);
    bool with_memory = count == 1 && args[0] != Py_None;
    Py_buffer memory = {0};
    struct anybpf_job *job;
    struct anybpf_run *run;
    uint64_t value;
    bool fine;
    PyObject *result = NULL;

    if (count > 1 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "a program is called with memory, or with nothing");
        return NULL;
    }
    if (with_memory && !take_memory(args[0], &memory))
        return NULL;
    job = anybpf_job_begin((face *)object);
    if (job != NULL) {
        run = &job->run;
        forget_packet(run);
        if (with_memory || run->context != NULL)
            use_memory(run, &memory);
        run->event = NULL;
        run->trace = NULL;
        run->budget = UINT64_MAX;
        run->deadline = 0;
        anybpf_job_sit(job, -1);
        value = anybpf_run_program(run, job->program, (uint64_t)(uintptr_t)memory.buf,
                                   (uint64_t)memory.len);
        fine = anybpf_job_stand(job);
        if (fine)
            result = run->stop.end == ANYBPF_ENDED ? PyLong_FromUnsignedLongLong(value)
                                                   : anybpf_stop_as_tuple(&run->stop);
        anybpf_job_end(job);
    }
    if (with_memory)
        PyBuffer_Release(&memory);
    return result;
}

/* Tracing. */

static PyObject *registers(const uint64_t *r)
{
    PyObject *tuple = PyTuple_New(ANYBPF_REGISTERS);

    for (Py_ssize_t i = 0; tuple != NULL && i < (Py_ssize_t)ANYBPF_REGISTERS; i++) {
        PyObject *word = PyLong_FromUnsignedLongLong(r[i]);

        if (word == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, word);
    }
    return tuple;
}

/* Takes the answer of a callback over. False: stop. */
static bool answer(struct anybpf_run *run, PyObject *done)
{
    int truth = done == NULL ? -1 : PyObject_IsTrue(done);
    PyObject *type, *value, *traceback;

    Py_XDECREF(done);
    if (truth >= 0)
        return truth == 0;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    if (run->raised == NULL)
        run->raised = value;
    else
        Py_XDECREF(value);
    return false;
}

static bool step(struct anybpf_run *run, const struct anybpf_program *program, uint32_t slot,
                 uint64_t *r)
{
    struct anybpf_job *job = run->user;
    PyGILState_STATE state = PyGILState_Ensure();
    bool go_on = answer(run, PyObject_CallFunction(job->step, "IIN", program->object.id, slot,
                                                   registers(r)));

    PyGILState_Release(state);
    return go_on;
}

static bool touch(struct anybpf_run *run, const struct anybpf_program *program, uint32_t slot,
                  uint64_t *r, struct anybpf_access access)
{
    struct anybpf_job *job = run->user;
    PyGILState_STATE state = PyGILState_Ensure();
    bool go_on = answer(
        run, PyObject_CallFunction(job->touch, "IINKIO", program->object.id, slot, registers(r),
                                   (unsigned long long)access.address, access.size,
                                   access.write ? Py_True : Py_False));

    PyGILState_Release(state);
    return go_on;
}

struct tracing {
    struct anybpf_counts counts;
    Py_buffer buffer;
    struct anybpf_watch *watches;
};

static bool take_watches(struct anybpf_job *job, struct tracing *tracing, PyObject *watch)
{
    PyObject *list = PySequence_Fast(watch, "watch is a sequence of (address, size, reads, writes)");
    Py_ssize_t count = list == NULL ? 0 : PySequence_Fast_GET_SIZE(list);

    if (list != NULL && count != 0) {
        tracing->watches = PyMem_Calloc((size_t)count, sizeof(*tracing->watches));
        if (tracing->watches == NULL)
            PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++) {
        struct anybpf_watch *each = &tracing->watches[i];
        unsigned long long start, size;
        int reads, writes;

        if (!PyTuple_Check(PySequence_Fast_GET_ITEM(list, i)))
            PyErr_SetString(PyExc_TypeError, "a watch is (address, size, reads, writes)");
        else if (PyArg_ParseTuple(PySequence_Fast_GET_ITEM(list, i), "KKpp", &start, &size,
                                  &reads, &writes))
            *each = (struct anybpf_watch){start, size, reads != 0, writes != 0};
    }
    Py_XDECREF(list);
    job->trace.watches = tracing->watches;
    job->trace.watch_count = (size_t)count;
    return !PyErr_Occurred();
}

/* Fills job->trace, if there is anything to trace. */
static bool take_tracing(struct anybpf_job *job, struct tracing *tracing, PyObject *counts,
                         PyObject *step_object, PyObject *touch_object, PyObject *watch)
{
    const struct anybpf_program *program = job->program;

    job->run.trace = NULL;
    if (counts == Py_None && step_object == Py_None && touch_object == Py_None)
        return true;
    memset(&job->trace, 0, sizeof(job->trace));
    if (counts != Py_None) {
        if (PyObject_GetBuffer(counts, &tracing->buffer, PyBUF_WRITABLE) != 0)
            return false;
        if ((size_t)tracing->buffer.len < 8 * (size_t)program->slots ||
            (uintptr_t)tracing->buffer.buf % 8 != 0) {
            PyErr_Format(PyExc_ValueError, "counts needs 8 bytes for each of %u slots, aligned",
                         program->slots);
            return false;
        }
        tracing->counts.program = program;
        tracing->counts.counts = tracing->buffer.buf;
        job->trace.counts = &tracing->counts;
    }
    if (step_object != Py_None)
        job->trace.step = step;
    if (touch_object != Py_None) {
        job->trace.touch = touch;
        if (watch != NULL && !take_watches(job, tracing, watch))
            return false;
    }
    job->step = step_object;
    job->touch = touch_object;
    job->run.trace = &job->trace;
    return true;
}

static void end_tracing(struct anybpf_job *job, struct tracing *tracing)
{
    job->run.trace = NULL;
    if (tracing->buffer.obj != NULL)
        PyBuffer_Release(&tracing->buffer);
    PyMem_Free(tracing->watches);
}

/* The whole form of a run. */

struct wishes {
    PyObject *packet, *context, *memory, *event, *counts, *step, *touch, *watch;
    Py_ssize_t meta, headroom, tailroom;
    unsigned long long repeat, budget;
    long cpu;
    double timeout;
};

static bool place_context(struct anybpf_job *job, const struct wishes *wishes)
{
    size_t size = job->program->context_size;
    Py_buffer bytes = {0};
    bool fine = true;

    if (wishes->context != Py_None &&
        PyObject_GetBuffer(wishes->context, &bytes, PyBUF_SIMPLE) != 0)
        return false;
    if (bytes.obj != NULL && (size_t)bytes.len > size) {
        PyErr_Format(PyExc_ValueError, "this program's context has %zu bytes, not %zd", size,
                     bytes.len);
        fine = false;
    }
    if (size == 0) { /* r1 is 0 then, or the caller's memory */
        anybpf_run_set_context(&job->run, NULL, 0, false);
        if (bytes.obj != NULL)
            PyBuffer_Release(&bytes);
        return fine;
    }
    fine = fine && anybpf_job_context(job, size);
    if (fine) {
        if (bytes.len != 0)
            memcpy(job->context->bytes, bytes.buf, (size_t)bytes.len);
        anybpf_run_set_context(&job->run, job->context, size, true);
    }
    if (bytes.obj != NULL)
        PyBuffer_Release(&bytes);
    return fine;
}

static bool place_packet(struct anybpf_job *job, const struct wishes *wishes)
{
    struct anybpf_packet packet = {0};
    Py_buffer bytes = {0};
    size_t size;

    if (wishes->packet == Py_None) {
        forget_packet(&job->run);
        return true;
    }
    if (PyObject_GetBuffer(wishes->packet, &bytes, PyBUF_SIMPLE) != 0)
        return false;
    if (wishes->meta < 0 || wishes->meta > bytes.len || wishes->headroom < 0 ||
        wishes->tailroom < 0 || wishes->headroom > 1 << 24 || wishes->tailroom > 1 << 24) {
        PyErr_SetString(PyExc_ValueError, "meta, headroom or tailroom is out of range");
        PyBuffer_Release(&bytes);
        return false;
    }
    size = (size_t)wishes->headroom + (size_t)bytes.len + (size_t)wishes->tailroom;
    if (!anybpf_job_packet(job, size)) {
        PyBuffer_Release(&bytes);
        return false;
    }
    memset(job->packet, 0, size);
    packet.buffer = job->packet;
    packet.limit = packet.buffer + size;
    packet.data_meta = packet.buffer + wishes->headroom;
    packet.data = packet.data_meta + wishes->meta;
    packet.data_end = packet.data_meta + bytes.len;
    memcpy(packet.data_meta, bytes.buf, (size_t)bytes.len);
    PyBuffer_Release(&bytes);
    anybpf_run_set_packet(&job->run, &packet);
    anybpf_job_length(job, (uint64_t)(packet.data_end - packet.data));
    return true;
}

static PyObject *piece(const uint8_t *from, const uint8_t *to)
{
    if (from == NULL)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)from, to - from);
}

/* Pointers that the context held are nobody's business. */
static PyObject *context_out(struct anybpf_job *job)
{
    size_t size = job->program->context_size;

    if (size == 0 || job->run.context != job->context->bytes)
        Py_RETURN_NONE;
    for (int i = 0; i < 3; i++) {
        int32_t place = job->run.packet_fields[i];

        if (place >= 0 && size >= 8 && (size_t)place <= size - 8)
            memset(job->context->bytes + place, 0, 8);
    }
    return PyBytes_FromStringAndSize((const char *)job->context->bytes, (Py_ssize_t)size);
}

static PyObject *redirect_out(const struct anybpf_redirect *redirect)
{
    if (redirect->kind == 0)
        Py_RETURN_NONE;
    return Py_BuildValue("(IIKKy#)", redirect->kind, redirect->map,
                         (unsigned long long)redirect->key, (unsigned long long)redirect->flags,
                         (const char *)redirect->value, (Py_ssize_t)sizeof(redirect->value));
}

static PyObject *outcome(struct anybpf_job *job, uint64_t value, uint64_t ns, uint64_t used)
{
    const struct anybpf_packet *packet = &job->run.packet;
    bool stopped = job->run.stop.end != ANYBPF_ENDED;

    return Py_BuildValue(
        "(KNNNNKKN)", (unsigned long long)value,
        stopped ? anybpf_stop_as_tuple(&job->run.stop) : Py_NewRef(Py_None),
        piece(packet->data, packet->data_end), piece(packet->data_meta, packet->data),
        context_out(job), (unsigned long long)ns, (unsigned long long)used,
        redirect_out(&job->run.redirect));
}

static PyObject *run_as_wished(struct anybpf_job *job, const struct wishes *wishes,
                               const Py_buffer *memory)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    uint64_t budget = wishes->budget == 0 ? UINT64_MAX : wishes->budget;
    uint64_t r1 = (uint64_t)(uintptr_t)run->context;
    uint64_t r2 = (uint64_t)memory->len;
    uint64_t value = 0;
    uint64_t start;
    uint64_t ns;

    run->budget = budget;
    anybpf_job_sit(job, wishes->cpu);
    start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    for (unsigned long long i = 0; i < wishes->repeat; i++) {
        value = anybpf_run_program(run, program, r1, r2);
        if (run->stop.end != ANYBPF_ENDED)
            break;
        if ((i & 255) == 255)
            anybpf_refresh(run->domain, run->seat);
    }
    ns = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;
    if (!anybpf_job_stand(job))
        return NULL;
    return outcome(job, value, ns, budget - run->budget);
}

PyObject *anybpf_program_run(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"packet", "context", "memory", "meta", "event", "repeat", "cpu",
                            "budget", "timeout", "headroom", "tailroom", "counts", "step",
                            "touch", "watch", NULL};
    struct wishes wishes = {.packet = Py_None, .context = Py_None, .memory = Py_None,
                            .event = Py_None, .counts = Py_None, .step = Py_None,
                            .touch = Py_None, .headroom = 256, .tailroom = 320, .repeat = 1,
                            .cpu = -1};
    struct tracing tracing = {0};
    Py_buffer memory = {0};
    struct anybpf_job *job;
    PyObject *result = NULL;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$OOOnOKlKdnnOOOO:run", names, &wishes.packet, &wishes.context,
            &wishes.memory, &wishes.meta, &wishes.event, &wishes.repeat, &wishes.cpu,
            &wishes.budget, &wishes.timeout, &wishes.headroom, &wishes.tailroom, &wishes.counts,
            &wishes.step, &wishes.touch, &wishes.watch))
        return NULL;
    if (wishes.memory != Py_None && !take_memory(wishes.memory, &memory))
        return NULL;
    job = anybpf_job_begin((face *)object);
    if (job != NULL) {
        bool fine = anybpf_job_has_cpu(job, wishes.cpu) &&
                    anybpf_job_event(job, wishes.event) &&
                    anybpf_job_deadline(job, wishes.timeout) && place_context(job, &wishes);

        if (fine && memory.obj != NULL)
            use_memory(&job->run, &memory);
        fine = fine && place_packet(job, &wishes) &&
               take_tracing(job, &tracing, wishes.counts, wishes.step, wishes.touch,
                            wishes.watch);
        if (fine)
            result = run_as_wished(job, &wishes, &memory);
        end_tracing(job, &tracing);
        anybpf_job_end(job);
    }
    if (memory.obj != NULL)
        PyBuffer_Release(&memory);
    return result;
}
