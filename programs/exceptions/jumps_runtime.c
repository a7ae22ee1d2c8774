/* See jumps.h. */
#include "jumps.h"

void __wasm_setjmp(void *buffer, uint32_t place, void *call) {
    struct target *target = buffer;
    if (place == 0 || call == NULL)
        abort();
    target->call = call;
    target->place = place;
}

/* At which of its places this call of a function is to go on, or 0 if another is meant. */
uint32_t __wasm_setjmp_test(void *buffer, void *call) {
    const struct target *target = buffer;
    return target->call == call ? target->place : 0;
}

_Noreturn void __wasm_longjmp(void *buffer, int value) {
    struct target *target = buffer;
    target->jump.to = buffer;
    target->jump.value = value == 0 ? 1 : value;
    /* The tag `__c_longjmp`. */
    __builtin_wasm_throw(1, &target->jump);
}
