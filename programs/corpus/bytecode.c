/* An interpreter loop: a small stack machine with a switch, running a sieve and recursive Fibonacci
 * numbers. `br_table`, loads that feed it, a stack in memory. */
#include "../common.h"

enum { STANDARD_ROUNDS = 45 };

enum { PUSH, LOAD, STORE, FETCH, PUT, ADD, SUB, MUL, MOD, LESS, JUMP, JZ, CALL, RET, DUP, SWAP,
       HALT };

static int32_t code[128], stack[512], locals[8], memory[4096];
static int32_t code_len;
static uint32_t steps;

static int32_t run(int32_t pc) {
    int32_t *sp = stack;
    for (;;) {
        steps++;
        switch (code[pc++]) {
        case PUSH: *sp++ = code[pc++]; break;
        case LOAD: *sp++ = locals[code[pc++] & 7]; break;
        case STORE: locals[code[pc++] & 7] = *--sp; break;
        case FETCH: sp[-1] = memory[sp[-1] & 4095]; break;
        case PUT: sp -= 2, memory[sp[0] & 4095] = sp[1]; break;
        case ADD: sp--, sp[-1] += sp[0]; break;
        case SUB: sp--, sp[-1] -= sp[0]; break;
        case MUL: sp--, sp[-1] = (int32_t)((uint32_t)sp[-1] * (uint32_t)sp[0]); break;
        case MOD: sp--, sp[-1] = sp[0] > 0 ? sp[-1] % sp[0] : 0; break;
        case LESS: sp--, sp[-1] = sp[-1] < sp[0]; break;
        case JUMP: pc = code[pc]; break;
        case JZ: pc = *--sp ? pc + 1 : code[pc]; break;
        case CALL: { /* The return address goes below the argument. */
            int32_t argument = sp[-1];
            sp[-1] = pc + 1, *sp++ = argument, pc = code[pc];
            break;
        }
        case RET: sp--, pc = sp[-1], sp[-1] = sp[0]; break;
        case DUP: sp[0] = sp[-1], sp++; break;
        case SWAP: {
            int32_t top = sp[-1];
            sp[-1] = sp[-2], sp[-2] = top;
            break;
        }
        default: return sp[-1];
        }
    }
}

static int32_t emit(int32_t op) {
    code[code_len] = op;
    return code_len++;
}

/* Returns where the operand is, for forward jumps. */
static int32_t emit2(int32_t op, int32_t operand) {
    emit(op);
    return emit(operand);
}

/* Local 0 is the bound; counts primes in local 3. */
static int32_t assemble_sieve(void) {
    int32_t entry = code_len;
    emit2(PUSH, 2), emit2(STORE, 1), emit2(PUSH, 0), emit2(STORE, 3);
    int32_t outer = code_len;
    emit2(LOAD, 1), emit2(LOAD, 0), emit(LESS);
    int32_t done = emit2(JZ, 0);
    emit2(LOAD, 1), emit(FETCH);
    int32_t prime = emit2(JZ, 0);
    int32_t composite = emit2(JUMP, 0);
    code[prime] = code_len;
    emit2(LOAD, 3), emit2(PUSH, 1), emit(ADD), emit2(STORE, 3);
    emit2(LOAD, 1), emit2(PUSH, 2), emit(MUL), emit2(STORE, 2);
    int32_t inner = code_len;
    emit2(LOAD, 2), emit2(LOAD, 0), emit(LESS);
    int32_t struck = emit2(JZ, 0);
    emit2(LOAD, 2), emit2(PUSH, 1), emit(PUT);
    emit2(LOAD, 2), emit2(LOAD, 1), emit(ADD), emit2(STORE, 2);
    emit2(JUMP, inner);
    code[composite] = code[struck] = code_len;
    emit2(LOAD, 1), emit2(PUSH, 1), emit(ADD), emit2(STORE, 1);
    emit2(JUMP, outer);
    code[done] = code_len;
    emit2(LOAD, 3), emit(HALT);
    return entry;
}

static int32_t assemble_fibonacci(void) {
    int32_t entry = code_len;
    emit2(LOAD, 0);
    int32_t main_call = emit2(CALL, 0);
    emit(HALT);
    int32_t fib = code[main_call] = code_len;
    emit(DUP), emit2(PUSH, 2), emit(LESS);
    int32_t large = emit2(JZ, 0);
    emit(RET);
    code[large] = code_len;
    emit(DUP), emit2(PUSH, 1), emit(SUB), emit2(CALL, fib);
    emit(SWAP), emit2(PUSH, 2), emit(SUB), emit2(CALL, fib);
    emit(ADD), emit(RET);
    return entry;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Digest digest = {0};
    int32_t sieve = assemble_sieve(), fibonacci = assemble_fibonacci();
    while (rounds--) {
        memset(memory, 0, sizeof memory);
        locals[0] = 4000;
        int32_t primes = run(sieve);
        require(primes == 550, "primes below 4000");
        locals[0] = 17;
        int32_t fib = run(fibonacci);
        require(fib == 1597, "the 17th Fibonacci number");
        digest_u64(&digest, (uint64_t)steps << 32 | (uint32_t)(primes + fib));
    }
    return digest_print(&digest);
}
