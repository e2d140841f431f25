/* m[key], m[key] = value, del m[key], key in m, m.get(key): with integers and bytes all the way in C.
 *
 * Copyright (c) the anybpf authors. SPDX-License-Identifier: MIT
 */
#include "faces.h"

typedef struct anybpf_map_face face;

#define ROOM 256u /* for a key or a value on the stack */

/* The bytes of a key or value: on the stack, in memory of its own, or borrowed from an object. */
struct bytes {
    const void *at;
    PyObject *object; /* a reference, or NULL */
    Py_buffer buffer; /* to be released if `obj` is set */
    void *memory;
    _Alignas(8) uint8_t room[ROOM];
};

static void start(struct bytes *bytes)
{
    bytes->object = NULL;
    bytes->buffer.obj = NULL;
    bytes->memory = NULL;
}

static void finish(struct bytes *bytes)
{
    if (bytes->buffer.obj != NULL)
        PyBuffer_Release(&bytes->buffer);
    Py_XDECREF(bytes->object);
    PyMem_Free(bytes->memory);
}

/* Room for `size` bytes, to be written; NULL with an exception. */
static void *room_for(struct bytes *bytes, size_t size)
{
    if (size > sizeof(bytes->room)) {
        bytes->memory = PyMem_Malloc(size);
        if (bytes->memory == NULL)
            PyErr_NoMemory();
        bytes->at = bytes->memory;
        return bytes->memory;
    }
    bytes->at = bytes->room;
    return bytes->room;
}

/* Integers in the machine's own byte order. */

static bool fits(long long number, size_t size, bool is_signed)
{
    unsigned bits = (unsigned)size * 8;

    if (is_signed)
        return size == 8 || (number >= -(1LL << (bits - 1)) && number < 1LL << (bits - 1));
    return number >= 0 && (size == 8 || number < 1LL << bits);
}

static void put_integer(void *to, unsigned long long number, size_t size)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    memcpy(to, (uint8_t *)&number + (8 - size), size);
#else
    memcpy(to, &number, size);
#endif
}

/* Most numbers, without a call. False: it is another, or none. */
static inline bool small_number(PyObject *object, unsigned long long *number)
{
    if (!PyLong_CheckExact(object))
        return false;
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)object))
        return false;
    *number = (unsigned long long)PyUnstable_Long_CompactValue((PyLongObject *)object);
    return (long long)*number >= 0;
#else
    if (Py_SIZE(object) != 0 && Py_SIZE(object) != 1)
        return false;
    *number = Py_SIZE(object) == 0 ? 0 : ((PyLongObject *)object)->ob_digit[0];
    return true;
#endif
}

/* False, with or without an exception, if the object is no integer of that size. */
static bool encode_integer(PyObject *object, size_t size, bool is_signed, void *to)
{
    PyObject *integer = NULL;
    long long number;
    unsigned long long large;
    int overflow = 0;
    bool good;

    if (!PyLong_Check(object)) {
        if (!PyIndex_Check(object))
            return false;
        integer = PyNumber_Index(object);
        if (integer == NULL)
            return false;
        object = integer;
    }
    number = PyLong_AsLongLongAndOverflow(object, &overflow);
    large = (unsigned long long)number;
    good = overflow == 0 && fits(number, size, is_signed);
    if (overflow > 0 && size == 8 && !is_signed) {
        large = PyLong_AsUnsignedLongLong(object);
        good = large != (unsigned long long)-1 || !PyErr_Occurred();
        PyErr_Clear();
    }
    Py_XDECREF(integer);
    if (good)
        put_integer(to, large, size);
    return good;
}

static PyObject *decode_integer(const void *from, size_t size, bool is_signed)
{
    uint8_t u1;
    uint16_t u2;
    uint32_t u4;
    uint64_t u8;

    switch (size) {
    case 1:
        memcpy(&u1, from, 1);
        return PyLong_FromLong(is_signed ? (int8_t)u1 : (long)u1);
    case 2:
        memcpy(&u2, from, 2);
        return PyLong_FromLong(is_signed ? (int16_t)u2 : (long)u2);
    case 4:
        memcpy(&u4, from, 4);
        return is_signed ? PyLong_FromLong((int32_t)u4) : PyLong_FromUnsignedLong(u4);
    default:
        memcpy(&u8, from, 8);
        if (u8 <= LONG_MAX) /* the quickest of the three */
            return PyLong_FromLong((long)u8);
        return is_signed ? PyLong_FromLongLong((int64_t)u8) : PyLong_FromUnsignedLongLong(u8);
    }
}

/* Keys and values. */

/* One for each processor, each padded to 8. False as encode_integer. */
static bool encode_copies(PyObject *object, const struct anybpf_shape *shape, bool is_signed,
                          uint8_t *to)
{
    PyObject *list = PySequence_Fast(object, "");
    size_t stride = ((size_t)shape->value_size + 7) & ~(size_t)7;
    bool good;
    uint32_t i;

    if (list == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Clear(); /* no sequence: a value that does not fit, as others do not */
        return false;
    }
    good = PySequence_Fast_GET_SIZE(list) == (Py_ssize_t)shape->cpus;
    for (i = 0; good && i < shape->cpus; i++) {
        memset(to + i * stride, 0, stride);
        good = encode_integer(PySequence_Fast_GET_ITEM(list, i), shape->value_size, is_signed,
                              to + i * stride);
    }
    Py_DECREF(list);
    return good;
}

/* False after an exception. */
static bool encode_bytes(PyObject *self, const char *what, PyObject *object, size_t size,
                         struct bytes *out)
{
    if (PyBytes_CheckExact(object)) {
        out->at = PyBytes_AS_STRING(object); /* the caller holds it */
        if ((size_t)PyBytes_GET_SIZE(object) == size)
            return true;
    } else {
        if (PyObject_GetBuffer(object, &out->buffer, PyBUF_SIMPLE) != 0) {
            out->buffer.obj = NULL;
            if (PyErr_ExceptionMatches(PyExc_TypeError)) {
                PyErr_Clear();
                anybpf_fail(self, what, ANYBPF_BAD_ARGUMENT, object);
            }
            return false;
        }
        out->at = out->buffer.buf;
        if ((size_t)out->buffer.len == size)
            return true;
    }
    anybpf_fail(self, what, ANYBPF_BAD_SIZE, object);
    return false;
}

static bool encode_object(PyObject *self, const char *what, const char *method, PyObject *object,
                          size_t size, struct bytes *out)
{
    out->object = PyObject_CallMethod(self, method, "O", object);
    return out->object != NULL && encode_bytes(self, what, out->object, size, out);
}

static bool encode_key(face *self, const struct anybpf_map *map, PyObject *object,
                       struct bytes *out)
{
    PyObject *me = (PyObject *)self;
    size_t size = map->shape.key_size;

    start(out);
    if (self->key_codec >= ANYBPF_CODEC_UNSIGNED) {
        out->at = out->room;
        if (encode_integer(object, size, self->key_codec == ANYBPF_CODEC_SIGNED, out->room))
            return true;
        if (!PyErr_Occurred())
            anybpf_fail(me, "key", ANYBPF_BAD_ARGUMENT, object);
        return false;
    }
    if (self->key_codec == ANYBPF_CODEC_BYTES)
        return encode_bytes(me, "key", object, size, out);
    return encode_object(me, "key", "_encode_key", object, size, out);
}

static bool encode_value(face *self, const struct anybpf_map *map, PyObject *object,
                         struct bytes *out)
{
    PyObject *me = (PyObject *)self;
    size_t size = anybpf_user_value_size(&map->shape);
    bool is_signed = self->value_codec == ANYBPF_CODEC_SIGNED;

    start(out);
    if (self->value_codec >= ANYBPF_CODEC_UNSIGNED) {
        uint8_t *to = room_for(out, size);

        if (to != NULL && (anybpf_is_per_cpu(map->shape.kind)
                               ? encode_copies(object, &map->shape, is_signed, to)
                               : encode_integer(object, size, is_signed, to)))
            return true;
        if (!PyErr_Occurred())
            anybpf_fail(me, "value", ANYBPF_BAD_ARGUMENT, object);
        return false;
    }
    if (self->value_codec == ANYBPF_CODEC_BYTES)
        return encode_bytes(me, "value", object, size, out);
    return encode_object(me, "value", "_encode_value", object, size, out);
}

static PyObject *decode_copies(const struct anybpf_shape *shape, bool is_signed, const uint8_t *from)
{
    PyObject *list = PyList_New((Py_ssize_t)shape->cpus);
    size_t stride = ((size_t)shape->value_size + 7) & ~(size_t)7;
    uint32_t i;

    for (i = 0; list != NULL && i < shape->cpus; i++) {
        PyObject *item = decode_integer(from + i * stride, shape->value_size, is_signed);

        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

static PyObject *decode_value(face *self, const struct anybpf_shape *shape, const void *value)
{
    bool is_signed = self->value_codec == ANYBPF_CODEC_SIGNED;
    PyObject *bytes;
    PyObject *object;

    if (self->value_codec >= ANYBPF_CODEC_UNSIGNED)
        return anybpf_is_per_cpu(shape->kind) ? decode_copies(shape, is_signed, value)
                                              : decode_integer(value, shape->value_size, is_signed);
    bytes = PyBytes_FromStringAndSize(value, (Py_ssize_t)anybpf_user_value_size(shape));
    if (bytes == NULL || self->value_codec == ANYBPF_CODEC_BYTES)
        return bytes;
    object = PyObject_CallMethod((PyObject *)self, "_decode_value", "O", bytes);
    Py_DECREF(bytes);
    return object;
}

/* The protocol. */

/* Integers on both sides, one value an entry: nothing of the above is needed. */
static void make_plain(face *self, const struct anybpf_map *map)
{
    struct anybpf_array_layout layout;

    self->is_plain = self->key_codec >= ANYBPF_CODEC_UNSIGNED &&
                     self->value_codec >= ANYBPF_CODEC_UNSIGNED &&
                     !anybpf_is_per_cpu(map->shape.kind);
    self->words = NULL;
    if (self->is_plain && map->shape.value_size <= sizeof(uint64_t) &&
        map->shape.lock_offset == ANYBPF_NO_FIELD && map->shape.timer_offset == ANYBPF_NO_FIELD &&
        anybpf_may_read(map) == ANYBPF_OK && anybpf_array_layout(map, &layout))
        self->words = (uint64_t *)(void *)layout.values;
}

/* The bytes of a "key" or "value" as a word. False after an exception. */
static inline bool plain_word(PyObject *object, const char *what, uint32_t size, bool is_signed,
                              PyObject *key, uint64_t *word)
{
    unsigned long long small;

    *word = 0;
    if (small_number(key, &small) && fits((long long)small, size, is_signed)) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        *word = small << (64 - 8 * size);
#else
        *word = small;
#endif
        return true;
    }
    if (encode_integer(key, size, is_signed, word))
        return true;
    if (!PyErr_Occurred())
        anybpf_fail(object, what, ANYBPF_BAD_ARGUMENT, key);
    return false;
}

/* An array's: the map is this object's as long as the GIL is held, and its values stay. */
static inline int read_array(const face *self, const void *key, uint64_t *value)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    if (index >= self->map->shape.max_entries)
        return ANYBPF_MISSING;
    *value = __atomic_load_n(&self->words[index], __ATOMIC_ACQUIRE);
    return ANYBPF_OK;
}

static int look_up_plain(PyObject *object, PyObject *key, PyObject **result)
{
    face *self = (face *)object;
    struct anybpf_map *map = self->map;
    uint64_t key_word;
    uint64_t value_word;
    int status;

    if (!plain_word(object, "key", map->shape.key_size, self->key_codec == ANYBPF_CODEC_SIGNED, key,
                    &key_word))
        return -2;
    map = anybpf_open_map(object); /* what the key is may have closed it */
    if (map == NULL)
        return -2;
    status = self->words != NULL ? read_array(self, &key_word, &value_word)
                                 : anybpf_user_read(map, &key_word, &value_word, 0);
    if (status != ANYBPF_OK || result == NULL)
        return status;
    *result = decode_integer(&value_word, map->shape.value_size,
                             self->value_codec == ANYBPF_CODEC_SIGNED);
    return *result == NULL ? -2 : ANYBPF_OK;
}

/* As look_up, for all codecs. Not inlined: its buffers would be in the way of the plain ones. */
__attribute__((noinline)) static int look_up_coded(PyObject *object, PyObject *key,
                                                   PyObject **result)
{
    face *self = (face *)object;
    struct anybpf_map *map = anybpf_open_map(object);
    struct bytes encoded;
    struct bytes value;
    struct anybpf_shape shape;
    void *room;
    int status = -2;

    if (map == NULL)
        return -2;
    if (encode_key(self, map, key, &encoded)) {
        map = self->map; /* an encoder may have closed it */
        start(&value);
        room = map == NULL ? NULL : room_for(&value, anybpf_user_value_size(&map->shape));
        if (map == NULL)
            anybpf_open_map(object);
        if (room != NULL) {
            status = anybpf_user_read(map, encoded.at, room, 0);
            if (status == ANYBPF_OK && result != NULL) {
                shape.kind = map->shape.kind;
                shape.value_size = map->shape.value_size;
                shape.cpus = map->shape.cpus;
                *result = decode_value(self, &shape, room);
                status = *result == NULL ? -2 : ANYBPF_OK;
            }
        }
        finish(&value);
    }
    finish(&encoded);
    return status;
}

/* A status; -2 if there is an exception. With `result`, the value on success. */
static int look_up(PyObject *object, PyObject *key, PyObject **result)
{
    const face *self = (const face *)object;

    if (self->map != NULL && self->is_plain)
        return look_up_plain(object, key, result);
    return look_up_coded(object, key, result);
}

PyObject *anybpf_map_subscript(PyObject *self, PyObject *key)
{
    PyObject *value = NULL;
    int status = look_up(self, key, &value);

    if (status == ANYBPF_OK)
        return value;
    return status == -2 ? NULL : anybpf_fail(self, "lookup", status, key);
}

int anybpf_map_contains(PyObject *self, PyObject *key)
{
    int status = look_up(self, key, NULL);

    if (status == ANYBPF_OK || anybpf_is_absent(status))
        return status == ANYBPF_OK;
    if (status != -2)
        anybpf_fail(self, "lookup", status, key);
    return -1;
}

PyObject *anybpf_map_get(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *value = NULL;
    int status;

    if (count < 1 || count > 2)
        return PyErr_Format(PyExc_TypeError, "get takes 1 or 2 arguments, not %zd", count);
    status = look_up(self, args[0], &value);
    if (status == ANYBPF_OK)
        return value;
    if (anybpf_is_absent(status))
        return Py_NewRef(count == 2 ? args[1] : Py_None);
    return status == -2 ? NULL : anybpf_fail(self, "lookup", status, args[0]);
}

static inline int write_array(const face *self, const void *key, uint64_t value)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    if (anybpf_may_write(self->map) != ANYBPF_OK)
        return ANYBPF_DENIED;
    if (index >= self->map->shape.max_entries)
        return ANYBPF_BAD_INDEX;
    __atomic_store_n(&self->words[index], value, __ATOMIC_RELEASE);
    return ANYBPF_OK;
}

static int assign_plain(PyObject *object, PyObject *key, PyObject *value)
{
    face *self = (face *)object;
    struct anybpf_map *map = self->map;
    uint64_t key_word;
    uint64_t value_word;

    if (!plain_word(object, "key", map->shape.key_size, self->key_codec == ANYBPF_CODEC_SIGNED, key,
                    &key_word))
        return -2;
    map = anybpf_open_map(object); /* what the key or the value is may have closed it */
    if (map == NULL ||
        !plain_word(object, "value", map->shape.value_size,
                    self->value_codec == ANYBPF_CODEC_SIGNED, value, &value_word))
        return -2;
    map = anybpf_open_map(object);
    if (map == NULL)
        return -2;
    return self->words != NULL ? write_array(self, &key_word, value_word)
                               : anybpf_user_write(map, &key_word, &value_word, 0);
}

/* Not inlined, as look_up_coded. `value` NULL: delete. */
__attribute__((noinline)) static int assign_coded(PyObject *object, PyObject *key, PyObject *value)
{
    face *self = (face *)object;
    struct anybpf_map *map = anybpf_open_map(object);
    struct bytes key_bytes;
    struct bytes value_bytes;
    int status = -2;

    if (map == NULL)
        return -2;
    start(&value_bytes);
    if (encode_key(self, map, key, &key_bytes) && (map = anybpf_open_map(object)) != NULL &&
        (value == NULL || encode_value(self, map, value, &value_bytes)) &&
        (map = anybpf_open_map(object)) != NULL)
        status = value == NULL ? anybpf_user_erase(map, key_bytes.at)
                               : anybpf_user_write(map, key_bytes.at, value_bytes.at, 0);
    finish(&value_bytes);
    finish(&key_bytes);
    return status;
}

int anybpf_map_assign(PyObject *object, PyObject *key, PyObject *value)
{
    const face *self = (const face *)object;
    int status = self->map != NULL && self->is_plain && value != NULL
                     ? assign_plain(object, key, value)
                     : assign_coded(object, key, value);

    if (status == ANYBPF_OK)
        return 0;
    if (status != -2)
        anybpf_fail(object, value == NULL ? "delete" : "update", status, key);
    return -1;
}

/* Codes: "B" bytes, "O" by the object's own methods, "u4" and so on integers. */
static bool parse_codec(PyObject *object, uint32_t size, enum anybpf_codec *codec)
{
    const char *code = PyUnicode_AsUTF8(object);

    if (code == NULL)
        return false;
    if (strcmp(code, "B") == 0) {
        *codec = ANYBPF_CODEC_BYTES;
        return true;
    }
    if (strcmp(code, "O") == 0) {
        *codec = ANYBPF_CODEC_OBJECT;
        return true;
    }
    if ((code[0] == 'u' || code[0] == 'i') && strlen(code) == 2 &&
        strchr("1248", code[1]) != NULL && (uint32_t)(code[1] - '0') == size) {
        *codec = code[0] == 'u' ? ANYBPF_CODEC_UNSIGNED : ANYBPF_CODEC_SIGNED;
        return true;
    }
    PyErr_Format(PyExc_ValueError, "the code %R does not fit %u bytes", object, size);
    return false;
}

PyObject *anybpf_map_set_codec(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    face *self = (face *)object;
    struct anybpf_map *map = anybpf_open_map(object);
    enum anybpf_codec key;
    enum anybpf_codec value;

    if (map == NULL)
        return NULL;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "set_codec takes 2 arguments, not %zd", count);
    if (!parse_codec(args[0], map->shape.key_size, &key) ||
        !parse_codec(args[1], map->shape.value_size, &value))
        return NULL;
    self->key_codec = key;
    self->value_codec = value;
    make_plain(self, map);
    Py_RETURN_NONE;
}
