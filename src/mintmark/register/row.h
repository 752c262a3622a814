/* The rows of entry.py read from Python, and bytes that grow: for the kernels that take rows. */
#ifndef MINTMARK_ROW_H
#define MINTMARK_ROW_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <string.h>

#include "grammar.h"

/* Bytes that grow; `reserve` gives room for that many more, whose use is noted in `size`. */
typedef struct {
    unsigned char *data;
    size_t size, room;
} Buffer;

static inline unsigned char *
reserve(Buffer *buffer, size_t more)
{
    if (buffer->room - buffer->size < more) {
        size_t room = 2 * buffer->room + more;
        unsigned char *data = PyMem_Realloc(buffer->data, room);
        if (data == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

/* A row as it was opened; `kind` empty: its leaf is no entry. */
typedef struct {
    long long index;
    Text leaf_hash, kind, key, timestamp, item_hash, item; /* at NULL: null */
} Fields;

static inline int
read_text(PyObject *value, Text *text)
{
    Py_ssize_t length;
    const char *start = PyUnicode_AsUTF8AndSize(value, &length);
    *text = (Text){(const unsigned char *)start, (const unsigned char *)start + (start ? length : 0)};
    return start != NULL;
}

static inline int
read_bytes(PyObject *value, Text *text)
{
    char *start = NULL;
    Py_ssize_t length = 0;
    if (value != Py_None && PyBytes_AsStringAndSize(value, &start, &length) < 0) {
        return 0;
    }
    *text = (Text){(const unsigned char *)start, (const unsigned char *)start + length};
    return 1;
}

static inline int
is_tuple(PyObject *value, Py_ssize_t count)
{
    if (PyTuple_Check(value) && PyTuple_GET_SIZE(value) == count) {
        return 1;
    }
    PyErr_SetString(PyExc_TypeError, "not a row");
    return 0;
}

static inline int
read_row(PyObject *row, Fields *fields)
{
    *fields = (Fields){0};
    if (!is_tuple(row, 6)) {
        return 0;
    }
    fields->index = PyLong_AsLongLong(PyTuple_GET_ITEM(row, 0));
    if ((fields->index == -1 && PyErr_Occurred()) || !read_bytes(PyTuple_GET_ITEM(row, 1), &fields->leaf_hash)) {
        return 0;
    }
    PyObject *entry = PyTuple_GET_ITEM(row, 2);
    if (entry == Py_None) {
        return 1;
    }
    return is_tuple(entry, 4) && read_text(PyTuple_GET_ITEM(entry, 0), &fields->key) &&
           read_text(PyTuple_GET_ITEM(entry, 1), &fields->timestamp) &&
           read_text(PyTuple_GET_ITEM(entry, 2), &fields->kind) &&
           read_bytes(PyTuple_GET_ITEM(entry, 3), &fields->item_hash) &&
           read_bytes(PyTuple_GET_ITEM(row, 3), &fields->item);
}

static inline size_t
size_of(Text text)
{
    return (size_t)(text.end - text.at);
}

static inline int
is_user(const Fields *fields)
{
    return size_of(fields->kind) == 4 && !memcmp(fields->kind.at, "user", 4);
}

static inline PyObject *
finished(Buffer *buffer, int whole)
{
    PyObject *made = whole ? PyBytes_FromStringAndSize((const char *)buffer->data, (Py_ssize_t)buffer->size) : NULL;
    PyMem_Free(buffer->data);
    return made;
}

#endif
