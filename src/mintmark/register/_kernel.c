/* The native twin of kernel.py: the same names, the same answers, the same errors. SHA-256 is libcrypto's.
 *
 * Only bytes objects are read, which nobody can change meanwhile. What is hostile in them is for grammar.c and `next_entry`.
 */
#include "kernel.h"

#include "grammar.h"
#include "row.h"

static PyObject *Malformed, *ProofError, *Entry, *Row, *User, *System;

/* A named tuple of the values, which it takes over; NULL where one of them is. */
static PyObject *
make(PyObject *type, Py_ssize_t count, PyObject *values[])
{
    PyObject *made = ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, count);
    int whole = made != NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        whole = whole && values[i] != NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (whole) {
            PyTuple_SET_ITEM(made, i, values[i]);
        }
        else {
            Py_XDECREF(values[i]);
        }
    }
    if (!whole) {
        Py_CLEAR(made);
    }
    return made;
}

static PyObject *
string(const unsigned char *from, const unsigned char *to)
{
    return PyUnicode_DecodeUTF8((const char *)from, to - from, NULL);
}

static PyObject *
bytes(const unsigned char *from, Py_ssize_t length)
{
    return PyBytes_FromStringAndSize((const char *)from, length);
}

/* The entry that a leaf says. */
static PyObject *
open_entry(const Leaf *leaf)
{
    PyObject *values[] = {
        string(leaf->key.at, leaf->key.end),
        string(leaf->timestamp.at, leaf->timestamp.end),
        Py_NewRef(leaf->user ? User : System),
        leaf->has_hash ? bytes(leaf->item_hash, HASH) : Py_NewRef(Py_None),
    };
    return make(Entry, 4, values);
}

/* One row, of a leaf and what is beside it. */
static PyObject *
open_row(long long index, const unsigned char *leaf_hash, Text text, Text item)
{
    Leaf leaf;
    int parsed = parse_leaf(text, &leaf), names_item = parsed && leaf.has_hash, sent = item.at < item.end;
    if (sent) {
        unsigned char digest[HASH];
        SHA256(item.at, (size_t)(item.end - item.at), digest);
        if (!names_item || memcmp(digest, leaf.item_hash, HASH)) {
            return PyErr_Format(ProofError, "entry %lld: the item beside it is not the one that it names", index);
        }
    }
    int readable = sent && is_item(item);
    PyObject *values[] = {
        PyLong_FromLongLong(index),
        bytes(leaf_hash, HASH),
        parsed ? open_entry(&leaf) : Py_NewRef(Py_None),
        readable ? bytes(item.at, item.end - item.at) : Py_NewRef(Py_None),
        PyBool_FromLong(names_item && !sent),
        sent && !readable ? bytes(item.at, item.end - item.at) : Py_NewRef(Py_None),
    };
    return make(Row, 6, values);
}

static Py_ssize_t
count(PyObject *bundle)
{
    return count_entries((const unsigned char *)PyBytes_AS_STRING(bundle), PyBytes_GET_SIZE(bundle));
}

/* The next entry of a bundle that was counted. */
static Text
next_text(PyObject *bundle, Py_ssize_t *at)
{
    const unsigned char *start = (const unsigned char *)PyBytes_AS_STRING(bundle);
    Py_ssize_t length = next_entry(start, PyBytes_GET_SIZE(bundle), at);
    return (Text){start + *at - length, start + *at};
}

static PyObject *
open_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    long long first;
    Py_ssize_t skip, leaf_at = 0, item_at = 0;
    PyObject *hashes, *leaves, *items;
    if (!PyArg_ParseTuple(args, "LnSSS", &first, &skip, &hashes, &leaves, &items)) {
        return NULL;
    }
    Py_ssize_t all = count(leaves), new = all > skip ? all - skip : 0;
    if (all < 0 || count(items) != all || skip < 0 || PyBytes_GET_SIZE(hashes) != new * HASH) {
        PyErr_SetString(Malformed, "leaves, items and hashes are not parallel");
        return NULL;
    }
    const unsigned char *leaf_hash = (const unsigned char *)PyBytes_AS_STRING(hashes);
    PyObject *rows = PyList_New(new);
    for (Py_ssize_t i = 0; rows != NULL && i < all; i++) {
        Text leaf = next_text(leaves, &leaf_at), item = next_text(items, &item_at);
        if (i < skip) {
            continue;
        }
        PyObject *row = open_row(first + i, leaf_hash + (i - skip) * HASH, leaf, item);
        if (row == NULL) {
            Py_CLEAR(rows);
        }
        else {
            PyList_SET_ITEM(rows, i - skip, row);
        }
    }
    return rows;
}

static char *
add(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

static char *
add_text(char *to, Text text)
{
    return add(to, (const char *)text.at, size_of(text));
}

/* The leaf of the v1 tree, as v1.v1_leaf has it: no key of a row holds what JSON escapes. */
static int
put_v1_leaf(Buffer *buffer, const Fields *row, long long number)
{
    static const char shape[] = "{\"index-entry-number\":\"%lld\",\"entry-number\":\"%lld\",\"entry-timestamp\":\"";
    static const char key[] = "\",\"key\":\"", hash[] = "\",\"item-hash\":[", prefix[] = "\"sha-256:", hex[] = "0123456789abcdef";
    size_t texts = size_of(row->timestamp) + size_of(row->key) + 2 * size_of(row->item_hash);
    char *start = (char *)reserve(buffer, sizeof shape + 2 * 20 + sizeof key + sizeof hash + sizeof prefix + 3 + texts);
    if (start == NULL) {
        return 0;
    }
    char *to = start + sprintf(start, shape, number, number);
    to = add(add_text(to, row->timestamp), key, sizeof key - 1);
    to = add(add_text(to, row->key), hash, sizeof hash - 1);
    if (row->item_hash.at != NULL) {
        to = add(to, prefix, sizeof prefix - 1);
        for (const unsigned char *at = row->item_hash.at; at < row->item_hash.end; at++) {
            *to++ = hex[*at >> 4];
            *to++ = hex[*at & 15];
        }
        *to++ = '"';
    }
    to = add(to, "]}", 2);
    buffer->size = (size_t)(to - (char *)buffer->data);
    return 1;
}

static PyObject *
v1_hashes(PyObject *Py_UNUSED(module), PyObject *args)
{
    long long number;
    PyObject *rows;
    if (!PyArg_ParseTuple(args, "LO!", &number, &PyList_Type, &rows)) {
        return NULL;
    }
    Buffer hashes = {NULL, 0, 0}, text = {NULL, 0, 0};
    int whole = 1;
    for (Py_ssize_t i = 0; whole && i < PyList_GET_SIZE(rows); i++) {
        Fields row;
        whole = read_row(PyList_GET_ITEM(rows, i), &row);
        if (!whole || !is_user(&row)) {
            continue;
        }
        unsigned char *hash = reserve(&hashes, HASH);
        text.size = 0;
        whole = hash != NULL && put_v1_leaf(&text, &row, ++number);
        if (whole) {
            leaf(text.data, text.size, hash);
            hashes.size += HASH;
        }
    }
    PyMem_Free(text.data);
    return finished(&hashes, whole);
}

static PyMethodDef methods[] = {
    {"open_rows", open_rows, METH_VARARGS, "The rows of a bundle."},
    {"v1_hashes", v1_hashes, METH_VARARGS, "32 bytes a user entry: its leaf hash in the v1 tree."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "mintmark.register._kernel", "The native twin of mintmark.register.kernel.", -1, methods, NULL, NULL, NULL, NULL,
};

static PyObject *
import(const char *name, const char *attribute)
{
    PyObject *from = PyImport_ImportModule(name);
    PyObject *found = from == NULL ? NULL : PyObject_GetAttrString(from, attribute);
    Py_XDECREF(from);
    return found;
}

PyMODINIT_FUNC
PyInit__kernel(void)
{
    Malformed = import("mintmark.errors", "Malformed");
    ProofError = import("mintmark.errors", "ProofError");
    Entry = import("mintmark.register.entry", "Entry");
    Row = import("mintmark.register.entry", "Row");
    User = PyUnicode_InternFromString("user");
    System = PyUnicode_InternFromString("system");
    int whole = Malformed && ProofError && Entry && Row && User && System;
    return whole ? PyModule_Create(&module) : NULL;
}
