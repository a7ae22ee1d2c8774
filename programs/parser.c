/* A JSON parser (RFC 8259) with a generator and a writer: random documents are written as text with
 * odd spacing, parsed into a tree on the heap, written again compactly, parsed once more and
 * compared. Branches, recursion, a switch per character, and many small allocations. */
#include "common.h"

enum { STANDARD_ROUNDS = 1900, DEEPEST = 8, TOP_LEVEL_ITEMS = 24 };

/* --- A growing text buffer --- */

typedef struct {
    char *bytes;
    size_t len, capacity;
} Text;

static void put(Text *text, char byte) {
    if (text->len == text->capacity) {
        text->capacity = text->capacity ? 2 * text->capacity : 64;
        text->bytes = realloc(text->bytes, text->capacity);
        require(text->bytes != NULL, "out of memory");
    }
    text->bytes[text->len++] = byte;
}

static void put_word(Text *text, const char *word) {
    while (*word)
        put(text, *word++);
}

static void put_unsigned(Text *text, uint64_t value) {
    if (value >= 10)
        put_unsigned(text, value / 10);
    put(text, (char)('0' + value % 10));
}

/* --- The tree --- */

typedef enum { NONE, FALSE_, TRUE_, NUMBER, STRING, ARRAY, OBJECT } Kind;

typedef struct Value Value;
struct Value {
    Kind kind;
    /* A number is mantissa / 10^decimals, with at most 15 digits; that quotient is rounded once. */
    int64_t mantissa;
    uint32_t decimals;
    Text text;          /* of a string */
    Text name;          /* of a member of an object */
    Value *first, *next; /* items of an array or object, as a list */
};

static void free_value(Value *value) {
    while (value) {
        Value *next = value->next;
        free_value(value->first);
        free(value->text.bytes);
        free(value->name.bytes);
        free(value);
        value = next;
    }
}

/* --- Writing --- */

static void write_string(Text *out, const Text *text) {
    put(out, '"');
    for (size_t i = 0; i < text->len; i++) {
        uint8_t byte = (uint8_t)text->bytes[i];
        if (byte == '"' || byte == '\\') {
            put(out, '\\');
            put(out, (char)byte);
        } else if (byte == '\n') {
            put_word(out, "\\n");
        } else if (byte < 0x20) {
            put_word(out, "\\u00");
            put(out, "0123456789abcdef"[byte >> 4]);
            put(out, "0123456789abcdef"[byte & 15]);
        } else {
            put(out, (char)byte);
        }
    }
    put(out, '"');
}

static void write_number(Text *out, int64_t mantissa, uint32_t decimals) {
    uint64_t scale = 1, magnitude = (uint64_t)(mantissa < 0 ? -mantissa : mantissa);
    for (uint32_t i = 0; i < decimals; i++)
        scale *= 10;
    if (mantissa < 0)
        put(out, '-');
    put_unsigned(out, magnitude / scale);
    if (decimals > 0)
        put(out, '.');
    while (scale > 1) {
        scale /= 10;
        put(out, (char)('0' + magnitude / scale % 10));
    }
}

static void write_value(Text *out, const Value *value) {
    switch (value->kind) {
    case NONE: put_word(out, "null"); break;
    case FALSE_: put_word(out, "false"); break;
    case TRUE_: put_word(out, "true"); break;
    case NUMBER: write_number(out, value->mantissa, value->decimals); break;
    case STRING: write_string(out, &value->text); break;
    case ARRAY:
    case OBJECT:
        put(out, value->kind == ARRAY ? '[' : '{');
        for (const Value *item = value->first; item; item = item->next) {
            if (value->kind == OBJECT) {
                write_string(out, &item->name);
                put(out, ':');
            }
            write_value(out, item);
            if (item->next)
                put(out, ',');
        }
        put(out, value->kind == ARRAY ? ']' : '}');
    }
}

/* --- Parsing. A parser that has failed stays at the failing byte and returns NULL upwards. --- */

typedef struct {
    const char *at, *end;
} Input;

static int peek(const Input *in) {
    return in->at < in->end ? (uint8_t)*in->at : -1;
}

static void skip_space(Input *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
}

static int accept(Input *in, char byte) {
    if (peek(in) != (uint8_t)byte)
        return 0;
    in->at++;
    return 1;
}

static int accept_word(Input *in, const char *word) {
    while (*word && accept(in, *word))
        word++;
    return *word == '\0';
}

static int hex_digit(int byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* After the opening quote. Of \u escapes only those below 0x80 are taken: the writer makes no others. */
static int parse_string(Input *in, Text *out) {
    while (!accept(in, '"')) {
        int byte = peek(in);
        if (byte < 0x20)
            return 0;
        in->at++;
        if (byte == '\\') {
            if ((byte = peek(in)) < 0)
                return 0;
            in->at++;
            switch (byte) {
            case '"': case '\\': case '/': break;
            case 'b': byte = '\b'; break;
            case 'f': byte = '\f'; break;
            case 'n': byte = '\n'; break;
            case 'r': byte = '\r'; break;
            case 't': byte = '\t'; break;
            case 'u':
                byte = 0;
                for (int i = 0; i < 4; i++) {
                    int digit = hex_digit(peek(in));
                    if (digit < 0)
                        return 0;
                    byte = 16 * byte + digit;
                    in->at++;
                }
                if (byte >= 0x80)
                    return 0;
                break;
            default: return 0;
            }
        }
        put(out, (char)byte);
    }
    return 1;
}

/* Digits into the mantissa; no number here has more than 15. */
static int parse_digits(Input *in, Value *value, int *digits) {
    int start = *digits;
    for (int byte; (byte = peek(in)) >= '0' && byte <= '9'; in->at++) {
        if (++*digits > 15)
            return 0;
        value->mantissa = 10 * value->mantissa + (byte - '0');
    }
    return *digits > start;
}

static int parse_number(Input *in, Value *value) {
    int negative = accept(in, '-'), digits = 0;
    int starts_with_zero = peek(in) == '0';
    if (!parse_digits(in, value, &digits) || (starts_with_zero && digits > 1))
        return 0;
    int whole = digits;
    if (accept(in, '.') && !parse_digits(in, value, &digits))
        return 0;
    value->decimals = (uint32_t)(digits - whole);
    value->mantissa = negative ? -value->mantissa : value->mantissa;
    return 1;
}

static Value *parse_value(Input *in, int depth);

/* After the opening bracket: items up to the closing one, with names in an object. */
static int parse_items(Input *in, Value *value, int depth) {
    char close = value->kind == ARRAY ? ']' : '}';
    Value **place = &value->first;
    skip_space(in);
    if (accept(in, close))
        return 1;
    do {
        Text name = {0};
        skip_space(in);
        if (value->kind == OBJECT) {
            int named = accept(in, '"') && parse_string(in, &name);
            skip_space(in);
            if (!named || !accept(in, ':')) {
                free(name.bytes);
                return 0;
            }
        }
        Value *item = parse_value(in, depth + 1);
        if (!item) {
            free(name.bytes);
            return 0;
        }
        item->name = name;
        *place = item;
        place = &item->next;
        skip_space(in);
    } while (accept(in, ','));
    return accept(in, close);
}

static Value *parse_value(Input *in, int depth) {
    Value *value = allocate(sizeof *value);
    memset(value, 0, sizeof *value);
    int good;
    skip_space(in);
    switch (peek(in)) {
    case 'n': value->kind = NONE, good = accept_word(in, "null"); break;
    case 'f': value->kind = FALSE_, good = accept_word(in, "false"); break;
    case 't': value->kind = TRUE_, good = accept_word(in, "true"); break;
    case '"': value->kind = STRING, in->at++, good = parse_string(in, &value->text); break;
    case '[': value->kind = ARRAY, in->at++, good = depth < 100 && parse_items(in, value, depth); break;
    case '{': value->kind = OBJECT, in->at++, good = depth < 100 && parse_items(in, value, depth); break;
    default: value->kind = NUMBER, good = parse_number(in, value); break;
    }
    if (good)
        return value;
    free_value(value);
    return NULL;
}

static Value *parse_document(const Text *text) {
    Input in = {text->bytes, text->bytes + text->len};
    Value *value = parse_value(&in, 0);
    skip_space(&in);
    if (value && in.at == in.end)
        return value;
    free_value(value);
    return NULL;
}

/* --- Generating --- */

static void put_space(Random *random, Text *out) {
    for (uint32_t count = random_below(random, 8); count > 5; count--)
        put(out, " \n\t"[random_below(random, 3)]);
}

static void generate_string(Random *random, Text *out) {
    Text text = {0};
    for (uint32_t count = random_below(random, 14); count > 0; count--)
        put(&text, (char)(random_below(random, 10) == 0 ? random_below(random, 0x7f)
                                                        : 'a' + random_below(random, 26)));
    write_string(out, &text);
    free(text.bytes);
}

static void generate_items(Random *random, Text *out, int object, uint32_t count, int depth);

static void generate(Random *random, Text *out, int depth) {
    put_space(random, out);
    switch (random_below(random, depth < DEEPEST ? 10 : 6)) {
    case 0: put_word(out, "null"); break;
    case 1: put_word(out, random_below(random, 2) ? "true" : "false"); break;
    case 2:
    case 3: {
        int64_t mantissa = (int64_t)random_below(random, 2000000000) - 1000000000;
        write_number(out, mantissa, random_below(random, 6));
        break;
    }
    case 4:
    case 5: generate_string(random, out); break;
    default: {
        /* One after the other: C leaves the order of evaluating arguments open. */
        int object = random_below(random, 2) != 0;
        uint32_t count = random_below(random, 5);
        generate_items(random, out, object, count, depth + 1);
    }
    }
    put_space(random, out);
}

static void generate_items(Random *random, Text *out, int object, uint32_t count, int depth) {
    put(out, object ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            put(out, ',');
        if (object) {
            put_space(random, out);
            generate_string(random, out);
            put(out, ':');
        }
        generate(random, out, depth);
    }
    put(out, object ? '}' : ']');
}

/* --- Using what was parsed --- */

/* Adds up all numbers, each weighed by its depth. */
static double sum_of_numbers(const Value *value, int depth) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
    if (value->kind == NUMBER)
        return (double)value->mantissa / powers[value->decimals] * depth;
    double sum = 0;
    for (const Value *item = value->first; item; item = item->next)
        sum += sum_of_numbers(item, depth + 1);
    return sum;
}

static void check_refusals(void) {
    static const char *const bad[] = {"", "[1,]", "{\"a\" 1}", "\"open", "01", "-", "1.", "nul",
                                      "[1] 2", "\"\\x\"", "\"\\", "{1:2}", "[[[", "1234567890123456"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Text text = {0};
        put_word(&text, bad[i]);
        require(parse_document(&text) == NULL, "malformed text is refused");
        free(text.bytes);
    }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {5};
    Digest digest = {0};
    check_refusals();
    for (uint32_t round = 0; round < rounds; round++) {
        Text loose = {0}, compact = {0}, again = {0};
        generate_items(&random, &loose, 0, TOP_LEVEL_ITEMS, 0);
        Value *value = parse_document(&loose);
        require(value != NULL, "the generated text is JSON");
        write_value(&compact, value);
        Value *copy = parse_document(&compact);
        require(copy != NULL, "the written text is JSON");
        write_value(&again, copy);
        require(again.len == compact.len && memcmp(again.bytes, compact.bytes, again.len) == 0,
                "writing what was parsed gives the same text");
        digest_u64(&digest, loose.len);
        digest_bytes(&digest, (const uint8_t *)compact.bytes, compact.len);
        digest_f64(&digest, sum_of_numbers(value, 0));
        free_value(value);
        free_value(copy);
        free(loose.bytes);
        free(compact.bytes);
        free(again.bytes);
    }
    return digest_print(&digest);
}
