/* A small language: generated text, a tokenizer with keywords in a hash table, an operator precedence
 * parser with scopes, folded constants, code for a register machine, a peephole pass, both evaluators. */
#include "../common.h"

enum { STANDARD_ROUNDS = 220, TEXT = 20000, NODES = 6000, WORDS = 4000, NAMES = 256, FUNCTIONS = 4,
       SYMBOLS = 400, DEEPEST = 8, REGISTERS = 2000 };

typedef enum {
    KEY_FN, KEY_LET, KEY_IF, KEY_ELSE, KEY_WHILE, KEY_RETURN, KEY_END, NAME, NUMBER, OPEN, CLOSE, BEGIN,
    FINISH, COMMA, SEMICOLON, ASSIGN, PLUS, MINUS, TIMES, OVER, REST, AND, OR, XOR, LEFT, RIGHT, LESS,
    ATMOST, EQUAL, DIFFERENT, NOT, TOKENS
} Token;

/* Generating. Loops end: their counters are no targets of assignments. */
typedef struct {
    char *at, *end;
    Random *random;
    uint32_t names, function, calls, serial;
    uint16_t visible[64];
    uint8_t fixed[64];
} Writer;

static void put(Writer *out, const char *text) {
    while (*text && out->at < out->end)
        *out->at++ = *text++;
}

static void put_number(Writer *out, const char *before, uint32_t value) {
    char digits[12];
    int at = 11;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put(out, before), put(out, digits + at);
}

static void put_expression(Writer *out, int depth) {
    static const char *const signs[] = {"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", "==",
                                        "!=", "+", "-"};
    uint32_t choice = random_below(out->random, depth > 0 ? 10 : 3);
    if (choice == 0) {
        put_number(out, "", random_below(out->random, random_below(out->random, 2) ? 12 : 70000));
    } else if (choice < 3) {
        put_number(out, "v", out->visible[random_below(out->random, out->names)]);
    } else if (choice == 3) {
        put(out, random_below(out->random, 2) ? "-" : "!"), put_expression(out, depth - 1);
    } else if (choice == 4 && out->function > 0 && out->calls > 0) {
        out->calls--;
        put_number(out, "f", out->function - 1);
        put(out, "("), put_expression(out, 1), put(out, ", "), put_expression(out, 0), put(out, ")");
    } else {
        int bracket = choice < 7;
        put(out, bracket ? "(" : ""), put_expression(out, depth - 1);
        put(out, " "), put(out, signs[random_below(out->random, 16)]), put(out, " ");
        put_expression(out, depth - 1), put(out, bracket ? ")" : "");
    }
}

static void put_let(Writer *out, int fixed) {
    put_number(out, "let v", out->serial), put(out, " = ");
    if (fixed)
        put(out, "0");
    else
        put_expression(out, 3);
    out->fixed[out->names] = (uint8_t)fixed;
    out->visible[out->names++] = (uint16_t)out->serial++;
    put(out, ";\n");
}

static void put_block(Writer *out, int depth, int loops) {
    uint32_t names = out->names, calls = out->calls;
    out->calls = loops ? 0 : calls;
    for (uint32_t lines = 3 + random_below(out->random, 3); lines > 0; lines--) {
        uint32_t choice = random_below(out->random, depth > 0 ? 8 : 5), name;
        if (choice < 2 && out->names < 40) {
            put_let(out, 0);
        } else if (choice < 5) {
            do
                name = random_below(out->random, out->names);
            while (out->fixed[name]);
            put_number(out, "v", out->visible[name]), put(out, " = ");
            put_expression(out, 3), put(out, ";\n");
        } else if (choice < 6 || loops > 1) {
            put(out, "if ("), put_expression(out, 2), put(out, ") {\n");
            put_block(out, depth - 1, loops), put(out, "} else {\n");
            put_block(out, depth - 1, loops), put(out, "}\n");
        } else {
            uint32_t counter = out->serial;
            put_let(out, 1);
            put_number(out, "while (v", counter);
            put_number(out, " < ", 3 + random_below(out->random, 6)), put(out, ") { # a loop\n");
            put_number(out, "v", counter), put_number(out, " = v", counter), put(out, " + 1;\n");
            put_block(out, depth - 1, loops + 1), put(out, "}\n");
        }
    }
    out->names = names, out->calls = loops ? calls : out->calls;
}

static uint32_t write_program(char *text, Random *random) {
    Writer out = {text, text + TEXT - 1, random, 0, 0, 0, 0, {0}, {0}};
    for (; out.function < FUNCTIONS; out.function++) {
        out.names = 2, out.serial = 2, out.calls = 2;
        out.visible[0] = 0, out.visible[1] = 1, out.fixed[0] = out.fixed[1] = 0;
        put_number(&out, "fn f", out.function), put(&out, "(v0, v1) {\n");
        put_let(&out, 0);
        put_block(&out, 2, 0), put(&out, "return v0 ^ "), put_expression(&out, 2), put(&out, ";\n}\n");
    }
    require(out.at < out.end, "room for the text");
    *out.at = '\0';
    return (uint32_t)(out.at - text);
}

/* Tokens. Names and keywords share a table; the keywords are its first entries. */
typedef struct {
    const char *text;
    uint32_t hash;
    uint16_t len, symbol;
} Name;

typedef struct {
    Name names[NAMES];
    uint16_t table[2 * NAMES];
    uint32_t count;
} Names;

static uint32_t intern(Names *names, const char *text, uint32_t len) {
    uint32_t hash = 5381;
    for (uint32_t i = 0; i < len; i++)
        hash = hash * 33 ^ (uint8_t)text[i];
    uint32_t at = hash % (2 * NAMES);
    for (; names->table[at] != 0; at = (at + 1) % (2 * NAMES)) {
        const Name *name = &names->names[names->table[at] - 1];
        if (name->hash == hash && name->len == len && memcmp(name->text, text, len) == 0)
            return names->table[at] - 1u;
    }
    require(names->count < NAMES, "room for a name");
    names->names[names->count] = (Name){text, hash, (uint16_t)len, 0};
    names->table[at] = (uint16_t)++names->count;
    return names->count - 1;
}

typedef enum { CONSTANT, VARIABLE, UNARY, BINARY, CALL, STORE, BRANCH, LOOP, BLOCK, RETURN } Kind;

typedef struct Node {
    uint8_t kind, op;
    uint16_t slot;
    int32_t value;
    struct Node *a, *b, *c, *next;
} Node;

typedef struct {
    uint16_t name, slot, hidden;
} Symbol;

typedef struct {
    const char *at;
    Names names;
    Symbol symbols[SYMBOLS];
    Node *nodes, *functions[FUNCTIONS];
    uint32_t used, visible, slots, function, lines, tokens;
    int32_t value;
    uint8_t token;
} Parser;

static void advance(Parser *p) {
    const char *at = p->at;
    for (;; at++) {
        if (*at == '#')
            while (*at != '\n')
                at++;
        if (*at == '\n')
            p->lines++;
        else if (*at != ' ')
            break;
    }
    const char *start = at;
    p->tokens++;
    if (*at >= 'a' && *at <= 'z') {
        while ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9'))
            at++;
        p->value = (int32_t)intern(&p->names, start, (uint32_t)(at - start));
        p->token = (uint8_t)(p->value < KEY_END ? p->value : NAME);
    } else if (*at >= '0' && *at <= '9') {
        for (p->value = 0; *at >= '0' && *at <= '9'; at++)
            p->value = p->value * 10 + (*at - '0');
        p->token = NUMBER;
    } else {
        switch (*at++) {
        case '(': p->token = OPEN; break;
        case ')': p->token = CLOSE; break;
        case '{': p->token = BEGIN; break;
        case '}': p->token = FINISH; break;
        case ',': p->token = COMMA; break;
        case ';': p->token = SEMICOLON; break;
        case '+': p->token = PLUS; break;
        case '-': p->token = MINUS; break;
        case '*': p->token = TIMES; break;
        case '/': p->token = OVER; break;
        case '%': p->token = REST; break;
        case '&': p->token = AND; break;
        case '|': p->token = OR; break;
        case '^': p->token = XOR; break;
        case '=': p->token = *at == '=' ? at++, EQUAL : ASSIGN; break;
        case '!': p->token = *at == '=' ? at++, DIFFERENT : NOT; break;
        case '<': p->token = *at == '<' ? at++, LEFT : *at == '=' ? at++, ATMOST : LESS; break;
        case '>': require(*at++ == '>', "a shift"), p->token = RIGHT; break;
        default: at--, p->token = KEY_END; break;
        }
    }
    p->at = at;
}

static int32_t expect(Parser *p, Token token) {
    int32_t value = p->value;
    require(p->token == token, "the token expected");
    advance(p);
    return value;
}

static Node *node_new(Parser *p, Kind kind, uint32_t op, Node *a, Node *b) {
    require(p->used < NODES, "a node is left");
    Node *node = &p->nodes[p->used++];
    *node = (Node){(uint8_t)kind, (uint8_t)op, 0, 0, a, b, NULL, NULL};
    return node;
}

/* A name's symbol is the innermost; it remembers the one it hides. Number 0 is none. */
static uint16_t declare(Parser *p, uint32_t name) {
    require(p->visible + 1 < SYMBOLS, "room for a symbol");
    Symbol *symbol = &p->symbols[++p->visible];
    *symbol = (Symbol){(uint16_t)name, (uint16_t)p->slots++, p->names.names[name].symbol};
    p->names.names[name].symbol = (uint16_t)p->visible;
    return symbol->slot;
}

static uint16_t resolve(const Parser *p, uint32_t name) {
    uint32_t symbol = p->names.names[name].symbol;
    require(symbol != 0, "a name known");
    return p->symbols[symbol].slot;
}

static void leave(Parser *p, uint32_t visible) {
    for (; p->visible > visible; p->visible--, p->slots--)
        p->names.names[p->symbols[p->visible].name].symbol = p->symbols[p->visible].hidden;
}

static const uint8_t powers[TOKENS] = {
    [OR] = 1, [XOR] = 2, [AND] = 3, [EQUAL] = 4, [DIFFERENT] = 4, [LESS] = 5, [ATMOST] = 5, [LEFT] = 6,
    [RIGHT] = 6, [PLUS] = 7, [MINUS] = 7, [TIMES] = 8, [OVER] = 8, [REST] = 8};

static Node *expression(Parser *p, int power) {
    Node *left = NULL;
    uint8_t token = p->token;
    int32_t value = p->value;
    advance(p);
    switch (token) {
    case NUMBER:
        left = node_new(p, CONSTANT, 0, NULL, NULL), left->value = value;
        break;
    case NAME:
        if (p->token == OPEN) {
            advance(p);
            left = expression(p, 0), expect(p, COMMA);
            left = node_new(p, CALL, 0, left, expression(p, 0)), expect(p, CLOSE);
            left->slot = (uint16_t)(p->names.names[value].text[1] - '0');
            require(left->slot < p->function, "a function known");
        } else {
            left = node_new(p, VARIABLE, 0, NULL, NULL), left->slot = resolve(p, (uint32_t)value);
        }
        break;
    case OPEN: left = expression(p, 0), expect(p, CLOSE); break;
    case MINUS: case NOT: left = node_new(p, UNARY, token, expression(p, 9), NULL); break;
    default: require(0, "an expression");
    }
    while (powers[p->token] > power) {
        token = p->token, advance(p);
        left = node_new(p, BINARY, token, left, expression(p, powers[token]));
    }
    return left;
}

static Node *block(Parser *p);

static Node *statement(Parser *p) {
    Node *node, *value;
    uint8_t token = p->token;
    int32_t name = p->value;
    advance(p);
    switch (token) {
    case KEY_LET: case NAME:
        name = token == KEY_LET ? expect(p, NAME) : name;
        expect(p, ASSIGN), value = expression(p, 0), expect(p, SEMICOLON);
        node = node_new(p, STORE, 0, value, NULL);
        node->slot = token == KEY_LET ? declare(p, (uint32_t)name) : resolve(p, (uint32_t)name);
        return node;
    case KEY_IF: case KEY_WHILE:
        expect(p, OPEN), value = expression(p, 0), expect(p, CLOSE);
        node = node_new(p, token == KEY_IF ? BRANCH : LOOP, 0, value, NULL);
        node->b = block(p);
        if (token == KEY_IF)
            expect(p, KEY_ELSE), node->c = block(p);
        return node;
    default:
        require(token == KEY_RETURN, "a statement");
        node = node_new(p, RETURN, 0, expression(p, 0), NULL), expect(p, SEMICOLON);
        return node;
    }
}

static Node *block(Parser *p) {
    Node *node = node_new(p, BLOCK, 0, NULL, NULL), **last = &node->a;
    uint32_t visible = p->visible;
    for (expect(p, BEGIN); p->token != FINISH; last = &(*last)->next)
        *last = statement(p);
    advance(p), leave(p, visible);
    return node;
}

static void parse(Parser *p, const char *text) {
    static const char *const keywords[] = {"fn", "let", "if", "else", "while", "return"};
    p->at = text, p->used = p->visible = p->slots = p->lines = p->tokens = p->names.count = 0;
    memset(p->names.table, 0, sizeof p->names.table);
    for (uint32_t i = 0; i < KEY_END; i++)
        require(intern(&p->names, keywords[i], (uint32_t)strlen(keywords[i])) == i, "keywords first");
    advance(p);
    for (p->function = 0; p->token == KEY_FN; p->function++) {
        advance(p), expect(p, NAME), expect(p, OPEN);
        declare(p, (uint32_t)expect(p, NAME)), expect(p, COMMA);
        declare(p, (uint32_t)expect(p, NAME)), expect(p, CLOSE);
        p->functions[p->function] = block(p), leave(p, 0);
    }
    require(p->token == KEY_END && p->function == FUNCTIONS, "the end of the text");
}

static int32_t apply(uint32_t op, int32_t a, int32_t b) {
    uint32_t x = (uint32_t)a, y = (uint32_t)b;
    switch (op) {
    case PLUS: return (int32_t)(x + y);
    case MINUS: return (int32_t)(x - y);
    case TIMES: return (int32_t)(x * y);
    case OVER: return b == 0 ? 0 : b == -1 ? (int32_t)(0 - x) : a / b;
    case REST: return b == 0 || b == -1 ? 0 : a % b;
    case AND: return a & b;
    case OR: return a | b;
    case XOR: return a ^ b;
    case LEFT: return (int32_t)(x << (y & 31));
    case RIGHT: return a >> (y & 31);
    case LESS: return a < b;
    case ATMOST: return a <= b;
    case EQUAL: return a == b;
    default: return a != b;
    }
}

/* The tree as it is: what the machine's results are compared to. */
static int32_t walk(const Parser *p, const Node *node, int32_t *slots, int *returned) {
    int32_t frame[64], value = 0;
    switch ((Kind)node->kind) {
    case CONSTANT: return node->value;
    case VARIABLE: return slots[node->slot];
    case UNARY:
        value = walk(p, node->a, slots, returned);
        return node->op == NOT ? value == 0 : (int32_t)(0 - (uint32_t)value);
    case BINARY:
        value = walk(p, node->a, slots, returned);
        return apply(node->op, value, walk(p, node->b, slots, returned));
    case CALL:
        frame[0] = walk(p, node->a, slots, returned), frame[1] = walk(p, node->b, slots, returned);
        value = walk(p, p->functions[node->slot], frame, returned), *returned = 0;
        return value;
    case STORE: return slots[node->slot] = walk(p, node->a, slots, returned);
    case BRANCH: return walk(p, walk(p, node->a, slots, returned) ? node->b : node->c, slots, returned);
    case LOOP:
        while (!*returned && walk(p, node->a, slots, returned))
            value = walk(p, node->b, slots, returned);
        return value;
    case RETURN:
        value = walk(p, node->a, slots, returned), *returned = 1;
        return value;
    default:
        for (node = node->a; node != NULL && !*returned; node = node->next)
            value = walk(p, node, slots, returned);
        return value;
    }
}

static void fold(Node *node) {
    for (; node != NULL; node = node->next) {
        fold(node->a), fold(node->b), fold(node->c);
        Node *a = node->a, *b = node->b, *next = node->next;
        if (node->kind == BINARY && b->kind == CONSTANT && a->kind == CONSTANT) {
            node->value = apply(node->op, a->value, b->value);
            node->kind = CONSTANT, node->a = node->b = NULL;
        } else if (node->kind == BINARY && b->kind == CONSTANT) {
            switch (node->op) {
            case PLUS: case MINUS: case OR: case XOR: case LEFT: case RIGHT:
                if (b->value == 0)
                    *node = *a, node->next = next;
                break;
            case TIMES: case OVER:
                if (b->value == 1)
                    *node = *a, node->next = next;
                break;
            }
        } else if (node->kind == UNARY && a->kind == CONSTANT) {
            node->value = node->op == NOT ? a->value == 0 : (int32_t)(0 - (uint32_t)a->value);
            node->kind = CONSTANT, node->a = NULL;
        } else if (node->kind == BRANCH && a->kind == CONSTANT) {
            *node = *(a->value ? b : node->c), node->next = next;
        }
    }
}

/* Words of code: an operation and three fields of 8 bits; b and c may be one of 16 bits. Binary
 * operations are numbered like their tokens. */
enum { HALT, MOVE, LOAD, HIGH, ADD, NEGATE, INVERT, JUMP, ZERO, NONZERO, ENTER, BACK };

typedef struct {
    uint32_t words[WORDS], count, entries[FUNCTIONS], vars;
} Code;

static uint32_t emit(Code *code, uint32_t op, uint32_t a, uint32_t b, uint32_t c) {
    require(code->count < WORDS && a < 256, "room for code");
    code->words[code->count] = op << 24 | a << 16 | b << 8 | c;
    return code->count++;
}

static void patch(Code *code, uint32_t at) {
    code->words[at] = (code->words[at] & 0xffff0000u) | code->count;
}

/* Returns the register of the value: a variable's own, or `free` and those above for others. */
static uint32_t generate(Code *code, const Node *node, uint32_t free) {
    uint32_t a, b, at, value;
    switch ((Kind)node->kind) {
    case CONSTANT:
        value = (uint32_t)node->value;
        emit(code, LOAD, free, value >> 8 & 255, value & 255);
        if (node->value != (int16_t)value)
            emit(code, HIGH, free, value >> 24, value >> 16 & 255);
        return free;
    case VARIABLE: return node->slot;
    case UNARY:
        a = generate(code, node->a, free);
        emit(code, node->op == NOT ? INVERT : NEGATE, free, a, 0);
        return free;
    case BINARY:
        a = generate(code, node->a, free), b = generate(code, node->b, free + (a == free));
        emit(code, node->op, free, a, b);
        return free;
    case CALL:
        for (a = 0; a < 2; a++) {
            b = generate(code, a ? node->b : node->a, free + a);
            emit(code, MOVE, free + a, b, 0);
        }
        emit(code, ENTER, free, 0, node->slot);
        return free;
    case STORE:
        a = generate(code, node->a, free);
        emit(code, MOVE, node->slot, a, 0);
        return free;
    case BRANCH:
        at = emit(code, ZERO, generate(code, node->a, free), 0, 0);
        generate(code, node->b, free), b = emit(code, JUMP, 0, 0, 0), patch(code, at);
        generate(code, node->c, free), patch(code, b);
        return free;
    case LOOP:
        value = code->count;
        at = emit(code, ZERO, generate(code, node->a, free), 0, 0);
        generate(code, node->b, free), emit(code, JUMP, 0, value >> 8, value & 255), patch(code, at);
        return free;
    case RETURN: return emit(code, BACK, 0, generate(code, node->a, free), 0);
    default:
        for (node = node->a; node != NULL; node = node->next)
            generate(code, node, free);
        return free;
    }
}

static int jumps(uint32_t op) {
    return op == JUMP || op == ZERO || op == NONZERO;
}

/* Joins neighbours where the second is no target, follows jumps to jumps, closes the gaps. */
static uint32_t improve(Code *code) {
    static uint16_t moved[WORDS + 1];
    static uint8_t target[WORDS + 1];
    uint32_t *words = code->words, kept = 0, removed = 0;
    memset(target, 0, sizeof target);
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        target[code->entries[i]] = 1;
    for (uint32_t i = 0; i < code->count; i++)
        if (jumps(words[i] >> 24)) {
            uint32_t to = words[i] & 0xffff;
            for (int hops = 0; hops < 4 && to < code->count && words[to] >> 24 == JUMP; hops++)
                to = words[to] & 0xffff;
            words[i] = (words[i] & 0xffff0000u) | to;
            target[to] = 1;
        }
    for (uint32_t i = 0; i < code->count; i++) {
        uint32_t word = words[i], op = word >> 24, a = word >> 16 & 255, b = word >> 8 & 255, c = word & 255;
        moved[i] = (uint16_t)kept;
        uint32_t last = kept > 0 && !target[i] ? words[kept - 1] : 0, before = last >> 24;
        uint32_t to = last >> 16 & 255;
        if ((op == MOVE && a == b) || (op == JUMP && (word & 0xffff) == i + 1)) {
            continue;
        } else if (op == MOVE && b == to && b >= code->vars && (before >= PLUS || before == LOAD ||
                   before == NEGATE || before == INVERT || before == ADD)) {
            words[kept - 1] = (last & 0xff00ffffu) | a << 16;
        } else if ((op == PLUS || op == MINUS) && before == LOAD && c == to && c >= code->vars &&
                   (last & 0xffff) < 128) {
            uint32_t value = last & 255;
            value = op == PLUS ? value : 0 - value;
            words[kept - 1] = (uint32_t)ADD << 24 | a << 16 | b << 8 | (value & 255);
        } else if (op == ZERO && before == INVERT && a == to && a >= code->vars) {
            words[kept - 1] = (uint32_t)NONZERO << 24 | (last & 0xff00) << 8 | (word & 0xffff);
        } else {
            words[kept++] = word;
            continue;
        }
        moved[i] = (uint16_t)(kept - 1), removed++;
    }
    moved[code->count] = (uint16_t)kept;
    for (uint32_t i = 0; i < kept; i++)
        if (jumps(words[i] >> 24))
            words[i] = (words[i] & 0xffff0000u) | moved[words[i] & 0xffff];
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        code->entries[i] = moved[code->entries[i]];
    code->count = kept;
    return removed;
}

static int32_t run(const Code *code, int32_t *registers, uint64_t *steps) {
    struct { uint32_t at; int32_t *frame; } stack[DEEPEST];
    uint32_t at = code->entries[FUNCTIONS - 1], depth = 0;
    int32_t *r = registers;
    for (uint64_t count = 1;; count++) {
        uint32_t word = code->words[at++], a = word >> 16 & 255, b = word >> 8 & 255, c = word & 255;
        int32_t value;
        switch (word >> 24) {
        case MOVE: r[a] = r[b]; break;
        case LOAD: r[a] = (int16_t)word; break;
        case HIGH: r[a] = (int32_t)((r[a] & 0xffff) | word << 16); break;
        case ADD: r[a] = (int32_t)((uint32_t)r[b] + (uint32_t)(int8_t)c); break;
        case NEGATE: r[a] = (int32_t)(0 - (uint32_t)r[b]); break;
        case INVERT: r[a] = r[b] == 0; break;
        case JUMP: at = word & 0xffff; break;
        case ZERO: at = r[a] == 0 ? word & 0xffff : at; break;
        case NONZERO: at = r[a] != 0 ? word & 0xffff : at; break;
        case ENTER:
            require(depth < DEEPEST, "depth of calls");
            stack[depth].at = at, stack[depth++].frame = r;
            r += a, at = code->entries[c];
            break;
        case BACK:
            value = r[b];
            if (depth == 0) {
                *steps += count;
                return value;
            }
            r[0] = value;
            at = stack[--depth].at, r = stack[depth].frame;
            break;
        case PLUS: r[a] = (int32_t)((uint32_t)r[b] + (uint32_t)r[c]); break;
        case MINUS: r[a] = (int32_t)((uint32_t)r[b] - (uint32_t)r[c]); break;
        case TIMES: r[a] = (int32_t)((uint32_t)r[b] * (uint32_t)r[c]); break;
        case AND: r[a] = r[b] & r[c]; break;
        case OR: r[a] = r[b] | r[c]; break;
        case XOR: r[a] = r[b] ^ r[c]; break;
        case LEFT: r[a] = (int32_t)((uint32_t)r[b] << (r[c] & 31)); break;
        case RIGHT: r[a] = r[b] >> (r[c] & 31); break;
        case LESS: r[a] = r[b] < r[c]; break;
        case ATMOST: r[a] = r[b] <= r[c]; break;
        case EQUAL: r[a] = r[b] == r[c]; break;
        case DIFFERENT: r[a] = r[b] != r[c]; break;
        case OVER: case REST: r[a] = apply(word >> 24, r[b], r[c]); break;
        default: require(0, "an operation known");
        }
    }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {89};
    Digest digest = {0};
    static Parser parser;
    static Code code;
    static int32_t registers[REGISTERS];
    char *text = allocate(TEXT);
    parser.nodes = allocate(NODES * sizeof(Node));
    code.vars = 48; /* More than a function has; the registers from there on are for a single use. */
    while (rounds--) {
        digest_u64(&digest, write_program(text, &random));
        parse(&parser, text);
        digest_u64(&digest, (uint64_t)parser.lines << 40 | parser.tokens << 16 | parser.used);
        int32_t a = (int32_t)random_below(&random, 100), b = (int32_t)random_below(&random, 100000);
        int32_t slots[64] = {a, b};
        int returned = 0;
        int32_t expected = walk(&parser, parser.functions[FUNCTIONS - 1], slots, &returned);
        code.count = 0;
        for (uint32_t i = 0; i < FUNCTIONS; i++) {
            fold(parser.functions[i]);
            code.entries[i] = code.count;
            generate(&code, parser.functions[i], code.vars);
        }
        uint64_t steps = 0;
        registers[0] = a, registers[1] = b;
        require(run(&code, registers, &steps) == expected, "the machine and the tree agree");
        digest_u64(&digest, steps << 16 | code.count);
        digest_u64(&digest, (uint64_t)improve(&code) << 32 | (uint32_t)expected);
        digest_u64(&digest, improve(&code));
        registers[0] = a, registers[1] = b;
        require(run(&code, registers, &steps) == expected, "the better code does the same");
        for (uint32_t i = 0; i < code.count; i += 16)
            digest_u64(&digest, code.words[i]);
        digest_u64(&digest, steps);
    }
    free(text), free(parser.nodes);
    return digest_print(&digest);
}
