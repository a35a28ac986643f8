/* fibers.h: functions that take turns, each on its own stack, by saving some registers instead of
   asking the kernel. For cuda_on_cpu.h. */

#ifndef FIBERS_H
#define FIBERS_H

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <vector>

#if defined __SANITIZE_ADDRESS__
#define FIBERS_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define FIBERS_ASAN 1
#endif
#endif
#ifdef FIBERS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* Two libraries with fibers in one process share nothing. */
#define OWN __attribute__((visibility("hidden")))

namespace fibers OWN {

struct Fiber {
    void *sp;
    char *stack;                     /* its lowest byte */
    size_t size;
    void *fake;                      /* AddressSanitizer's */
};

inline Fiber *running, *previous;    /* now, and before the last switch */

/* turn_to saves the registers that a function must keep on this stack, and its end in *save; then
   takes up what was saved in `to`. first_frame makes a stack look as if `entry` had been saved. */
#if defined __x86_64__
extern "C" void turn_to(void **save, void *to);
__asm__(".text\n.type turn_to,@function\nturn_to:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
        ".size turn_to,.-turn_to\n");
inline void *first_frame(Fiber *, char *top, void (*entry)()) {
    void **sp = (void **)top - 8;    /* six registers, the entry, and what it would return to */
    memset(sp, 0, 8 * sizeof *sp);
    sp[6] = (void *)entry;
    return sp;
}
#elif defined __aarch64__
extern "C" void turn_to(void **save, void *to);
__asm__(".text\n.type turn_to,%function\nturn_to:\n"
        "sub sp, sp, #160\n"
        "stp x19, x20, [sp]\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n"
        "stp x25, x26, [sp, #48]\n stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n"
        "mov x2, sp\n str x2, [x0]\n mov sp, x1\n"
        "ldp x19, x20, [sp]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n"
        "ldp x25, x26, [sp, #48]\n ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n"
        "ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
        "ldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\n ret\n"
        ".size turn_to,.-turn_to\n");
inline void *first_frame(Fiber *, char *top, void (*entry)()) {
    void **sp = (void **)top - 20;
    memset(sp, 0, 20 * sizeof *sp);
    sp[11] = (void *)entry;          /* x30, where `ret` goes */
    return sp;
}
#else                                /* correct everywhere, but it asks the kernel */
#include <ucontext.h>
inline void turn_to(void **save, void *to) {
    ucontext_t here;
    *save = &here;
    swapcontext(&here, (ucontext_t *)to);
}
inline void *first_frame(Fiber *fiber, char *top, void (*entry)()) {
    ucontext_t *first = (ucontext_t *)((size_t)(top - sizeof *first) & ~(size_t)63);
    getcontext(first);
    first->uc_stack.ss_sp = fiber->stack;
    first->uc_stack.ss_size = (size_t)((char *)first - fiber->stack);
    makecontext(first, entry, 0);
    return first;
}
#endif

inline void switch_to(Fiber *to) {
    Fiber *from = running;
    running = to;
    previous = from;
#ifdef FIBERS_ASAN
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->size);
#endif
    turn_to(&from->sp, to->sp);
#ifdef FIBERS_ASAN
    __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

/* What a fiber does first. (The stack it came from may be the process's: only now is it known.) */
inline void arrive() {
#ifdef FIBERS_ASAN
    __sanitizer_finish_switch_fiber(NULL, (const void **)&previous->stack, &previous->size);
#endif
}

/* Fibers that all begin, when first switched to, in `entry`, which must not return. Those made by an
   earlier call end, wherever they are: their stacks are used again. One piece of memory holds all;
   tops lie on different lines of the cache, and a page that cannot be written below each stack
   catches one that grows too long. */
template <size_t COUNT, size_t STACK> std::vector<Fiber *> make(void (*entry)()) {
    static std::vector<Fiber> all(COUNT);
    std::vector<Fiber *> idle;
    if (!all[0].stack) {
        const size_t page = 4096, each = STACK + page;
        char *memory = (char *)mmap(NULL, each * COUNT, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (size_t i = 0; i < COUNT; i++) {
            mprotect(memory + i * each, page, PROT_NONE);
            all[i].stack = memory + i * each + page;
            all[i].size = STACK;
        }
    }
    for (size_t i = COUNT; i-- > 0;) {
#ifdef FIBERS_ASAN
        __asan_unpoison_memory_region(all[i].stack, STACK);
#endif
        all[i].sp = first_frame(&all[i], all[i].stack + STACK - i % 64 * 64, entry);
        idle.push_back(&all[i]);
    }
    return idle;
}

}   /* namespace fibers */

#endif
