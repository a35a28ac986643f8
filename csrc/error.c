/* error.c: the sentence that the last failure left, of each thread its own, in every library. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "text.h"

static _Thread_local char last_error[512];

const char *chat_error(void) { return last_error; }

int chat_fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(last_error, sizeof last_error, format, values);
    va_end(values);
    return -1;
}
