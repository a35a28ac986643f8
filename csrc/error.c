/* error.c: the sentence that the last failure left, on every device. */

#include <stdarg.h>
#include <stdio.h>
#include "real.h"

static char last_error[512];

const char *chat_error(void) { return last_error; }

int chat_fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(last_error, sizeof last_error, format, values);
    va_end(values);
    return -1;
}
