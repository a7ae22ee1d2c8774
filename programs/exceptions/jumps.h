/* `setjmp` and `longjmp`: the C library's own as a native program; over WebAssembly's exceptions, what the compiler makes of their calls
 * (`-mllvm -wasm-enable-sjlj`) needs of a run-time library, which Debian's wasi-libc has not.
 *
 * Convention: https://github.com/WebAssembly/tool-conventions/blob/main/SetjmpLongjmp.md. Each call of a function that calls `setjmp` has
 * an address of its own; a jump is an exception that says where to, and the function that catches it asks whether it is meant. */
#ifndef PALISADE_PROGRAMS_JUMPS_H
#define PALISADE_PROGRAMS_JUMPS_H

#ifndef __wasm__
#include <setjmp.h>
#else
#include <stdint.h>
#include <stdlib.h>

struct target {
    /* Which call of a function has set it, and at which of its places. */
    void *call;
    uint32_t place;
    /* What an exception carries is the address of these two. */
    struct {
        void *to;
        int value;
    } jump;
};

typedef struct target jmp_buf[1];

int setjmp(jmp_buf buffer) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf buffer, int value);

void __wasm_setjmp(void *buffer, uint32_t place, void *call);
uint32_t __wasm_setjmp_test(void *buffer, void *call);
_Noreturn void __wasm_longjmp(void *buffer, int value);
#endif

#endif
