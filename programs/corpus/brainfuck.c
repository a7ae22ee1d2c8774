/* A Brainfuck interpreter, over the text itself with a table of matching brackets. A byte loop with
 * a sparse switch. */
#include "../common.h"

enum { STANDARD_ROUNDS = 25, TAPE = 30000 };

/* Counts three bytes down in nested loops, moving a value along the tape in between. */
static const char LOOPS[] = "++++++++[>++++++++[>--------[>+>>+<<<-]>[<<<+>>>-]>>[-]<<<<-]<-]>>>.<.<.";

static const char HELLO[] =
    "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------.-------"
    "-.>>+.>++.";

static uint8_t tape[TAPE];
static uint16_t partner[512];

static void match(const char *program, size_t len) {
    uint16_t open[64];
    size_t depth = 0;
    for (size_t at = 0; at < len; at++) {
        if (program[at] == '[') {
            require(depth < 64, "nesting");
            open[depth++] = (uint16_t)at;
        } else if (program[at] == ']') {
            require(depth > 0, "brackets");
            partner[at] = open[--depth], partner[open[depth]] = (uint16_t)at;
        }
    }
    require(depth == 0, "brackets");
}

static uint32_t run(const char *program, Digest *digest, uint32_t limit) {
    size_t len = strlen(program), pointer = TAPE / 2;
    uint32_t steps = 0;
    match(program, len);
    memset(tape, 0, sizeof tape);
    for (size_t pc = 0; pc < len && steps < limit; pc++, steps++) {
        switch (program[pc]) {
        case '>': pointer = pointer + 1 == TAPE ? 0 : pointer + 1; break;
        case '<': pointer = pointer == 0 ? TAPE - 1 : pointer - 1; break;
        case '+': tape[pointer]++; break;
        case '-': tape[pointer]--; break;
        case '.': digest_u64(digest, tape[pointer]); break;
        case '[': pc = tape[pointer] ? pc : partner[pc]; break;
        case ']': pc = tape[pointer] ? partner[pc] : pc; break;
        default: break;
        }
    }
    return steps;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Digest digest = {0}, hello = {0}, expected = {0};
    run(HELLO, &hello, 100000);
    for (const char *at = "Hello World!\n"; *at; at++)
        digest_u64(&expected, (uint8_t)*at);
    require(hello.state == expected.state, "Hello World!");
    while (rounds--) {
        digest_u64(&digest, run(HELLO, &digest, 100000));
        digest_u64(&digest, run(LOOPS, &digest, 2000000));
    }
    return digest_print(&digest);
}
