/* Parsers that move their caller's pointer along a text: sums with brackets, lines of settings, dates
 * and times, addresses with escapes, the words of a small language. */
#include "../common.h"

enum { STANDARD_ROUNDS = 150, BYTES = 9600, TEXTS = 5 };

typedef enum {
    PLUS, TIMES, BRACKET, SECTION, SETTING, COMMENT, DATE, LEAP,
    PART, ESCAPED, QUERY, WORD, KEYWORD, LITERAL, SIGN, EVENTS
} Event;

/* What the parsers count. */
typedef struct {
    uint32_t events[EVENTS];
    uint32_t errors;
    uint64_t sum;
    uint16_t longest;
    uint8_t depth, deepest;
} Tally;

static uint8_t texts[TEXTS][BYTES + 1];

/* Writing: each text ends with a zero byte. */
typedef struct {
    uint8_t *at;
} Out;

static void put(Out *out, const char *text) {
    while (*text)
        *out->at++ = (uint8_t)*text++;
}

static void put_number(Out *out, uint32_t value, int width) {
    uint8_t digits[10];
    int count = 0;
    for (; value || count < width; value /= 10)
        digits[count++] = (uint8_t)('0' + value % 10);
    while (count)
        *out->at++ = digits[--count];
}

/* Writes an expression and returns its value. */
static uint32_t put_sum(Out *out, Random *random, int depth, int product) {
    uint32_t choice = depth ? random_below(random, 8) : 0, value;
    if (choice < 2) {
        value = random_below(random, choice ? 100000 : 100);
        put_number(out, value, 1);
    } else if (choice == 2) {
        put(out, "-");
        value = 0u - put_sum(out, random, 0, 1);
    } else if (choice < 5 || product) {
        int bracket = product && choice != 3;
        put(out, bracket ? "( " : "");
        value = put_sum(out, random, depth - 1, 1);
        put(out, choice & 1 ? "*" : " * ");
        value *= put_sum(out, random, 0, 1);
        put(out, bracket ? ")" : "");
    } else {
        put(out, "(");
        value = put_sum(out, random, depth - 1, 0);
        put(out, choice & 1 ? " + " : "-");
        uint32_t other = put_sum(out, random, depth - 1, 1);
        value = choice & 1 ? value + other : value - other;
        put(out, ")");
    }
    return value;
}

static const char *const sample_words[] = {
    "while", "count", "if", "x", "return", "total_2", "else", "repeat", "until", "k9",
    "for", "value", "break", "and", "or", "not", "let", "function", "iffy", "end"};
static const char *const sample_settings[] = {
    "name = north west ; site\n", "limit=4096\n", "[server.main]\n", "debug = yes\n", "# nothing\n",
    "  path = /usr/lib\n", "retries = 12\n", "broken line\n", "[odd\n"};
static const char *const sample_parts[] = {
    "docs", "%7Euser", "a%20b", "index.html", "x%2fy", "caf%C3%A9", "img", "bad%4", "v2"};

/* Seconds since 2000-01-01, from fields; days by counting from March, so that leap days come last. */
static uint64_t seconds_of(uint32_t year, uint32_t month, uint32_t day, uint32_t second) {
    uint32_t m = (month + 9) % 12, y = year - (m >= 10);
    uint32_t days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day;
    return (uint64_t)(days - 730426) * 86400 + second;
}

static void write_texts(Random *random, uint64_t *sum, uint64_t *seconds) {
    Out out = {texts[0]};
    *sum = *seconds = 0;
    for (int i = 0; i < TEXTS; i++) {
        const uint8_t *stop = texts[i] + BYTES - 400;
        for (out.at = texts[i]; out.at < stop;) {
            uint32_t any = random_below(random, 1000);
            switch (i) {
            case 0:
                *sum = *sum * 3 + put_sum(&out, random, 4, 0);
                put(&out, ";\n");
                break;
            case 1:
                put(&out, sample_settings[any % 9]);
                break;
            case 2: {
                uint32_t year = 2000 + any % 90, month = 1 + any / 90, day = 1 + any % 28;
                uint32_t second = random_below(random, 86400);
                put_number(&out, year, 4);
                put(&out, "-");
                put_number(&out, month, 2);
                put(&out, "-");
                put_number(&out, day, 2);
                put(&out, any & 1 ? "T" : " ");
                put_number(&out, second / 3600, 2);
                put(&out, ":");
                put_number(&out, second / 60 % 60, 2);
                put(&out, ":");
                put_number(&out, second % 60, 2);
                put(&out, any % 3 == 0 ? "Z\n" : any % 3 == 1 ? "+01:30\n" : "-05:00\n");
                *seconds += seconds_of(year, month, day, second);
                *seconds += any % 3 == 0 ? 0u : any % 3 == 1 ? 0u - (uint64_t)5400 : 18000u;
                break;
            }
            case 3:
                put(&out, any & 1 ? "https://" : "ftp://");
                put(&out, any & 2 ? "example.org" : "www.test.net:8080");
                for (uint32_t n = any >> 2; n; n /= 9) {
                    put(&out, "/");
                    put(&out, sample_parts[n % 9]);
                }
                put(&out, any % 5 ? "?q=one+two%26&lang=en" : "?");
                put(&out, any % 7 ? "\n" : "#top\n");
                break;
            default:
                put(&out, any & 1 ? sample_words[any % 20] : sample_words[any / 50]);
                put(&out, any % 3 ? " " : any % 5 ? " <= " : "('it' + 15) ");
                break;
            }
        }
        *out.at = 0;
    }
}

static int is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static int is_letter(uint8_t c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static void skip_spaces(const uint8_t **at) {
    while (**at == ' ' || **at == '\t' || **at == '\n')
        ++*at;
}

static int accept(const uint8_t **at, uint8_t c) {
    if (**at != c)
        return 0;
    ++*at;
    return 1;
}

static uint32_t digits(const uint8_t **at, int most) {
    uint32_t value = 0;
    for (; most && is_digit(**at); most--)
        value = value * 10 + (uint32_t)(*(*at)++ - '0');
    return value;
}

static void skip_line(const uint8_t **at) {
    while (**at && *(*at)++ != '\n')
        ;
}

/* Sums: products of factors, joined by + and -. */
static uint32_t parse_sum(const uint8_t **at, Tally *tally);

static uint32_t parse_factor(const uint8_t **at, Tally *tally) {
    skip_spaces(at);
    if (accept(at, '-'))
        return 0u - parse_factor(at, tally);
    if (is_digit(**at))
        return digits(at, 9);
    uint32_t value = 0;
    if (accept(at, '(')) {
        tally->events[BRACKET]++;
        if (++tally->depth > tally->deepest)
            tally->deepest = tally->depth;
        value = parse_sum(at, tally);
        tally->depth--;
        skip_spaces(at);
        if (accept(at, ')'))
            return value;
    }
    tally->errors++;
    return value;
}

static uint32_t parse_product(const uint8_t **at, Tally *tally) {
    uint32_t value = parse_factor(at, tally);
    for (skip_spaces(at); accept(at, '*'); skip_spaces(at)) {
        tally->events[TIMES]++;
        value *= parse_factor(at, tally);
    }
    return value;
}

static uint32_t parse_sum(const uint8_t **at, Tally *tally) {
    uint32_t value = parse_product(at, tally);
    for (;;) {
        if (accept(at, '+'))
            value += parse_product(at, tally);
        else if (accept(at, '-'))
            value -= parse_product(at, tally);
        else
            return value;
        tally->events[PLUS]++;
    }
}

static void calculate(const uint8_t **at, Tally *tally) {
    tally->sum = tally->sum * 3 + parse_sum(at, tally);
    if (!accept(at, ';'))
        tally->errors++;
    skip_line(at);
}

/* One line of settings. A piece is what stands before one of two marks, without spaces around it. */
static uint32_t piece(const uint8_t **at, uint8_t mark, uint8_t other, Tally *tally) {
    uint32_t hash = 5381, kept = hash;
    while (**at == ' ')
        ++*at;
    const uint8_t *from = *at;
    for (; **at && **at != '\n' && **at != mark && **at != other; ++*at) {
        hash = hash * 33 + **at;
        if (**at != ' ')
            kept = hash;
    }
    if (*at - from > tally->longest)
        tally->longest = (uint16_t)(*at - from);
    return kept;
}

static void setting(const uint8_t **at, Tally *tally) {
    if (accept(at, '#')) {
        tally->events[COMMENT]++;
    } else if (accept(at, '[')) {
        tally->sum ^= (uint64_t)piece(at, ']', '#', tally) << 32;
        tally->events[SECTION]++;
        tally->errors += !accept(at, ']');
    } else {
        uint32_t key = piece(at, '=', ';', tally);
        if (accept(at, '=')) {
            tally->events[SETTING]++;
            skip_spaces(at);
            uint32_t value = is_digit(**at) ? digits(at, 9) : piece(at, ';', '#', tally);
            tally->sum = (tally->sum ^ key) * 31 + value;
        } else {
            tally->errors++;
        }
    }
    skip_line(at);
}

/* A date, a time and the distance of the zone; the tally sums the seconds. */
static int field(const uint8_t **at, int width, uint32_t least, uint32_t most, uint8_t mark, uint32_t *value) {
    const uint8_t *from = *at;
    *value = digits(at, width);
    return *at - from == width && *value >= least && *value <= most && (!mark || accept(at, mark));
}

static void date(const uint8_t **at, Tally *tally) {
    uint32_t year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0;
    int good = field(at, 4, 1900, 2999, '-', &year) && field(at, 2, 1, 12, '-', &month);
    good = good && field(at, 2, 1, 31, 0, &day);
    good = good && (accept(at, 'T') || accept(at, ' ')) && field(at, 2, 0, 23, ':', &hour);
    good = good && field(at, 2, 0, 59, ':', &minute) && field(at, 2, 0, 60, 0, &second);
    if (good && !accept(at, 'Z')) {
        int west = accept(at, '-');
        good = (west || accept(at, '+')) && field(at, 2, 0, 14, ':', &zone_hour);
        good = good && field(at, 2, 0, 59, 0, &zone_minute);
        if (west)
            zone_hour = 0u - zone_hour, zone_minute = 0u - zone_minute;
    }
    if (good) {
        uint64_t zone = (uint64_t)((int64_t)(int32_t)(zone_hour * 60 + zone_minute) * 60);
        tally->sum += seconds_of(year, month, day, hour * 3600 + minute * 60 + second) - zone;
        tally->events[DATE]++;
        tally->events[LEAP] += year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    } else {
        tally->errors++;
    }
    skip_line(at);
}

/* Addresses: every part is decoded into a buffer. */
static int hex(uint8_t c) {
    return is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int decode(const uint8_t **at, uint8_t **to, Tally *tally) {
    uint8_t c = *(*at)++;
    if (c == '%') {
        int high = hex(**at), low = high < 0 ? -1 : hex((*at)[1]);
        if (low < 0)
            return 0;
        *at += 2;
        c = (uint8_t)(high << 4 | low);
        tally->events[ESCAPED]++;
    } else if (c == '+') {
        c = ' ';
    }
    *(*to)++ = c;
    return 1;
}

static void part(const uint8_t **at, const char *marks, Tally *tally) {
    uint8_t buffer[64], *to = buffer;
    while (**at > ' ' && !strchr(marks, **at) && to < buffer + 64)
        if (!decode(at, &to, tally))
            tally->errors++;
    for (const uint8_t *byte = buffer; byte < to; byte++)
        tally->sum = tally->sum * 257 + *byte;
}

static void address(const uint8_t **at, Tally *tally) {
    while (is_letter(**at))
        tally->sum = tally->sum * 3 + *(*at)++;
    tally->errors += !(accept(at, ':') && accept(at, '/') && accept(at, '/'));
    while (is_letter(**at) || **at == '.')
        tally->sum = tally->sum * 5 + *(*at)++;
    if (accept(at, ':'))
        tally->sum += digits(at, 5);
    for (; accept(at, '/'); tally->events[PART]++)
        part(at, "/?#", tally);
    if (accept(at, '?'))
        do {
            part(at, "=&#", tally);
            if (accept(at, '='))
                part(at, "&#", tally);
            tally->events[QUERY]++;
        } while (accept(at, '&'));
    if (accept(at, '#'))
        part(at, "", tally);
    skip_line(at);
}

/* One token of a small language. */
static int keyword(const uint8_t *from, uint32_t length) {
    static const char *const words[] = {"and",  "break", "else", "end",    "for",   "function", "if",
                                        "let", "not",   "or",   "repeat", "return", "until",    "while"};
    int low = 0, high = sizeof words / sizeof *words;
    while (low < high) {
        int middle = (low + high) / 2, order = 0;
        uint32_t i = 0;
        for (; i < length && !order; i++)
            order = from[i] - (uint8_t)words[middle][i];
        if (!order && !words[middle][length])
            return middle;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static void token(const uint8_t **at, Tally *tally) {
    const uint8_t *from = *at;
    uint32_t value = *from;
    if (is_letter(value & 0xff) || value == '_') {
        for (value = 0; is_letter(**at) || is_digit(**at) || **at == '_'; ++*at)
            value = value * 37 + **at;
        int found = keyword(from, (uint32_t)(*at - from));
        tally->events[found < 0 ? WORD : KEYWORD]++;
        value = found < 0 ? value : (uint32_t)found;
    } else if (is_digit((uint8_t)value)) {
        value = digits(at, 9);
        tally->events[LITERAL]++;
    } else if (accept(at, '\'')) {
        while (**at && **at != '\'')
            ++*at;
        tally->errors += !accept(at, '\'');
        value = (uint32_t)(*at - from);
        tally->events[LITERAL]++;
    } else {
        ++*at;
        if ((value == '<' || value == '>' || value == '=') && accept(at, '='))
            value |= 0x100;
        tally->events[SIGN]++;
    }
    tally->sum = rotl64(tally->sum, 5) + value;
    skip_spaces(at);
}

typedef void (*Parser)(const uint8_t **, Tally *);

static const Parser parsers[TEXTS] = {calculate, setting, date, address, token};

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {73};
    Digest digest = {0};
    uint64_t sum = 0, seconds = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        if (round % 16 == 0)
            write_texts(&random, &sum, &seconds);
        for (uint32_t n = 0; n < TEXTS; n++) {
            uint32_t kind = (n + round) % TEXTS, items = 0;
            Tally tally = {0};
            for (const uint8_t *at = texts[kind]; *at; items++)
                parsers[kind](&at, &tally);
            require(kind != 0 || (tally.sum == sum && tally.errors == 0), "the sums are right");
            require(kind != 2 || (tally.sum == seconds && tally.errors == 0), "the times are right");
            digest_u64(&digest, tally.sum);
            digest_u64(&digest, (uint64_t)items << 32 | tally.errors << 16 | tally.longest);
            for (int i = 0; i < EVENTS; i++)
                digest_u64(&digest, tally.events[i] ^ (uint64_t)tally.deepest << 40);
        }
    }
    return digest_print(&digest);
}
