/* What editors and shells do with text: a gap buffer, a rope of chunks, differences of lines, words
 * counted, wildcards, names in natural order, markup with escapes, numbers and dates written and read. */
#include "../common.h"

enum { STANDARD_ROUNDS = 300, TEXT = 1600, ROOM = 16384, CHUNK = 64, WORDS = 512, LINES = 60, NAMES = 50,
       DEEPEST = 12 };

typedef struct {
    char *bytes;
    uint32_t start, end, size; /* The gap is from `start` to `end`. */
} Gap;

static void gap_move(Gap *gap, uint32_t at) {
    while (gap->start > at)
        gap->bytes[--gap->end] = gap->bytes[--gap->start];
    while (gap->start < at)
        gap->bytes[gap->start++] = gap->bytes[gap->end++];
}

static void gap_insert(Gap *gap, uint32_t at, const char *text, uint32_t len) {
    gap_move(gap, at);
    if (gap->end - gap->start < len) {
        uint32_t size = gap->size * 2 + len, after = gap->size - gap->end;
        char *bytes = allocate(size);
        memcpy(bytes, gap->bytes, gap->start);
        memcpy(bytes + size - after, gap->bytes + gap->end, after);
        free(gap->bytes);
        gap->bytes = bytes, gap->end = size - after, gap->size = size;
    }
    while (len-- > 0)
        gap->bytes[gap->start++] = *text++;
}

/* A rope: chunks are leaves, branches know the length of what is to their left. */
typedef struct Rope {
    struct Rope *left, *right;
    uint32_t weight, len;
    uint8_t height;
    char text[CHUNK];
} Rope;

static Rope *rope_leaf(const char *text, uint32_t len) {
    Rope *rope = allocate(sizeof *rope);
    rope->left = rope->right = NULL, rope->weight = rope->len = len, rope->height = 0;
    memcpy(rope->text, text, len);
    return rope;
}

static Rope *rope_update(Rope *rope, Rope *left, Rope *right) {
    rope->left = left, rope->right = right;
    rope->weight = left->len, rope->len = left->len + right->len;
    rope->height = (uint8_t)(1 + (left->height > right->height ? left->height : right->height));
    return rope;
}

/* The taller side takes the other in; a single rotation where that is not enough. */
static Rope *rope_join(Rope *left, Rope *right) {
    if (left->height > right->height + 1) {
        Rope *joined = rope_join(left->right, right);
        if (joined->height <= left->left->height + 1)
            return rope_update(left, left->left, joined);
        rope_update(left, left->left, joined->left);
        return rope_update(joined, left, joined->right);
    }
    if (right->height > left->height + 1) {
        Rope *joined = rope_join(left, right->left);
        if (joined->height <= right->right->height + 1)
            return rope_update(right, joined, right->right);
        rope_update(right, joined->right, right->right);
        return rope_update(joined, joined->left, right);
    }
    return rope_update(allocate(sizeof(Rope)), left, right);
}

static Rope *rope_insert(Rope *rope, uint32_t at, const char *text, uint32_t len) {
    if (rope->height > 0) {
        Rope *left = rope->left, *right = rope->right;
        if (at <= rope->weight)
            left = rope_insert(left, at, text, len);
        else
            right = rope_insert(right, at - rope->weight, text, len);
        if (left->height > right->height + 1 || right->height > left->height + 1) {
            free(rope);
            return rope_join(left, right);
        }
        return rope_update(rope, left, right);
    }
    if (rope->len + len > CHUNK) {
        Rope *right = rope_leaf(rope->text + at, rope->len - at);
        rope->len = rope->weight = at;
        if (at + len <= CHUNK)
            return rope_join(rope_insert(rope, at, text, len), right);
        return rope_join(rope, rope_insert(right, 0, text, len));
    }
    memmove(rope->text + at + len, rope->text + at, rope->len - at);
    memcpy(rope->text + at, text, len);
    rope->len = rope->weight += len;
    return rope;
}

static char rope_at(const Rope *rope, uint32_t at) {
    while (rope->height > 0)
        if (at < rope->weight)
            rope = rope->left;
        else
            at -= rope->weight, rope = rope->right;
    return rope->text[at];
}

static char *rope_free(Rope *rope, char *out) {
    if (rope->height > 0) {
        out = rope_free(rope->right, rope_free(rope->left, out));
    } else {
        memcpy(out, rope->text, rope->len);
        out += rope->len;
    }
    free(rope);
    return out;
}

static uint32_t make_text(char *out, uint32_t len, Random *random) {
    static const char *const words[] = {"the", "of", "and", "page", "Line", "word", "editor", "is", "a",
                                        "margin", "letter", "column", "it", "paragraph", "x&y", "<em>"};
    char *at = out;
    for (uint32_t column = 0; (uint32_t)(at - out) + 20 < len; column++) {
        uint64_t bits = random_u64(random);
        for (const char *word = words[(bits & 15) * (bits >> 8 & 15) / 15]; *word; word++)
            *at++ = *word;
        if ((bits >> 16) % 5 == 0)
            *at++ = (char)('0' + (bits >> 24) % 10);
        *at++ = column % 7 == 6 ? '\n' : ' ';
    }
    return (uint32_t)(at - out);
}

static void run_edits(const char *text, uint32_t len, Random *random, Digest *digest) {
    Gap gap = {allocate(64), 0, 64, 64};
    Rope *rope = rope_leaf("", 0);
    uint32_t cursor = 0, total = 0;
    for (uint32_t from = 0, count; from < len; from += count, total += count) {
        count = 1 + random_below(random, 20);
        count = from + count > len ? len - from : count;
        cursor = random_below(random, 6) == 0 ? random_below(random, total + 1) : cursor;
        gap_insert(&gap, cursor, text + from, count);
        rope = rope_insert(rope, cursor, text + from, count);
        uint32_t look = random_below(random, total + count);
        require(rope_at(rope, look) == gap.bytes[look < gap.start ? look : look - gap.start + gap.end],
                "gap buffer and rope");
        cursor += count;
    }
    gap_move(&gap, total);
    digest_u64(digest, (uint64_t)gap.size << 32 | (uint32_t)rope->height << 16 | rope->len);
    char *flat = allocate(total);
    require(rope_free(rope, flat) == flat + total && memcmp(flat, gap.bytes, total) == 0, "same text");
    digest_bytes(digest, (const uint8_t *)flat, total < 200 ? total : 200);
    free(flat), free(gap.bytes);
}

/* Differences: for each number of edits the furthest points on all diagonals. */
typedef struct {
    const char *at;
    uint32_t len, hash;
} Line;

static int32_t split_lines(Line *lines, const char *text, uint32_t len) {
    int32_t count = 0;
    for (uint32_t i = 0, from = 0, hash = 0; i < len && count < LINES; i++) {
        hash = hash * 65599 + (uint8_t)text[i];
        if (text[i] == '\n') {
            lines[count++] = (Line){text + from, i - from, hash};
            from = i + 1, hash = 0;
        }
    }
    return count;
}

static int same_line(const Line *a, const Line *b) {
    return a->hash == b->hash && a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

static int32_t differences(const Line *a, int32_t n, const Line *b, int32_t m, int16_t *trace) {
    int16_t furthest[4 * LINES + 3], *v = furthest + 2 * LINES + 1;
    memset(furthest, 0, sizeof furthest);
    for (int32_t d = 0; d <= n + m; d++, trace += 4 * LINES + 3) {
        memcpy(trace, furthest, sizeof furthest);
        for (int32_t k = -d; k <= d; k += 2) {
            int32_t x = k == -d || (k != d && v[k - 1] < v[k + 1]) ? v[k + 1] : v[k - 1] + 1, y = x - k;
            while (x < n && y >= 0 && y < m && same_line(&a[x], &b[y]))
                x++, y++;
            v[k] = (int16_t)x;
            if (x >= n && y >= m)
                return d;
        }
    }
    return -1;
}

static void run_differences(const char *text, uint32_t len, Random *random, Digest *digest) {
    Line a[LINES], b[LINES];
    int32_t n = split_lines(a, text, len), m = 0, kept = 0;
    int16_t *traces = allocate((2 * LINES + 1) * (4 * LINES + 3) * sizeof *traces);
    for (int32_t i = 0; i < n && m < LINES; i++) {
        uint32_t choice = random_below(random, 5);
        if (choice != 0)
            b[m++] = a[choice == 1 ? i / 2 : i];
    }
    int32_t edits = differences(a, n, b, m, traces), x = n, y = m;
    for (int32_t d = edits; d > 0; d--) {
        const int16_t *v = traces + d * (4 * LINES + 3) + 2 * LINES + 1;
        int32_t k = x - y, from = k == -d || (k != d && v[k - 1] < v[k + 1]) ? k + 1 : k - 1;
        for (; x > v[from] && y > v[from] - from; kept++, x--, y--)
            require(same_line(&a[x - 1], &b[y - 1]), "a line kept");
        digest_u64(digest, (uint64_t)(uint32_t)x << 32 | (uint32_t)y << 1 | (from > k));
        x = v[from], y = x - from;
    }
    require(x == y && n + m == edits + 2 * (kept + x), "edits and lines kept");
    free(traces);
}

/* Words: a table of strings that are kept once, and their counts. */
typedef struct {
    char text[ROOM];
    uint32_t used, count, starts[WORDS], hashes[WORDS], counts[WORDS];
    uint16_t table[2 * WORDS];
} Words;

static uint32_t word_number(Words *words, const char *text, uint32_t len) {
    uint32_t hash = 2166136261u, at;
    for (uint32_t i = 0; i < len; i++)
        hash = (hash ^ ((uint8_t)text[i] | 32u)) * 16777619;
    for (at = hash >> 20; words->table[at % (2 * WORDS)] != 0; at++) {
        uint32_t number = words->table[at % (2 * WORDS)] - 1u;
        const char *other = words->text + words->starts[number];
        uint32_t i = 0;
        while (words->hashes[number] == hash && i < len && other[i] == (text[i] | 32))
            i++;
        if (i == len && other[i] == '\0')
            return number;
    }
    require(words->count < WORDS && words->used + len < ROOM, "room for a word");
    words->starts[words->count] = words->used, words->hashes[words->count] = hash;
    words->counts[words->count] = 0, words->table[at % (2 * WORDS)] = (uint16_t)++words->count;
    for (uint32_t i = 0; i < len; i++)
        words->text[words->used++] = (char)(text[i] | 32);
    words->text[words->used++] = '\0';
    return words->count - 1;
}

static int is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void run_words(Words *words, const char *text, uint32_t len, Digest *digest) {
    words->used = words->count = 0;
    memset(words->table, 0, sizeof words->table);
    for (uint32_t i = 0, start; i < len;) {
        for (start = i; i < len && is_letter(text[i]);)
            i++;
        if (i > start)
            words->counts[word_number(words, text + start, i - start)]++;
        i += i == start;
    }
    for (uint32_t i = 0; i < words->count; i++)
        digest_u64(digest, (uint64_t)words->hashes[i] << 32 | words->counts[i]);
}

/* Wildcards: `?`, `*`, sets in brackets. Only the last star has to be gone back to. */
static int matches(const char *pattern, const char *text) {
    const char *star = NULL, *back = NULL;
    while (*text) {
        int fits = 0;
        const char *next = pattern + 1;
        switch (*pattern) {
        case '*':
            star = ++pattern, back = text;
            continue;
        case '?': fits = 1; break;
        case '[': {
            int inverted = *next == '!';
            for (next += inverted; *next != ']' && *next; next++)
                if (next[1] == '-' && next[2] != ']') {
                    fits |= *text >= next[0] && *text <= next[2];
                    next += 2;
                } else {
                    fits |= *text == *next;
                }
            fits ^= inverted, next++;
            break;
        }
        default: fits = *pattern == *text;
        }
        if (fits)
            pattern = next, text++;
        else if (star != NULL)
            pattern = star, text = ++back;
        else
            return 0;
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Names in natural order: numbers in them by value, letters without their case. */
static int natural(const char *a, const char *b) {
    for (;;) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            uint32_t x = 0, y = 0;
            while (*a >= '0' && *a <= '9')
                x = x * 10 + (uint32_t)(*a++ - '0');
            while (*b >= '0' && *b <= '9')
                y = y * 10 + (uint32_t)(*b++ - '0');
            if (x != y)
                return x < y ? -1 : 1;
            continue;
        }
        int c = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a, d = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;
        if (c != d || c == 0)
            return c - d;
        a++, b++;
    }
}

/* Numbers to text: written from the end of a buffer. */
static char *decimal(char *end, uint64_t value, int width) {
    for (; value > 0 || width > 0; value /= 10, width--)
        *--end = (char)('0' + value % 10);
    return end;
}

static char *grouped(char *end, int64_t value) {
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    for (; size >= 1000; size /= 1000)
        end = decimal(end, size % 1000, 3), *--end = ',';
    end = decimal(end, size, 1);
    if (value < 0)
        *--end = '-';
    return end;
}

/* Binary fractions of 16 bits with four decimal places. */
static char *fixed_point(char *end, int32_t value) {
    uint32_t size = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    uint64_t scaled = ((uint64_t)size * 10000 + 32768) >> 16;
    end = decimal(end, scaled % 10000, 4), *--end = '.';
    end = decimal(end, scaled / 10000, 1);
    if (value < 0)
        *--end = '-';
    return end;
}

static int32_t days_of(int32_t year, int32_t month, int32_t day) {
    year -= month <= 2;
    int32_t era = (year >= 0 ? year : year - 399) / 400, in_era = year - era * 400;
    int32_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static char *date(char *end, int32_t days) {
    days += 719468;
    int32_t era = (days >= 0 ? days : days - 146096) / 146097, in_era = days - era * 146097;
    int32_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int32_t in_year = in_era - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;
    int32_t day = in_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9, year += era * 400 + (month <= 2);
    end = decimal(end, (uint32_t)day, 2), *--end = '-';
    end = decimal(end, (uint32_t)month, 2), *--end = '-';
    return decimal(end, (uint32_t)year, 4);
}

static char *duration(char *end, uint64_t milliseconds) {
    static const uint16_t sizes[] = {1000, 60, 60, 24};
    *--end = 's', end = decimal(end, milliseconds % 1000, 3), *--end = '.';
    for (int i = 1; i < 4 && (milliseconds /= sizes[i - 1]) > 0; i++) {
        if (i > 1)
            *--end = "smh"[i - 1];
        end = decimal(end, milliseconds % sizes[i], milliseconds < sizes[i] ? 1 : 2);
    }
    if ((milliseconds /= 24) > 0)
        *--end = 'd', end = decimal(end, milliseconds, 1);
    return end;
}

static int64_t read_decimal(const char **at, int width) {
    int negative = **at == '-';
    uint64_t value = 0;
    for (*at += negative; width-- > 0 && ((**at >= '0' && **at <= '9') || **at == ','); ++*at)
        value = **at == ',' ? value : value * 10 + (uint64_t)(**at - '0');
    return (int64_t)(negative ? 0 - value : value);
}

static void run_numbers(Random *random, Digest *digest) {
    char room[40], *end = room + 39;
    *end = '\0';
    for (int i = 0; i < 60; i++) {
        uint64_t bits = random_u64(random);
        int64_t value = (int64_t)bits >> (bits & 63);
        const char *at = grouped(end, value);
        digest_bytes(digest, (const uint8_t *)at, (size_t)(end - at));
        require(read_decimal(&at, 40) == value && at == end, "an integer read back");
        at = fixed_point(end, (int32_t)bits >> (bits >> 59));
        digest_bytes(digest, (const uint8_t *)at, (size_t)(end - at));
        int32_t days = (int32_t)(bits >> 40 & 0xfffff) - 300000;
        at = date(end, days);
        int32_t year = (int32_t)read_decimal(&at, 9), month = (int32_t)read_decimal((at++, &at), 2);
        require(days_of(year, month, (int32_t)read_decimal((at++, &at), 2)) == days, "a date read back");
        at = duration(end, bits >> (24 + i % 40));
        digest_bytes(digest, (const uint8_t *)at, (size_t)(end - at));
    }
}

static void run_names(Random *random, Digest *digest) {
    static const char *const patterns[] = {"*.txt", "img[0-9]*", "*a*e*", "??[!a-f]*[05].*", "Report*1*"};
    static const char *const stems[] = {"img", "Report", "page-", "Chapter ", "image", "x"};
    static char names[NAMES][24];
    char *sorted[NAMES], room[8];
    for (uint32_t i = 0; i < NAMES; i++) {
        char *at = names[i];
        for (const char *stem = stems[random_below(random, 6)]; *stem;)
            *at++ = *stem++;
        uint32_t number = random_below(random, random_below(random, 2) ? 12 : 3000);
        const char *digits = decimal(room + 8, number, 1 + (int)(number % 3));
        memcpy(at, digits, (size_t)(room + 8 - digits)), at += room + 8 - digits;
        memcpy(at, number & 1 ? ".txt" : ".jpeg", 6 - (number & 1));
        uint32_t place = i;
        for (; place > 0 && natural(sorted[place - 1], names[i]) > 0; place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = names[i];
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        uint32_t which = 0;
        for (uint32_t j = 0; j < 5; j++)
            which |= (uint32_t)matches(patterns[j], sorted[i]) << j;
        size_t len = strlen(sorted[i]);
        require((which & 1) == (sorted[i][len - 1] == 't'), "wildcards");
        require(i == 0 || natural(sorted[i - 1], sorted[i]) <= 0, "natural order");
        digest_u64(digest, (uint64_t)which << 8 | (uint8_t)sorted[i][len / 2]);
    }
}

/* Markup: elements with attributes, text with escapes. */
static const struct { char sign; const char *name; } entities[] = {
    {'&', "amp"}, {'<', "lt"}, {'>', "gt"}, {'"', "quot"}, {'\n', "#10"}};

static char *put(char *out, const char *text) {
    while (*text)
        *out++ = *text++;
    return out;
}

static char *put_escaped(char *out, const char *text, uint32_t len) {
    for (; len > 0; text++, len--) {
        uint32_t i = 0;
        while (i < 5 && entities[i].sign != *text)
            i++;
        if (i == 5)
            *out++ = *text;
        else
            *out++ = '&', out = put(out, entities[i].name), *out++ = ';';
    }
    return out;
}

static char get_entity(const char **text) {
    const char *at = *text;
    uint32_t code = 0;
    if (*at == '#') {
        for (at++; *at >= '0' && *at <= '9'; at++)
            code = code * 10 + (uint32_t)(*at - '0');
    } else {
        for (uint32_t i = 0; i < 4 && code == 0; i++) {
            size_t len = strlen(entities[i].name);
            if (memcmp(at, entities[i].name, len) == 0)
                code = (uint8_t)entities[i].sign, at += len;
        }
    }
    require(code != 0 && *at == ';', "an entity");
    *text = at + 1;
    return (char)code;
}

static void run_markup(const char *text, uint32_t len, char *out, char *back, Digest *digest) {
    static const char *const tags[] = {"p", "section", "em", "list"};
    const char *stack[DEEPEST], *at = out;
    char *end = out, *plain = back;
    uint32_t depth = 0, elements = 0, attributes = 0, opened[DEEPEST];
    for (uint32_t from = 0, i = 0; from < len; from += 40, i++) {
        uint32_t count = len - from < 40 ? len - from : 40;
        if (depth < DEEPEST && (i * 5 + i / 3) % 7 > 2) {
            opened[depth++] = i % 4;
            *end++ = '<', end = put(end, tags[i % 4]), end = put(end, " id=\"");
            end = put_escaped(end, text + from, count / 4), end = put(end, i & 1 ? "\">" : "\" new>");
        } else if (depth > 0) {
            end = put(end, "</"), end = put(end, tags[opened[--depth]]), *end++ = '>';
        }
        end = put_escaped(end, text + from, count);
        end = put(end, i % 6 == 0 ? "<!-- a <note> --><br/>" : "");
    }
    while (depth > 0)
        end = put(end, "</"), end = put(end, tags[opened[--depth]]), *end++ = '>';
    *end = '\0';
    while (*at) {
        if (*at == '&') {
            at++, *plain++ = get_entity(&at);
        } else if (*at != '<') {
            *plain++ = *at++;
        } else if (memcmp(at, "<!--", 4) == 0) {
            for (at += 4; memcmp(at, "-->", 3) != 0;)
                at++;
            at += 3;
        } else if (at[1] == '/') {
            const char *name = stack[--depth];
            for (at += 2; is_letter(*at); at++)
                require(*at == *name++, "names of open elements");
            require(*at++ == '>' && !is_letter(*name), "an element closed");
        } else {
            for (stack[depth] = ++at; is_letter(*at);)
                at++;
            for (elements++; *at == ' '; attributes++) {
                for (at++; is_letter(*at);)
                    at++;
                if (*at == '=')
                    for (at += 2; *at++ != '"';)
                        attributes += at[-1] == '&' ? 256 : 0;
            }
            depth += *at != '/', at += *at == '/' ? 2 : 1;
        }
    }
    require(depth == 0 && plain == back + len && memcmp(back, text, len) == 0, "markup there and back");
    digest_u64(digest, (uint64_t)(end - out) << 40 | (uint64_t)attributes << 12 | elements);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {101};
    Digest digest = {0};
    Words *words = allocate(sizeof *words);
    char *text = allocate(TEXT), *markup = allocate(ROOM), *back = allocate(ROOM);
    while (rounds--) {
        uint32_t len = make_text(text, TEXT, &random);
        run_edits(text, len, &random, &digest);
        run_differences(text, len, &random, &digest);
        run_words(words, text, len, &digest);
        run_names(&random, &digest);
        run_numbers(&random, &digest);
        run_markup(text, len, markup, back, &digest);
    }
    free(words), free(text), free(markup), free(back);
    return digest_print(&digest);
}
