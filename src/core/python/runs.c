/* Program.run: a run on one packet, context or memory, with all that can be wished for, once or many
 * times; and what looks on while it goes.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "programs.h"

typedef struct anybpf_program_face face;

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
        anybpf_job_forget_packet(job);
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
    if (job->run.context != NULL)
        anybpf_job_length(job, job->run.context, (uint64_t)(packet.data_end - packet.data));
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

/* The last result. */
static uint64_t repeat(struct anybpf_run *run, const struct anybpf_program *program, uint64_t r2,
                       uint64_t times)
{
    uint64_t r1 = (uint64_t)(uintptr_t)run->context;
    uint64_t value = 0;

    run->stop.end = ANYBPF_ENDED;
    for (uint64_t i = 0; i < times;) {
        uint64_t to = times - i < ANYBPF_RUNS_A_SEAT ? times : i + ANYBPF_RUNS_A_SEAT;
        anybpf_native native = run->trace != NULL ? NULL : anybpf_native_of(program);
        bool counted = atomic_load_explicit(&program->counts, memory_order_relaxed);
        uint64_t left = anybpf_budget_left(run);

        if (!anybpf_between_runs(run, program, i % ANYBPF_RUNS_A_LOOK == 0 && i != 0))
            return 0;
        for (run->stop.end = ANYBPF_ENDED; i < to && run->stop.end == ANYBPF_ENDED; i++)
            value = counted ? anybpf_run_counted(run, program, native, r1, r2)
                            : anybpf_run_next(run, program, native, r1, r2);
        if (native == NULL)
            anybpf_warm(run, program, left - anybpf_budget_left(run));
        if (run->stop.end != ANYBPF_ENDED)
            return value;
        anybpf_refresh(run->domain, run->seat);
    }
    return value;
}

static PyObject *run_as_wished(struct anybpf_job *job, const struct wishes *wishes,
                               const Py_buffer *memory)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    uint64_t budget = wishes->budget == 0 ? UINT64_MAX : wishes->budget;
    uint64_t r2 = (uint64_t)memory->len;
    uint64_t value;
    uint64_t start;
    uint64_t ns;

    anybpf_give_budget(run, budget);
    anybpf_job_sit(job, wishes->cpu);
    start = anybpf_clock_ns(ANYBPF_MONOTONIC);
    value = repeat(run, program, r2, wishes->repeat);
    ns = anybpf_clock_ns(ANYBPF_MONOTONIC) - start;
    if (!anybpf_job_stand(job))
        return NULL;
    return outcome(job, value, ns, budget - anybpf_budget_left(run));
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
    if (wishes.memory != Py_None && !anybpf_take_memory(wishes.memory, &memory))
        return NULL;
    job = anybpf_job_begin((face *)object);
    if (job != NULL) {
        bool fine;

        job->setting = ANYBPF_SET_OTHERWISE;
        fine = anybpf_job_has_cpu(job, wishes.cpu) && anybpf_job_event(job, wishes.event) &&
               anybpf_job_deadline(job, wishes.timeout) && place_context(job, &wishes);

        if (fine && memory.obj != NULL)
            anybpf_job_memory(job, &memory);
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
