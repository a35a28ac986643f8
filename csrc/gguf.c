/* gguf.c: what is in a GGUF file. Nothing in it is trusted: each count, size and place is checked
   against the file before it is used. csrc/gguf.py reads the same in Python.
   (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "text.h"

/* Reads on from `at`; after a failure only zeros. */
typedef struct { File *f; size_t at; int failed; } Reader;

#define FAIL(...) (r->failed = r->failed ? r->failed : chat_fail(__VA_ARGS__))
#define SHOWN(name) (int)((name).n < 200 ? (name).n : 200), (const char *)(name).at

uint64_t number_at(const uint8_t *data, size_t bytes) {
    uint64_t number = 0;
    memcpy(&number, data, bytes);
    return number;
}

Bytes string_at(const uint8_t *data) { return (Bytes){ data + 8, number_at(data, 8) }; }

static const uint8_t *take(Reader *r, size_t bytes) {
    if (r->f->size - r->at < bytes)
        FAIL("is cut: it ends after %zu bytes: fetch it again", r->f->size);
    r->at += r->failed ? 0 : bytes;
    return r->failed ? NULL : r->f->data + r->at - bytes;
}

static uint64_t take_number(Reader *r, size_t bytes) {
    const uint8_t *data = take(r, bytes);
    return data ? number_at(data, bytes) : 0;
}

/* How many things follow, of at least one byte each. */
static size_t take_count(Reader *r) {
    const size_t count = take_number(r, 8);
    if (count > r->f->size) FAIL("it says that %zu things follow in %zu bytes", count, r->f->size);
    return r->failed ? 0 : count;
}

static Bytes take_string(Reader *r) {
    const size_t n = take_count(r);
    const uint8_t *data = take(r, n);
    return (Bytes){ data, data ? n : 0 };
}

/* The next string, which is number i of those in a table. */
static Bytes take_name(Reader *r, Chunks *table, size_t i) {
    const Bytes name = take_string(r);
    if (!r->failed && chunks_put(table, name.at, name.n) != (int)i)
        FAIL("%.*s is there twice, or cannot be", SHOWN(name));
    return name;
}

static void take_value(Reader *r, size_t i) {
    static const uint8_t SIZES[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };    /* 0: a string */
    const Bytes key = take_name(r, r->f->keys, i);
    uint32_t type = take_number(r, 4);
    const int array = type == VALUE_ARRAY;
    if (array) type = take_number(r, 4);
    if (type >= sizeof SIZES || type == VALUE_ARRAY)
        FAIL("%.*s is of the unknown type %u", SHOWN(key), type);
    const size_t count = array ? take_count(r) : 1;
    if (r->failed) return;
    r->f->values[i] = (Value){ (int)type + array * ARRAY_OF, count, r->f->data + r->at };
    if (type != VALUE_STRING) take(r, SIZES[type] * count);
    else for (size_t k = 0; k < count && !r->failed; k++) take_string(r);
}

static void take_tensor(Reader *r, size_t i) {
    Matrix t = { .name = take_name(r, r->f->names, i), .rows = 1, .cols = 1 };
    const uint32_t dims = take_number(r, 4);
    int odd = dims < 1 || dims > 4;
    for (uint32_t d = 0; d < dims && !odd && !r->failed; d++) {
        const size_t n = take_number(r, 8);
        odd = n < 1 || n > INT32_MAX || __builtin_mul_overflow(t.rows, n, &t.rows);
        if (d == 0 && dims > 1) { t.cols = n; t.rows = 1; }
    }
    t.type = (int)take_number(r, 4);
    t.place = take_number(r, 8);
    if (odd) FAIL("%.*s has a shape that no tensor has", SHOWN(t.name));
    r->f->tensors[i] = t;
}

static void take_all(Reader *r) {
    File *f = r->f;
    const uint8_t *magic = take(r, 4);
    if (!magic || memcmp(magic, "GGUF", 4)) FAIL("is no GGUF file");
    const uint32_t version = take_number(r, 4);
    if (version != 2 && version != 3) FAIL("its version is %u, but must be 2 or 3", version);
    const size_t tensors = take_count(r), values = take_count(r);
    f->values = calloc(values + 1, sizeof *f->values);
    f->tensors = calloc(tensors + 1, sizeof *f->tensors);
    if (!f->values || !f->tensors || chunks_create(&f->keys) || chunks_create(&f->names))
        FAIL("there is no memory for what %zu bytes hold", f->size);
    for (size_t i = 0; i < values && !r->failed; i++) take_value(r, i);
    for (size_t i = 0; i < tensors && !r->failed; i++) take_tensor(r, i);
    if (r->failed) return;
    const Value *told = gguf_value(f, "general.alignment");
    const size_t unit = !told ? 32 : told->type == VALUE_U32 ? number_at(told->data, 4) : 0;
    if (__builtin_popcountll(unit) != 1) { FAIL("general.alignment is no power of two"); return; }
    const size_t begin = (r->at + unit - 1) / unit * unit;
    for (Matrix *t = f->tensors; t < f->tensors + tensors; t++) {
        if (t->place % unit || begin > f->size || t->place > f->size - begin)
            FAIL("is cut: %.*s is not in its %zu bytes: fetch it again", SHOWN(t->name), f->size);
        t->place += begin;
    }
}

static void stamp(uint64_t *stamp, const struct stat *state) {
    stamp[0] = (uint64_t)state->st_size;
    stamp[1] = (uint64_t)state->st_mtim.tv_sec;
    stamp[2] = (uint64_t)state->st_mtim.tv_nsec;
}

int gguf_open(File *f, const char *path) {
    struct stat state;
    *f = (File){ .handle = open(path, O_RDONLY | O_CLOEXEC) };
    if (f->handle < 0 || fstat(f->handle, &state)) return chat_fail("%s", strerror(errno));
    f->size = S_ISREG(state.st_mode) ? (size_t)state.st_size : 0;
    void *data = f->size ? mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->handle, 0) : MAP_FAILED;
    if (data == MAP_FAILED) return chat_fail("is no GGUF file");
    f->data = data;
#ifdef MADV_HUGEPAGE
    madvise(data, f->size, MADV_HUGEPAGE);
#endif
    stamp(f->stamp, &state);
    Reader r = { f, 0, 0 };
    take_all(&r);
    return r.failed;
}

int gguf_same(const File *f) {
    struct stat state;
    uint64_t now[3] = { 0 };
    if (!fstat(f->handle, &state)) stamp(now, &state);
    return memcmp(now, f->stamp, sizeof now) ? chat_fail("was changed while it was in use") : 0;
}

const Value *gguf_value(const File *f, const char *key) {
    const int i = chunks_find(f->keys, (const uint8_t *)key, strlen(key));
    return i < 0 ? NULL : &f->values[i];
}

Matrix *gguf_tensor(const File *f, const char *name) {
    const int i = chunks_find(f->names, (const uint8_t *)name, strlen(name));
    return i < 0 ? NULL : &f->tensors[i];
}
