/* cpu.c: whether this CPU has the instructions that the other files were compiled for. This
   one and error.c are compiled for any CPU. The Makefile lists what the others need: NEEDED is
   NEED("avx2") NEED("fma") ..., or nothing on other machines than x86-64. */

#include <stddef.h>
#include <stdint.h>
#include "text.h"

#define NEED(name) \
    if (!__builtin_cpu_supports(name)) \
        return chat_fail("this library was built for a CPU with %s, which this one lacks:" \
                         " run `make` again", name);

int cpu_ready(void) {
    NEEDED
    return 0;
}
