/* `setjmp` and `longjmp`, as libraries use them: to leave a parser from far below, to have protected calls inside of each other,
 * to try again, to leave callbacks of the C library. */
#include "../common.h"
#include "jumps.h"

static const uint32_t STANDARD_ROUNDS = 4000;

static Digest digest;
static Random numbers;

static void note(uint64_t value) { digest_u64(&digest, value); }

/* A reader of arithmetic, which gives up by a jump, with what is wrong as its value. */

typedef struct {
    const char *at;
    int depth;
    jmp_buf failed;
} Parser;

enum { UNEXPECTED = 1, TOO_DEEP, BY_ZERO, UNCLOSED };

static int64_t sum(Parser *parser);

static int64_t atom(Parser *parser) {
    int64_t value = 0;
    if (++parser->depth > 12)
        longjmp(parser->failed, TOO_DEEP);
    if (*parser->at == '(') {
        parser->at++;
        value = sum(parser);
        if (*parser->at++ != ')')
            longjmp(parser->failed, UNCLOSED);
    } else if (*parser->at == '-') {
        parser->at++;
        value = -atom(parser);
    } else {
        if (*parser->at < '0' || *parser->at > '9')
            longjmp(parser->failed, UNEXPECTED);
        while (*parser->at >= '0' && *parser->at <= '9')
            value = (value * 10 + (*parser->at++ - '0')) % 1000003;
    }
    parser->depth--;
    return value;
}

static int64_t product(Parser *parser) {
    int64_t value = atom(parser);
    while (*parser->at == '*' || *parser->at == '/') {
        char operator = *parser->at++;
        int64_t right = atom(parser);
        if (operator == '*')
            value = value * right % 1000003;
        else if (right == 0)
            longjmp(parser->failed, BY_ZERO);
        else
            value /= right;
    }
    return value;
}

static int64_t sum(Parser *parser) {
    int64_t value = product(parser);
    while (*parser->at == '+' || *parser->at == '-') {
        char operator = *parser->at++;
        int64_t right = product(parser);
        value += operator == '+' ? right : -right;
    }
    return value;
}

static void generate(char *text, size_t len) {
    static const char characters[] = "0123456789((()))+-*/+-*x";
    for (size_t i = 0; i + 1 < len; i++) {
        /* Mostly what can stand there: an operator after a number, else the beginning of one. */
        int after_number = i > 0 && ((text[i - 1] >= '0' && text[i - 1] <= '9') || text[i - 1] == ')');
        uint32_t pick = random_below(&numbers, 16);
        if (pick == 0)
            text[i] = characters[random_below(&numbers, sizeof characters - 1)];
        else if (after_number)
            text[i] = pick < 11 ? "+-*/*"[pick % 5] : ')';
        else
            text[i] = pick < 11 ? (char)('0' + pick % 10) : '(';
    }
    text[len - 1] = '\0';
}

static void evaluate(void) {
    char text[24];
    generate(text, sizeof text);
    Parser parser;
    parser.at = text;
    parser.depth = 0;
    volatile int64_t value = -1;
    int failed = setjmp(parser.failed);
    if (failed == 0) {
        value = sum(&parser);
        if (*parser.at != '\0')
            longjmp(parser.failed, UNEXPECTED);
    }
    note((uint64_t)failed);
    note((uint64_t)value);
    note((uint64_t)(parser.at - text));
}

/* Protected calls: what fails goes to the innermost, which may let it go further out. */

typedef struct Protected {
    struct Protected *outer;
    jmp_buf failed;
    /* Set between `setjmp` and the jump, and read after it. */
    volatile uint32_t steps;
} Protected;

static Protected *innermost;

static _Noreturn void fail(int why) {
    Protected *target = innermost;
    require(target != NULL, "nobody is there to be told of a failure");
    innermost = target->outer;
    longjmp(target->failed, why);
}

static int protect(void (*function)(uint32_t), uint32_t argument) {
    Protected own;
    own.outer = innermost;
    own.steps = 0;
    innermost = &own;
    int why = setjmp(own.failed);
    if (why == 0) {
        own.steps = argument + 1;
        function(argument);
        own.steps += 1000;
        innermost = own.outer;
    }
    note(own.steps);
    return why;
}

static void work(uint32_t depth) {
    uint64_t a = depth * 3 + 1, b = random_below(&numbers, 1000), c = a ^ b;
    double x = (double)b;
    for (uint32_t turn = 0; turn < 4; turn++) {
        a = a * 6364136223846793005u + c;
        x = x * 0.5 + (double)(a >> 40);
        uint32_t choice = random_below(&numbers, 8);
        if (depth > 0 && choice < 3)
            work(depth - 1);
        else if (depth > 0 && choice == 3) {
            int why = protect(work, depth - 1);
            b += (uint64_t)why;
            if (why > 5)
                fail(why - 3);
        } else if (choice == 4)
            fail((int)(b % 9));
        c += a ^ b;
    }
    note(a ^ b ^ c);
    digest_f64(&digest, x);
}

/* Two targets in one function, which is tried again until it is done. */
static void retry(void) {
    jmp_buf first, second;
    volatile uint32_t tries = 0, seconds = 0;
    int from = setjmp(first);
    note((uint64_t)from);
    tries++;
    if (setjmp(second) != 0)
        seconds++;
    uint32_t choice = random_below(&numbers, 6);
    if (tries < 20 && choice < 2)
        /* It comes back as 1. */
        longjmp(first, 0);
    if (seconds < 20 && choice == 2)
        longjmp(second, 7);
    if (tries < 20 && choice == 3)
        longjmp(first, -(int)tries);
    note(tries * 100 + seconds);
}

/* Out of a callback of the C library's, as soon as it has been shown what is looked for. */
static jmp_buf found;

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    if (left == right)
        longjmp(found, (int)right + 1);
    return left < right ? -1 : 1;
}

static void find(void) {
    uint32_t sorted[64];
    for (uint32_t i = 0; i < 64; i++)
        sorted[i] = 3 * i;
    uint32_t key = random_below(&numbers, 200);
    int value = setjmp(found);
    if (value == 0)
        require(bsearch(&key, sorted, 64, sizeof *sorted, compare) == NULL, "a callback did not jump");
    note((uint64_t)value);
}

/* From far down. */
static jmp_buf top;

static uint32_t deep(uint32_t depth) {
    if (depth == 0)
        longjmp(top, 3);
    uint32_t below = depth < 1000 ? deep(depth - 1) : 0;
    return below * 2 + depth;
}

static void surface(void) {
    int jumped = setjmp(top);
    if (jumped == 0)
        note(deep(100));
    note((uint64_t)jumped);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    numbers.state = 31;
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 40; i++)
            evaluate();
        for (uint32_t i = 0; i < 8; i++)
            note((uint64_t)protect(work, 1 + i));
        require(innermost == NULL, "a protected call is left over");
        for (int i = 0; i < 10; i++)
            retry();
        for (int i = 0; i < 10; i++)
            find();
        surface();
    }
    return digest_print(&digest);
}
