/* The native twin of kernel.py: the same names, the same answers, the same errors. SHA-256 is libcrypto's.
 *
 * Every length comes from hostile bytes and is checked against what is left before it is used, in the pass that uses it:
 * the buffer may be writable, so nothing learnt in one pass is believed in the next. The GIL is released while hashing.
 */
#include "kernel.h"

static PyObject *Malformed;

static PyObject *
truncated(void)
{
    PyErr_SetString(Malformed, "truncated entry bundle");
    return NULL;
}

static PyObject *
cut(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *entries = PyList_New(0);
    for (Py_ssize_t at = 0; entries != NULL && at < view.len;) {
        Py_ssize_t length = next_entry(view.buf, view.len, &at);
        if (length < 0) {
            Py_CLEAR(entries);
            truncated();
            break;
        }
        PyObject *entry = PyBytes_FromStringAndSize((const char *)view.buf + at - length, length);
        if (entry == NULL || PyList_Append(entries, entry) < 0) {
            Py_CLEAR(entries);
        }
        Py_XDECREF(entry);
    }
    PyBuffer_Release(&view);
    return entries;
}

static PyObject *
skip(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer view;
    Py_ssize_t at, most, taken = 0;
    if (!PyArg_ParseTuple(args, "y*nn", &view, &at, &most)) {
        return NULL;
    }
    int whole = at >= 0 && at <= view.len;
    while (whole && taken < most && at < view.len) {
        whole = next_entry(view.buf, view.len, &at) >= 0;
        taken++;
    }
    PyBuffer_Release(&view);
    return whole ? Py_BuildValue("nn", at, taken) : truncated();
}

static void
node(const unsigned char *pair, unsigned char *out)
{
    static const unsigned char prefix = 1;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, &prefix, 1);
    SHA256_Update(&context, pair, 2 * HASH);
    SHA256_Final(out, &context);
}

static PyObject *
leaf_hashes(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    const unsigned char *bundle = view.buf;
    Py_ssize_t count = count_entries(bundle, view.len), done = 0;
    PyObject *hashes = count < 0 ? truncated() : PyBytes_FromStringAndSize(NULL, count * HASH);
    if (hashes != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AS_STRING(hashes);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = 0; done < count; done++) {
            Py_ssize_t length = next_entry(bundle, view.len, &at);
            if (length < 0) {
                break;
            }
            leaf(bundle + at - length, (size_t)length, out + done * HASH);
        }
        Py_END_ALLOW_THREADS
        if (done < count) {
            Py_CLEAR(hashes);
            truncated();
        }
    }
    PyBuffer_Release(&view);
    return hashes;
}

/* Folds `count` hashes in place to one; an odd last one is promoted. */
static void
fold_in_place(unsigned char *hashes, Py_ssize_t count)
{
    while (count > 1) {
        Py_ssize_t pairs = count / 2;
        for (Py_ssize_t i = 0; i < pairs; i++) {
            node(hashes + 2 * i * HASH, hashes + i * HASH);
        }
        if (count % 2) {
            memmove(hashes + pairs * HASH, hashes + (count - 1) * HASH, HASH);
        }
        count = pairs + count % 2;
    }
}

static PyObject *
fold(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *root = NULL;
    unsigned char *hashes = NULL;
    if (view.len == 0 || view.len % HASH) {
        PyErr_Format(Malformed, "%zd bytes are not one or more whole hashes", view.len);
    }
    else if ((hashes = PyMem_Malloc((size_t)view.len)) == NULL) {
        PyErr_NoMemory();
    }
    else {
        memcpy(hashes, view.buf, (size_t)view.len);
        Py_BEGIN_ALLOW_THREADS
        fold_in_place(hashes, view.len / HASH);
        Py_END_ALLOW_THREADS
        root = PyBytes_FromStringAndSize((const char *)hashes, HASH);
    }
    PyMem_Free(hashes);
    PyBuffer_Release(&view);
    return root;
}

static PyObject *
fold_tiles(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *roots = NULL;
    Py_ssize_t count = view.len / HASH, tiles = count / WIDTH + (count % WIDTH != 0);
    if (view.len % HASH) {
        PyErr_Format(Malformed, "%zd bytes are not one or more whole hashes", view.len);
    }
    else if ((roots = PyBytes_FromStringAndSize(NULL, tiles * HASH)) != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AS_STRING(roots);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t tile = 0; tile < tiles; tile++, count -= WIDTH) {
            unsigned char hashes[WIDTH * HASH];
            Py_ssize_t width = count < WIDTH ? count : WIDTH;
            memcpy(hashes, (const unsigned char *)view.buf + tile * (Py_ssize_t)sizeof hashes, (size_t)(width * HASH));
            fold_in_place(hashes, width);
            memcpy(out + tile * HASH, hashes, HASH);
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    return roots;
}

static PyMethodDef methods[] = {
    {"cut", cut, METH_O, "The entries of a bundle."},
    {"skip", skip, METH_VARARGS, "Where the next entries end, and how many they are."},
    {"leaf_hashes", leaf_hashes, METH_O, "32 bytes an entry: the level-0 tile of a bundle."},
    {"fold", fold, METH_O, "The root over consecutive nodes."},
    {"fold_tiles", fold_tiles, METH_O, "The root over each 256 of consecutive nodes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "mintmark.tlog._kernel", "The native twin of mintmark.tlog.kernel.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__kernel(void)
{
    PyObject *errors = PyImport_ImportModule("mintmark.errors");
    if (errors == NULL) {
        return NULL;
    }
    Malformed = PyObject_GetAttrString(errors, "Malformed");
    Py_DECREF(errors);
    return Malformed == NULL ? NULL : PyModule_Create(&module);
}
