/* anybpf._core.LAYOUT: where the fields lie that compiled code touches, and numbers that it knows.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "codes.h"

#include "../interpreter.h"

#define RUN(field) {"run." #field, offsetof(struct anybpf_run, field)}
#define PROGRAM(field) {"program." #field, offsetof(struct anybpf_program, field)}
#define MAP(field) {"map." #field, offsetof(struct anybpf_map, field)}
#define REGION(field) {"region." #field, offsetof(struct anybpf_region, field)}

static const struct {
    const char *name;
    size_t value;
} layout[] = {
    RUN(region),
    RUN(regions),
    RUN(areas_version),
    RUN(domain),
    RUN(seat),
    RUN(program),
    RUN(context),
    RUN(packet),
    RUN(packet.data_meta),
    RUN(packet.data),
    RUN(packet.data_end),
    RUN(redirect),
    RUN(redirect.kind),
    RUN(redirect.map),
    RUN(redirect.key),
    RUN(redirect.flags),
    RUN(budget),
    RUN(slice),
    RUN(deadline),
    RUN(stop_now),
    RUN(frames),
    RUN(tail_calls),
    RUN(next_program),
    RUN(stop),
    RUN(stop.end),
    RUN(stop.program),
    RUN(stop.pc),
    RUN(stop.address),
    RUN(stop.size),
    RUN(stop.write),
    RUN(stop.value),
    RUN(calling),
    RUN(random),
    RUN(trace),
    RUN(call),
    RUN(stack),
    {"run.stack.size", sizeof(((struct anybpf_run *)NULL)->stack)},
    {"run.size", sizeof(struct anybpf_run)},

    REGION(start),
    {"region.size", offsetof(struct anybpf_region, size)},
    REGION(writable_size),
    REGION(writable),
    {"region.bytes", sizeof(struct anybpf_region)}, /* of one: "region.size" is a field */
    {"regions", ANYBPF_REGIONS},
    {"regions.stack", ANYBPF_STACK_REGION},
    {"regions.context", ANYBPF_CONTEXT_REGION},
    {"regions.packet", ANYBPF_PACKET_REGION},
    {"regions.header", ANYBPF_HEADER_REGION},
    {"regions.header_end", ANYBPF_HEADER_END_REGION},
    {"regions.scratch", ANYBPF_SCRATCH_REGION},
    {"regions.first_area", ANYBPF_FIRST_AREA},

    PROGRAM(object.id),
    PROGRAM(domain),
    PROGRAM(slots),
    PROGRAM(ops),
    PROGRAM(native),
    PROGRAM(native_functions),
    PROGRAM(maps),
    PROGRAM(map_count),
    PROGRAM(helpers),
    PROGRAM(helper_count),
    PROGRAM(codes),
    PROGRAM(type),
    PROGRAM(context_size),
    PROGRAM(behaviour),
    PROGRAM(compatible),
    {"op.bytes", sizeof(struct anybpf_op)},

    MAP(object.id),
    MAP(ops),
    MAP(header),
    MAP(shape),
    {"map.shape.key_size", offsetof(struct anybpf_map, shape.key_size)},
    {"map.shape.value_size", offsetof(struct anybpf_map, shape.value_size)},
    {"map.shape.max_entries", offsetof(struct anybpf_map, shape.max_entries)},
    MAP(value_stride),
    MAP(values),
    MAP(values_size),

    {"context.bytes", offsetof(struct anybpf_context, bytes)},
    {"context.slot", offsetof(struct anybpf_context, slot)},

    {"frame.bytes", ANYBPF_FRAME_BYTES},
    {"frames", ANYBPF_FRAMES},
    {"tail_calls", ANYBPF_MOST_TAIL_CALLS},
    {"may_goto.turns", ANYBPF_MAY_GOTO_TURNS},
};

int anybpf_add_layout(PyObject *module)
{
    PyObject *dict = PyDict_New();
    int result;

    for (size_t i = 0; dict != NULL && i < sizeof(layout) / sizeof(layout[0]); i++) {
        PyObject *value = PyLong_FromSize_t(layout[i].value);

        if (value == NULL || PyDict_SetItemString(dict, layout[i].name, value) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    result = dict == NULL ? -1 : PyModule_AddObjectRef(module, "LAYOUT", dict);
    Py_XDECREF(dict);
    return result;
}
