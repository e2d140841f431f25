/* Runs of a Program on every record of a buffer, with the GIL given up and one seat for all.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "programs.h"

typedef struct anybpf_program_face face;

/* Stops that a batch keeps; of the rest only the result, 0, is left. */
#define MOST_STOPS 1000

enum kind { PACKETS, CONTEXTS, MEMORY, UNKNOWN };

struct batch {
    uint8_t *records;
    size_t size;
    bool read_only;
    size_t stride;
    const uint8_t *offsets; /* eight-byte numbers, any alignment; NULL: by stride */
    size_t count;
    enum kind kind;
    const uint8_t *template; /* of contexts */
    size_t template_size;
    size_t context_size;
    uint64_t budget;
    size_t refresh;
    uint64_t *results;
    size_t done;
    struct {
        size_t index;
        struct anybpf_stop stop;
    } *stops;
    size_t stopped;
};

static enum kind kind_by_name(const char *name)
{
    static const char *const names[] = {"packet", "context", "memory"};

    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum kind)i;
    PyErr_Format(PyExc_ValueError, "records are packet, context or memory, not %.50s", name);
    return UNKNOWN;
}

static uint64_t offset_at(const struct batch *batch, size_t index)
{
    uint64_t offset;

    memcpy(&offset, batch->offsets + 8 * index, sizeof(offset));
    return offset;
}

/* How many records there are, each inside the buffer. */
static bool measure(struct batch *batch, Py_ssize_t stride, const Py_buffer *offsets)
{
    if ((offsets->obj != NULL) == (stride != 0) || stride < 0) {
        PyErr_SetString(PyExc_ValueError, "a batch has either a stride above 0 or offsets");
        return false;
    }
    if (offsets->obj == NULL) {
        batch->stride = (size_t)stride;
        batch->count = batch->size / batch->stride;
        if (batch->size % batch->stride == 0)
            return true;
        PyErr_Format(PyExc_ValueError, "%zu bytes are not a multiple of the stride, %zd",
                     batch->size, stride);
        return false;
    }
    if (offsets->len < 8 || offsets->len % 8 != 0) {
        PyErr_SetString(PyExc_ValueError, "offsets are eight bytes each, one more than records");
        return false;
    }
    batch->offsets = offsets->buf;
    batch->count = (size_t)offsets->len / 8 - 1;
    return true;
}

/* False: offsets that lead nowhere. Read once, as they are used: they may be anybody's memory. */
static bool record(const struct batch *batch, size_t index, uint8_t **start, size_t *size)
{
    uint64_t from = batch->stride * index;
    uint64_t to = from + batch->stride;

    if (batch->offsets != NULL) {
        from = offset_at(batch, index);
        to = offset_at(batch, index + 1);
    }
    if (from > to || to > batch->size)
        return false;
    *start = batch->records + from;
    *size = (size_t)(to - from);
    return true;
}

static bool place(struct anybpf_job *job, const struct batch *batch, uint8_t *start, size_t size)
{
    struct anybpf_run *run = &job->run;
    struct anybpf_packet packet = {start, start + size, start, start, start + size,
                                   batch->read_only};

    switch (batch->kind) {
    case PACKETS:
        memset(job->context->bytes, 0, batch->context_size);
        memcpy(job->context->bytes, batch->template, batch->template_size);
        anybpf_run_set_packet(run, &packet);
        anybpf_job_length(job, size);
        return true;
    case CONTEXTS:
        if (size > batch->context_size)
            return false;
        memset(job->context->bytes, 0, batch->context_size);
        memcpy(job->context->bytes, start, size);
        return true;
    default:
        anybpf_run_set_memory(run, start, size);
        anybpf_set_region(run, ANYBPF_CONTEXT_REGION, start, size, !batch->read_only);
        return true;
    }
}

/* Without the GIL. The index of a record that does not fit, or SIZE_MAX. */
static size_t run_all(struct anybpf_job *job, struct batch *batch)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;

    for (size_t i = 0; i < batch->count; i++) {
        uint8_t *start;
        size_t size;
        uint64_t value;

        if (!record(batch, i, &start, &size) || !place(job, batch, start, size))
            return i;
        if (i % batch->refresh == batch->refresh - 1)
            anybpf_refresh(run->domain, run->seat);
        run->budget = batch->budget;
        value = anybpf_run_program(run, program, (uint64_t)(uintptr_t)run->context,
                                   batch->kind == MEMORY ? size : 0);
        if (__builtin_expect(run->stop.end != ANYBPF_ENDED, 0)) {
            if (run->stop.end == ANYBPF_OUT_OF_TIME || run->stop.end == ANYBPF_STOPPED ||
                run->raised != NULL) {
                if (batch->stopped == MOST_STOPS)
                    batch->stopped--;
            }
            if (batch->stopped < MOST_STOPS) {
                batch->stops[batch->stopped].index = i;
                batch->stops[batch->stopped++].stop = run->stop;
            }
            if (run->stop.end == ANYBPF_OUT_OF_TIME || run->stop.end == ANYBPF_STOPPED ||
                run->raised != NULL)
                break;
        }
        batch->results[i] = value;
        batch->done = i + 1;
    }
    return SIZE_MAX;
}

static PyObject *stops_of(const struct batch *batch)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < batch->stopped; i++) {
        PyObject *pair = Py_BuildValue("(nN)", (Py_ssize_t)batch->stops[i].index,
                                       anybpf_stop_as_tuple(&batch->stops[i].stop));

        if (pair == NULL || PyList_Append(list, pair) != 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

static PyObject *run_batch(struct anybpf_job *job, struct batch *batch, long cpu)
{
    PyObject *results = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(8 * batch->count));
    PyObject *result = NULL;
    size_t misfit;

    batch->stops = PyMem_Calloc(MOST_STOPS, sizeof(*batch->stops));
    if (results == NULL || batch->stops == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    batch->results = (uint64_t *)(void *)PyBytes_AS_STRING(results);
    if (batch->kind != MEMORY) {
        if (!anybpf_job_context(job, batch->context_size))
            goto done;
        anybpf_run_set_context(&job->run, job->context, batch->context_size, true);
    }
    anybpf_job_sit(job, cpu);
    if (job->thread == NULL)
        job->thread = PyEval_SaveThread();
    misfit = run_all(job, batch);
    if (!anybpf_job_stand(job))
        goto done;
    if (misfit != SIZE_MAX) {
        PyErr_Format(PyExc_ValueError, "record %zu does not lie in the buffer, or does not fit",
                     misfit);
        goto done;
    }
    if (batch->done != batch->count &&
        _PyBytes_Resize(&results, (Py_ssize_t)(8 * batch->done)) != 0)
        goto done;
    result = Py_BuildValue("(ON)", results, stops_of(batch));
done:
    Py_XDECREF(results);
    PyMem_Free(batch->stops);
    return result;
}

/* The buffer, writable if it can be. */
static bool take_records(PyObject *object, Py_buffer *records)
{
    if (PyObject_GetBuffer(object, records, PyBUF_WRITABLE) == 0)
        return true;
    PyErr_Clear();
    return PyObject_GetBuffer(object, records, PyBUF_SIMPLE) == 0;
}

PyObject *anybpf_program_run_batch(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"buffer", "stride", "offsets", "kind", "context", "event", "cpu",
                            "budget", "timeout", "refresh", NULL};
    PyObject *buffer, *event = Py_None;
    Py_buffer records = {0}, offsets = {0}, context = {0};
    PyObject *offsets_object = Py_None, *context_object = Py_None;
    const char *kind = "packet";
    Py_ssize_t stride = 0, refresh = 256;
    unsigned long long budget = 0;
    double timeout = 0;
    long cpu = -1;
    struct batch batch = {0};
    struct anybpf_job *job;
    PyObject *result = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$nOsOOlKdn:run_batch", names, &buffer,
                                     &stride, &offsets_object, &kind, &context_object, &event,
                                     &cpu, &budget, &timeout, &refresh) ||
        !take_records(buffer, &records))
        return NULL;
    if ((offsets_object != Py_None &&
         PyObject_GetBuffer(offsets_object, &offsets, PyBUF_SIMPLE) != 0) ||
        (context_object != Py_None &&
         PyObject_GetBuffer(context_object, &context, PyBUF_SIMPLE) != 0))
        goto release;
    batch.kind = kind_by_name(kind);
    batch.records = records.buf;
    batch.size = (size_t)records.len;
    batch.read_only = records.readonly;
    batch.budget = budget == 0 ? UINT64_MAX : budget;
    batch.refresh = refresh < 1 ? 1 : (size_t)refresh;
    batch.template = context.obj == NULL ? (const uint8_t *)"" : context.buf;
    batch.template_size = (size_t)context.len;
    if (batch.kind == UNKNOWN || !measure(&batch, stride, &offsets))
        goto release;
    job = anybpf_job_begin((face *)object);
    if (job == NULL)
        goto release;
    batch.context_size = job->program->context_size;
    memset(&job->run.packet, 0, sizeof(job->run.packet));
    anybpf_set_region(&job->run, ANYBPF_PACKET_REGION, NULL, 0, false);
    job->run.trace = NULL;
    if (batch.template_size > batch.context_size)
        PyErr_Format(PyExc_ValueError, "this program's context has %zu bytes, not %zu",
                     batch.context_size, batch.template_size);
    else if (anybpf_job_has_cpu(job, cpu) && anybpf_job_event(job, event) && anybpf_job_deadline(job, timeout))
        result = run_batch(job, &batch, cpu);
    anybpf_job_end(job);
release:
    PyBuffer_Release(&records);
    if (offsets.obj != NULL)
        PyBuffer_Release(&offsets);
    if (context.obj != NULL)
        PyBuffer_Release(&context);
    return result;
}
