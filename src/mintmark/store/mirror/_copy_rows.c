/* The native twin of copy_rows.py: the same names, the same answers, the same errors.
 *
 * Binary COPY: a count of fields, then each field's length and bytes, big-endian; the length -1 for null.
 */
#include "row.h"

enum { HASH = 32, LEAF_ROW = 2 + 4 + 4 + 4 + 8 + 4 + HASH };

static PyObject *Malformed;

static unsigned char *
put(unsigned char *to, unsigned long long value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        *to++ = (unsigned char)(value >> 8 * i);
    }
    return to;
}

static PyObject *
leaf_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    int log;
    long long first;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "iLy*", &log, &first, &view)) {
        return NULL;
    }
    PyObject *rows = NULL;
    Py_ssize_t count = view.len / HASH;
    if (view.len % HASH) {
        PyErr_Format(Malformed, "%zd bytes are not whole hashes", view.len);
    }
    else if (count > PY_SSIZE_T_MAX / LEAF_ROW) {
        PyErr_NoMemory();
    }
    else if ((rows = PyBytes_FromStringAndSize(NULL, count * LEAF_ROW)) != NULL) {
        unsigned char *to = (unsigned char *)PyBytes_AS_STRING(rows);
        for (Py_ssize_t i = 0; i < count; i++) {
            to = put(to, 3, 2);
            to = put(put(to, 4, 4), (unsigned int)log, 4);
            to = put(put(to, 8, 4), (unsigned long long)first + (unsigned long long)i, 8);
            to = put(to, HASH, 4);
            memcpy(to, (const unsigned char *)view.buf + i * HASH, HASH);
            to += HASH;
        }
    }
    PyBuffer_Release(&view);
    return rows;
}

static unsigned char *
put_text(unsigned char *to, Text text)
{
    if (text.at == NULL) {
        return put(to, 0xffffffff, 4);
    }
    to = put(to, size_of(text), 4);
    memcpy(to, text.at, size_of(text));
    return to + size_of(text);
}

static unsigned char *
put_long(unsigned char *to, long long value)
{
    return put(put(to, 8, 4), (unsigned long long)value, 8);
}

/* jsonb: its version, then the text. */
static unsigned char *
put_item(unsigned char *to, Text item)
{
    if (item.at == NULL) {
        return put(to, 0xffffffff, 4);
    }
    to = put(put(to, size_of(item) + 1, 4), 1, 1);
    memcpy(to, item.at, size_of(item));
    return to + size_of(item);
}

/* The most that a row takes beside its texts: its count of fields, and of each the length and what is of fixed size. */
enum { FIELDS = 11, ENTRY_ROW = 2 + FIELDS * 4 + 4 + 8 + 1 + 3 * 8 };

static int
put_row(Buffer *buffer, unsigned int log, const Fields *row, PyObject *superseded_by, long long number, long long live)
{
    size_t texts = size_of(row->leaf_hash) + size_of(row->kind) + size_of(row->key) + size_of(row->timestamp) +
                   size_of(row->item_hash) + size_of(row->item);
    unsigned char *to = reserve(buffer, ENTRY_ROW + texts);
    long long by = superseded_by == Py_None ? 0 : PyLong_AsLongLong(superseded_by);
    if (to == NULL || (by == -1 && PyErr_Occurred())) {
        return 0;
    }
    to = put(put(put(to, FIELDS, 2), 4, 4), log, 4);
    to = put_text(put_long(to, row->index), row->leaf_hash);
    to = put_text(put_text(put_text(to, row->kind), row->key), row->timestamp);
    to = put_item(put_text(to, row->item_hash), row->item);
    to = superseded_by == Py_None ? put(to, 0xffffffff, 4) : put_long(to, by);
    to = put_long(put_long(to, number), live);
    buffer->size = (size_t)(to - buffer->data);
    return 1;
}

static PyObject *
entry_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    int log;
    long long number;
    PyObject *rows, *superseded_by, *live;
    if (!PyArg_ParseTuple(args, "iO!O!LO!", &log, &PyList_Type, &rows, &PyList_Type, &superseded_by, &number, &PyList_Type, &live)) {
        return NULL;
    }
    if (PyList_GET_SIZE(superseded_by) != PyList_GET_SIZE(rows) || PyList_GET_SIZE(live) != PyList_GET_SIZE(rows)) {
        PyErr_SetString(PyExc_ValueError, "not as many of each as there are rows");
        return NULL;
    }
    Buffer buffer = {NULL, 0, 0};
    int whole = 1;
    for (Py_ssize_t i = 0; whole && i < PyList_GET_SIZE(rows); i++) {
        Fields row;
        long long standing = PyLong_AsLongLong(PyList_GET_ITEM(live, i));
        whole = !(standing == -1 && PyErr_Occurred()) && read_row(PyList_GET_ITEM(rows, i), &row);
        number += whole && is_user(&row);
        whole = whole && put_row(&buffer, (unsigned int)log, &row, PyList_GET_ITEM(superseded_by, i), number, standing);
    }
    return finished(&buffer, whole);
}

static PyMethodDef methods[] = {
    {"leaf_rows", leaf_rows, METH_VARARGS, "Binary COPY rows (log, index, leaf_hash)."},
    {"entry_rows", entry_rows, METH_VARARGS, "Binary COPY rows of the projection."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "mintmark.store.mirror._copy_rows", "The native twin of mintmark.store.mirror.copy_rows.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__copy_rows(void)
{
    PyObject *errors = PyImport_ImportModule("mintmark.errors");
    if (errors == NULL) {
        return NULL;
    }
    Malformed = PyObject_GetAttrString(errors, "Malformed");
    Py_DECREF(errors);
    return Malformed == NULL ? NULL : PyModule_Create(&module);
}
