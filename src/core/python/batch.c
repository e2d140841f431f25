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
    uint8_t *fresh; /* the template, and zeros behind it; owned */
    uint64_t budget;
    size_t refresh;
    uint64_t *results;
    size_t placed; /* the size of the packet that the run is set up for */
    size_t done;
    bool over;
    bool no_memory;
    bool misfit; /* the record after those that are done lies nowhere, or does not fit */
    struct stopped {
        size_t index;
        struct anybpf_stop stop;
    } *stops; /* MOST_STOPS of them, made with the first; owned */
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

static inline void refill(struct anybpf_context *context, const struct batch *batch)
{
    if (batch->context_size <= ANYBPF_SMALL_CONTEXT)
        memcpy(context->bytes, batch->fresh, ANYBPF_SMALL_CONTEXT);
    else
        memcpy(context->bytes, batch->fresh, batch->context_size);
}

/* Where the last packet's size was another, or was changed. */
static __attribute__((noinline)) void set_packet(struct anybpf_job *job, struct batch *batch,
                                                 uint8_t *start, size_t size)
{
    struct anybpf_run *run = &job->run;
    uint8_t *end = start + size;
    struct anybpf_packet packet = {start, end, start, start, end, batch->read_only};

    anybpf_job_length(job, batch->fresh, size);
    anybpf_job_length(job, job->context->bytes, size);
    anybpf_run_set_packet(run, &packet);
    run->packet_changed = job->has_pointers; /* then there is more to be written each time */
    batch->placed = size;
}

/* Two neighbours at once. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));

/* A packet as large as the last one differs from it in where it lies and in nothing else. */
static inline void move_packet(struct anybpf_run *run, struct anybpf_context *context,
                               uint8_t *start, uint8_t *end)
{
    pair ends = {(uintptr_t)start, (uintptr_t)end};
    pair starts = {(uintptr_t)start, (uintptr_t)start};

    *(pair *)&run->packet.buffer = ends; /* and limit */
    *(pair *)&run->packet.data_meta = starts; /* and data */
    run->packet.data_end = end;
    run->region[ANYBPF_PACKET_REGION].start = (uintptr_t)start;
    *(pair *)&context->slot[ANYBPF_SLOT_DATA] = ends; /* and data_end */
    context->slot[ANYBPF_SLOT_DATA_META] = (uintptr_t)start;
}

static inline void place_packet(struct anybpf_job *job, struct batch *batch, uint8_t *start,
                                size_t size)
{
    refill(job->context, batch);
    if (__builtin_expect(job->run.packet_changed || size != batch->placed, 0))
        set_packet(job, batch, start, size);
    else
        move_packet(&job->run, job->context, start, start + size);
}

static inline bool place(struct anybpf_job *job, struct batch *batch, uint8_t *start, size_t size)
{
    struct anybpf_run *run = &job->run;

    switch (batch->kind) {
    case PACKETS:
        place_packet(job, batch, start, size);
        return true;
    case CONTEXTS:
        if (size > batch->context_size)
            return false;
        refill(job->context, batch);
        memcpy(job->context->bytes, start, size);
        return true;
    default:
        run->context = start;
        anybpf_set_region(run, ANYBPF_CONTEXT_REGION, start, size, !batch->read_only);
        return true;
    }
}

/* False: no more records are to be run. */
static __attribute__((noinline, cold)) bool note_stop(struct batch *batch,
                                                      const struct anybpf_run *run, size_t index)
{
    bool last = run->stop.end == ANYBPF_OUT_OF_TIME || run->stop.end == ANYBPF_STOPPED ||
                run->raised != NULL;

    if (batch->stops == NULL)
        batch->stops = PyMem_RawMalloc(MOST_STOPS * sizeof(*batch->stops));
    if (batch->stops == NULL) {
        batch->no_memory = batch->over = true;
        return false;
    }
    if (last && batch->stopped == MOST_STOPS)
        batch->stopped--;
    if (batch->stopped < MOST_STOPS) {
        batch->stops[batch->stopped].index = index;
        batch->stops[batch->stopped++].stop = run->stop;
    }
    batch->over = last;
    return !last;
}

/* From `index` on, while the seat is kept: the index of the first that is not done. */
static __attribute__((noinline)) size_t run_some(struct anybpf_job *job, struct batch *batch,
                                                 size_t index, size_t to)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    anybpf_native native = anybpf_native_of(program);
    bool counted = atomic_load_explicit(&program->counts, memory_order_relaxed);
    uint64_t spent = 0;

    for (; index < to; index++) {
        uint8_t *start;
        size_t size;
        uint64_t r2, value;

        if (!record(batch, index, &start, &size) || !place(job, batch, start, size)) {
            batch->misfit = batch->over = true;
            break;
        }
        anybpf_give_budget(run, batch->budget);
        r2 = batch->kind == MEMORY ? size : 0;
        value = counted ? anybpf_run_counted(run, program, native, (uintptr_t)run->context, r2)
                        : anybpf_run_next(run, program, native, (uintptr_t)run->context, r2);
        spent += batch->budget - anybpf_budget_left(run);
        if (__builtin_expect(run->stop.end != ANYBPF_ENDED, 0) && !note_stop(batch, run, index))
            break;
        batch->results[index] = value;
    }
    if (native == NULL)
        anybpf_warm(run, program, spent);
    return index;
}

/* The same for what is most in a hurry: packets one behind the other, run by compiled code, with small
 * contexts and no budget. */
static __attribute__((noinline)) size_t run_packets(struct anybpf_job *job, struct batch *batch,
                                                    size_t index, size_t to, anybpf_native native)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    struct anybpf_context *context = job->context;
    size_t stride = batch->stride;
    uint8_t *start = batch->records + index * stride;
    uint64_t *result = batch->results + index;
    uint64_t *last = batch->results + to;
    const uint8_t *fresh = batch->fresh;

    if (native == NULL)
        __builtin_unreachable();
    if (batch->placed != stride)
        set_packet(job, batch, start, stride);
    for (; result != last; result++, start += stride) {
        memcpy(context->bytes, fresh, ANYBPF_SMALL_CONTEXT);
        if (__builtin_expect(run->packet_changed, 0))
            set_packet(job, batch, start, stride);
        else
            move_packet(run, context, start, start + stride);
        *result = anybpf_run_next(run, program, native, (uintptr_t)context->bytes, 0);
        if (__builtin_expect(run->stop.end != ANYBPF_ENDED, 0) &&
            !note_stop(batch, run, (size_t)(result - batch->results)))
            break;
    }
    return (size_t)(result - batch->results);
}

static bool may_hurry(const struct anybpf_job *job, const struct batch *batch)
{
    return batch->kind == PACKETS && batch->offsets == NULL && batch->budget == UINT64_MAX &&
           batch->context_size <= ANYBPF_SMALL_CONTEXT &&
           !atomic_load_explicit(&job->program->counts, memory_order_relaxed);
}

/* Without the GIL. */
static void run_all(struct anybpf_job *job, struct batch *batch)
{
    struct anybpf_run *run = &job->run;
    const struct anybpf_program *program = job->program;
    size_t unseen = 0;

    anybpf_give_budget(run, batch->budget);
    while (batch->done < batch->count && !batch->over) {
        size_t from = batch->done;
        size_t to = batch->count - from < batch->refresh ? batch->count : from + batch->refresh;
        bool look = unseen >= ANYBPF_RUNS_A_LOOK;
        anybpf_native native = anybpf_native_of(program);

        if (!anybpf_between_runs(run, program, look)) {
            note_stop(batch, run, from);
            break;
        }
        if (look)
            unseen = 0;
        if (native != NULL && may_hurry(job, batch))
            batch->done = run_packets(job, batch, from, to, native);
        else
            batch->done = run_some(job, batch, from, to);
        unseen += to - from;
        anybpf_refresh(run->domain, run->seat);
    }
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

    batch->fresh = PyMem_Calloc(batch->context_size + ANYBPF_SMALL_CONTEXT, 1);
    if (results == NULL || batch->fresh == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(batch->fresh, batch->template, batch->template_size);
    batch->results = (uint64_t *)(void *)PyBytes_AS_STRING(results);
    if (batch->kind != MEMORY) {
        if (!anybpf_job_context(job, batch->context_size))
            goto done;
        anybpf_run_set_context(&job->run, job->context, batch->context_size, true);
    } else {
        anybpf_run_set_context(&job->run, NULL, 0, false);
    }
    job->run.packet_changed = true; /* whatever was there */
    anybpf_job_sit(job, cpu);
    if (job->thread == NULL)
        job->thread = PyEval_SaveThread();
    run_all(job, batch);
    if (!anybpf_job_stand(job))
        goto done;
    if (batch->no_memory) {
        PyErr_NoMemory();
        goto done;
    }
    if (batch->misfit) {
        PyErr_Format(PyExc_ValueError, "record %zu does not lie in the buffer, or does not fit",
                     batch->done);
        goto done;
    }
    if (batch->done != batch->count &&
        _PyBytes_Resize(&results, (Py_ssize_t)(8 * batch->done)) != 0)
        goto done;
    result = Py_BuildValue("(ON)", results, stops_of(batch));
done:
    Py_XDECREF(results);
    PyMem_RawFree(batch->stops);
    PyMem_Free(batch->fresh);
    return result;
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
        !anybpf_take_memory(buffer, &records))
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
    job->setting = ANYBPF_SET_OTHERWISE;
    anybpf_job_forget_packet(job);
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
