/* emulated.c: lends tests/emulated.py the functions of a library built for another machine. An
   emulator runs it. It loads the library that its argument names, then answers calls: from stdin a
   Call and the memories that pointers lead to; to stdout a Result and those memories afterwards.

   The functions of chat.h take integers, pointers and floats. On aarch64 and x86-64 floats have
   registers of their own, any other argument is a word, and arguments too many do no harm. So one
   prototype fits all. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS = 16, FLOATS = 4, MEMORIES = 16 };

typedef struct {
    char name[32];
    long result;                     /* what it returns: 0 a word or nothing, 1 double, 2 text */
    long sizes[MEMORIES];            /* in bytes; 0: NULL */
    struct { long memory, offset; } words[WORDS];      /* a number is an offset from NULL */
    float floats[FLOATS];
} Call;

typedef struct {
    long word;
    double real;
    char text[512];
} Result;

#define PROTOTYPE (long, long, long, long, long, long, long, long, long, long, long, long, long, \
                   long, long, long, float, float, float, float)
#define ARGUMENTS (w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], \
                   w[12], w[13], w[14], w[15], f[0], f[1], f[2], f[3])
typedef long Words PROTOTYPE;
typedef double Double PROTOTYPE;

static void receive(void *to, size_t bytes) {
    if (bytes && fread(to, bytes, 1, stdin) != 1) exit(0);
}

int main(int count, char **arguments) {
    void *library = dlopen(arguments[count - 1], RTLD_NOW);
    if (!library) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    for (Call call;;) {
        receive(&call, sizeof call);
        char *memories[MEMORIES] = { 0 };
        for (int i = 0; i < MEMORIES; i++)
            if (call.sizes[i]) receive(memories[i] = malloc(call.sizes[i]), call.sizes[i]);
        long w[WORDS];
        for (int i = 0; i < WORDS; i++)
            w[i] = (long)memories[call.words[i].memory] + call.words[i].offset;
        const float *f = call.floats;
        void *function = dlsym(library, call.name);
        Result result = { 0 };
        if (call.result == 1) result.real = ((Double *)function) ARGUMENTS;
        else result.word = ((Words *)function) ARGUMENTS;
        if (call.result == 2) snprintf(result.text, sizeof result.text, "%s", (char *)result.word);
        fwrite(&result, sizeof result, 1, stdout);
        for (int i = 0; i < MEMORIES; i++) {
            fwrite(memories[i], 1, call.sizes[i], stdout);
            free(memories[i]);
        }
        fflush(stdout);
    }
}
