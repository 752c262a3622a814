/* What the native kernels share: entry bundles and leaf hashes. */
#ifndef MINTMARK_KERNEL_H
#define MINTMARK_KERNEL_H

#define PY_SSIZE_T_CLEAN
#define OPENSSL_SUPPRESS_DEPRECATED /* the one-context calls: EVP's set-up costs as much as a short hash */
#include <Python.h>
#include <openssl/sha.h>
#include <string.h>

enum { HASH = 32, WIDTH = 256, LENGTH = 2 };

/* One entry at *at; its length, or -1 where the bundle ends too early. Moves *at to the next. */
static inline Py_ssize_t
next_entry(const unsigned char *bundle, Py_ssize_t size, Py_ssize_t *at)
{
    if (size - *at < LENGTH) {
        return -1;
    }
    Py_ssize_t length = (Py_ssize_t)bundle[*at] << 8 | bundle[*at + 1];
    if (size - *at - LENGTH < length) {
        return -1;
    }
    *at += LENGTH + length;
    return length;
}

/* The number of entries, or -1. */
static inline Py_ssize_t
count_entries(const unsigned char *bundle, Py_ssize_t size)
{
    Py_ssize_t at = 0, count = 0;
    while (at < size) {
        if (next_entry(bundle, size, &at) < 0) {
            return -1;
        }
        count++;
    }
    return count;
}

static inline void
leaf(const unsigned char *entry, size_t length, unsigned char *out)
{
    static const unsigned char prefix = 0;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, &prefix, 1);
    SHA256_Update(&context, entry, length);
    SHA256_Final(out, &context);
}

#endif
