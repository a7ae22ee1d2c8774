/* Bytes as text and back: hex, base32, base58, base85, percents, quoted-printable, UTF-16; columns of
 * integers as differences in variable lengths, packed bits and runs; names compared without case. */
#include "../common.h"

enum { STANDARD_ROUNDS = 290, BYTES = 1200, SHORT = 48, COLUMN = 600, NAMES = 24, SPACE = 8 * BYTES };

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static int8_t values32[256], values58[256];

/* --- Digits of a power of two --- */

static size_t hex_encode(char *out, const uint8_t *in, size_t len) {
    for (size_t i = 0; i < len; i++) {
        *out++ = "0123456789abcdef"[in[i] >> 4];
        *out++ = "0123456789abcdef"[in[i] & 15];
    }
    return 2 * len;
}

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    int letter = digit | 32;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static size_t hex_decode(uint8_t *out, const char *in, size_t len) {
    for (size_t i = 0; i + 1 < len; i += 2) {
        int high = hex_value(in[i]), low = hex_value(in[i + 1]);
        if ((high | low) < 0)
            return i / 2;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return len / 2;
}

static size_t base32_encode(char *out, const uint8_t *in, size_t len) {
    char *start = out;
    for (; len >= 5; in += 5, len -= 5) {
        uint64_t group = 0;
        for (int i = 0; i < 5; i++)
            group = group << 8 | in[i];
        for (int shift = 35; shift >= 0; shift -= 5)
            *out++ = base32[group >> shift & 31];
    }
    uint32_t bits = 0;
    int held = 0;
    for (; len || held > 0; held -= 5) {
        if (held < 5 && len)
            bits = bits << 8 | *in++, held += 8, len--;
        *out++ = base32[(held >= 5 ? bits >> (held - 5) : bits << (5 - held)) & 31];
    }
    while ((out - start) % 8)
        *out++ = '=';
    return (size_t)(out - start);
}

static size_t base32_decode(uint8_t *out, const char *in, size_t len) {
    uint8_t *start = out;
    uint32_t bits = 0, held = 0;
    for (; len-- && values32[(uint8_t)*in] >= 0; in++) {
        bits = bits << 5 | (uint32_t)values32[(uint8_t)*in], held += 5;
        if (held >= 8)
            held -= 8, *out++ = (uint8_t)(bits >> held);
    }
    return (size_t)(out - start);
}

/* --- Digits of other bases: by long division, or four bytes at a time. --- */

static size_t base58_encode(char *out, const uint8_t *in, size_t len) {
    uint8_t digits[2 * SHORT];
    size_t zeros = 0, count = 0;
    while (zeros < len && in[zeros] == 0)
        out[zeros++] = base58[0];
    for (size_t i = zeros; i < len; i++) {
        uint32_t carry = in[i];
        for (size_t j = 0; j < count; j++, carry /= 58)
            carry += (uint32_t)digits[j] << 8, digits[j] = (uint8_t)(carry % 58);
        for (; carry; carry /= 58)
            digits[count++] = (uint8_t)(carry % 58);
    }
    for (size_t i = 0; i < count; i++)
        out[zeros + i] = base58[digits[count - 1 - i]];
    return zeros + count;
}

static size_t base58_decode(uint8_t *out, const char *in, size_t len) {
    uint32_t limbs[SHORT / 4 + 1] = {0}, used = 0;
    size_t zeros = 0, count = 0;
    while (zeros < len && in[zeros] == base58[0])
        out[zeros++] = 0;
    for (size_t i = zeros; i < len; i++) {
        uint64_t carry = (uint64_t)values58[(uint8_t)in[i]];
        for (uint32_t j = 0; j < used; j++, carry >>= 32)
            carry += (uint64_t)limbs[j] * 58, limbs[j] = (uint32_t)carry;
        if (carry)
            limbs[used++] = (uint32_t)carry;
    }
    for (uint32_t i = 4 * used; i-- > 0;) {
        uint8_t byte = (uint8_t)(limbs[i / 4] >> 8 * (i % 4));
        if (count || byte)
            out[zeros + count++] = byte;
    }
    return zeros + count;
}

static size_t base85_encode(char *out, const uint8_t *in, size_t len) {
    char *start = out;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t group = 0, count = len - i < 4 ? (uint32_t)(len - i) : 4;
        for (uint32_t j = 0; j < 4; j++)
            group = group << 8 | (j < count ? in[i + j] : 0u);
        if (group == 0 && count == 4) {
            *out++ = 'z';
            continue;
        }
        for (int j = 4; j >= 0; j--, group /= 85)
            out[j] = (char)('!' + group % 85);
        out += count + 1;
    }
    return (size_t)(out - start);
}

static size_t base85_decode(uint8_t *out, const char *in, size_t len) {
    uint8_t *start = out;
    while (len) {
        uint32_t group = 0, count = len < 5 ? (uint32_t)len : 5;
        if (*in == 'z')
            count = 1;
        else
            for (uint32_t j = 0; j < 5; j++)
                group = group * 85 + (j < count ? (uint32_t)(in[j] - '!') : 84);
        in += count, len -= count;
        for (uint32_t j = 0, bytes = count == 1 ? 4 : count - 1; j < bytes; j++)
            *out++ = (uint8_t)(group >> (24 - 8 * j));
    }
    return (size_t)(out - start);
}

/* --- Escapes: all but letters, digits and a few signs; or with lines of at most 76 characters. --- */

static size_t percent_encode(char *out, const uint8_t *in, size_t len) {
    char *start = out;
    for (const uint8_t *end = in + len; in < end; in++) {
        int letter = *in | 32;
        if ((letter >= 'a' && letter <= 'z') || (*in >= '0' && *in <= '9') || *in == '-' || *in == '.')
            *out++ = (char)*in;
        else if (*in == ' ')
            *out++ = '+';
        else
            *out++ = '%', *out++ = "0123456789ABCDEF"[*in >> 4], *out++ = "0123456789ABCDEF"[*in & 15];
    }
    return (size_t)(out - start);
}

static size_t quoted_encode(char *out, const uint8_t *in, size_t len) {
    char *start = out, *line = out;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = in[i];
        int plain = byte >= 33 && byte <= 126 && byte != '=';
        plain |= (byte == ' ' || byte == '\t') && i + 1 < len && in[i + 1] != '\n';
        if (byte == '\n') {
            *out++ = '\n', line = out;
            continue;
        }
        if (out - line + (plain ? 1 : 3) > 75)
            *out++ = '=', *out++ = '\n', line = out;
        if (plain)
            *out++ = (char)byte;
        else
            *out++ = '=', out += hex_encode(out, &byte, 1);
    }
    return (size_t)(out - start);
}

/* Both escapes are undone alike; an escaped line end is none. */
static size_t unescape(uint8_t *out, const char *in, size_t len, char sign) {
    uint8_t *start = out;
    for (const char *end = in + len; in < end; in++) {
        if (*in == '+' && sign == '%')
            *out++ = ' ';
        else if (*in != sign)
            *out++ = (uint8_t)*in;
        else if (end - in > 1 && in[1] == '\n')
            in++;
        else {
            require(end - in > 2 && hex_decode(out, in + 1, 2) == 1, "escape");
            out++, in += 2;
        }
    }
    return (size_t)(out - start);
}

/* --- UTF-8 and UTF-16 --- */

static size_t utf16_to_8(uint8_t *out, const uint16_t *in, size_t len) {
    uint8_t *start = out;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = in[i];
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < len && in[i + 1] >> 10 == 0x37)
            c = 0x10000 + ((c & 1023) << 10 | (in[++i] & 1023));
        else if (c >= 0xd800 && c < 0xe000)
            c = 0xfffd;
        if (c < 0x80)
            *out++ = (uint8_t)c;
        else if (c < 0x800)
            *out++ = (uint8_t)(0xc0 | c >> 6), *out++ = (uint8_t)(0x80 | (c & 63));
        else {
            if (c < 0x10000)
                *out++ = (uint8_t)(0xe0 | c >> 12);
            else
                *out++ = (uint8_t)(0xf0 | c >> 18), *out++ = (uint8_t)(0x80 | (c >> 12 & 63));
            *out++ = (uint8_t)(0x80 | (c >> 6 & 63)), *out++ = (uint8_t)(0x80 | (c & 63));
        }
    }
    return (size_t)(out - start);
}

static size_t utf8_to_16(uint16_t *out, const uint8_t *in, size_t len) {
    uint16_t *start = out;
    for (const uint8_t *end = in + len; in < end;) {
        uint32_t lead = *in++, more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint32_t c = more ? lead & (63u >> more) : lead;
        require(end - in >= (ptrdiff_t)more, "a whole character");
        for (; more; more--)
            c = c << 6 | (*in++ & 63);
        if (c >= 0x10000)
            *out++ = (uint16_t)(0xd7c0 + (c >> 10)), c = 0xdc00 | (c & 1023);
        *out++ = (uint16_t)c;
    }
    return (size_t)(out - start);
}

/* Letters by ranges: those of a range, or every second one, have their small form so much further on. */
static const struct {
    uint16_t first, last, offset, step;
} folds[] = {{'A', 'Z', 32, 1}, {0xc0, 0xde, 32, 1}, {0x100, 0x12e, 1, 2}, {0x391, 0x3a9, 32, 1},
             {0x400, 0x40f, 80, 1}, {0x410, 0x42f, 32, 1}, {0x460, 0x480, 1, 2}};

static uint16_t fold(uint16_t c) {
    static uint8_t pages[256]; /* Where to begin, one more than the index, by the high byte. */
    static uint8_t ready;
    for (unsigned page = 0; !ready && page < 256; page++)
        for (uint8_t i = sizeof folds / sizeof *folds; i-- > 0;)
            if (folds[i].first >> 8 == (int)page)
                pages[page] = (uint8_t)(i + 1);
    ready = 1;
    for (unsigned i = pages[c >> 8]; i && i <= sizeof folds / sizeof *folds && c >= folds[i - 1].first; i++)
        if (c <= folds[i - 1].last)
            return (uint16_t)(c + ((c - folds[i - 1].first) % folds[i - 1].step ? 0 : folds[i - 1].offset));
    return c;
}

typedef struct {
    uint16_t letters[18];
    uint16_t len;
} Name;

static int compare(const Name *a, const Name *b) {
    for (int i = 0; i < a->len && i < b->len; i++) {
        int difference = fold(a->letters[i]) - fold(b->letters[i]);
        if (difference)
            return difference;
    }
    return a->len - b->len;
}

/* --- Columns of integers --- */

static size_t put_differences(uint8_t *out, const int64_t *column, size_t count) {
    uint8_t *start = out;
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = (uint64_t)column[i] - (i ? (uint64_t)column[i - 1] : 0);
        uint64_t value = difference << 1 ^ (0u - (difference >> 63)); /* The sign in the lowest bit. */
        for (; value >= 128; value >>= 7)
            *out++ = (uint8_t)(value | 128);
        *out++ = (uint8_t)value;
    }
    return (size_t)(out - start);
}

static void get_differences(int64_t *column, size_t count, const uint8_t *in) {
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            value |= (uint64_t)(*in & 127) << shift;
            if (*in++ < 128)
                break;
        }
        last += value >> 1 ^ (0u - (value & 1));
        column[i] = (int64_t)last;
    }
}

/* Integers of k bits without gaps, over words of 32. */
static size_t pack(uint32_t *out, const uint32_t *in, size_t count, unsigned k) {
    uint64_t bits = 0;
    unsigned held = 0;
    uint32_t *start = out;
    for (size_t i = 0; i < count; i++) {
        bits |= (uint64_t)in[i] << held, held += k;
        if (held >= 32)
            *out++ = (uint32_t)bits, bits >>= 32, held -= 32;
    }
    *out++ = (uint32_t)bits;
    return (size_t)(out - start);
}

static uint32_t packed_at(const uint32_t *packed, size_t index, unsigned k) {
    size_t bit = index * k, word = bit / 32;
    uint64_t both = packed[word] | (uint64_t)(bit % 32 + k > 32 ? packed[word + 1] : 0) << 32;
    return (uint32_t)(both >> bit % 32) & (uint32_t)((1ull << k) - 1);
}

/* A length below 128 goes before so many bytes as they are; above, before one to be repeated. */
static size_t runs_encode(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out, *literal = NULL;
    for (size_t i = 0, run; i < len; i += run) {
        for (run = 1; run < 130 && i + run < len && in[i + run] == in[i];)
            run++;
        if (run >= 3) {
            *out++ = (uint8_t)(run + 125), *out++ = in[i], literal = NULL;
            continue;
        }
        if (literal == NULL || *literal == 127)
            literal = out, *out++ = 0;
        run = 1, ++*literal, *out++ = in[i];
    }
    return (size_t)(out - start);
}

static size_t runs_decode(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    for (const uint8_t *end = in + len; in < end;) {
        size_t count = *in++;
        if (count >= 128)
            memset(out, *in++, count - 125), out += count - 125;
        else
            memcpy(out, in, count), out += count, in += count;
    }
    return (size_t)(out - start);
}

static size_t write_bytes(uint8_t *bytes, Random *random) {
    size_t len = BYTES - random_below(random, 20);
    uint64_t kind = random_u64(random);
    for (size_t i = 0; i < len; i++) {
        uint64_t bits = random_u64(random);
        uint64_t letter = bits % 9 == 0 ? (uint8_t)" \n=+"[bits >> 62] : 'a' + (bits >> 40) % 26;
        bytes[i] = (uint8_t)(bits % 8 == 0 ? bits >> 56 : letter);
        if (bits >> 16 & kind & 3)
            bytes[i] = i ? bytes[i - 1] : 0;
        if (kind >> 62 == 0 && i / 32 % 4 == 1)
            bytes[i] = 0;
    }
    return len;
}

static void texts(const uint8_t *bytes, size_t len, Digest *digest) {
    static char text[SPACE];
    static uint8_t again[SPACE];
    typedef size_t Encoder(char *, const uint8_t *, size_t);
    typedef size_t Decoder(uint8_t *, const char *, size_t);
    static Encoder *const encoders[] = {hex_encode, base32_encode, base85_encode, percent_encode,
                                        quoted_encode};
    static Decoder *const decoders[] = {hex_decode, base32_decode, base85_decode};
    for (int i = 0; i < 5; i++) {
        size_t size = encoders[i](text, bytes, len);
        digest_bytes(digest, (uint8_t *)text + size / 2, size / 8);
        size = i < 3 ? decoders[i](again, text, size) : unescape(again, text, size, i == 3 ? '%' : '=');
        require(size == len && memcmp(bytes, again, len) == 0, "bytes as text");
    }
    for (size_t at = 0; at + SHORT <= len; at += 5 * SHORT) {
        size_t size = base58_encode(text, bytes + at, SHORT);
        digest_bytes(digest, (uint8_t *)text, size);
        require(base58_decode(again, text, size) == SHORT, "length of base 58");
        require(memcmp(bytes + at, again, SHORT) == 0, "base 58");
    }
    size_t size = runs_encode(again, bytes, len);
    digest_bytes(digest, again, size);
    require(runs_decode((uint8_t *)text, again, size) == len && memcmp(text, bytes, len) == 0, "runs");
}

static void names(Random *random, Digest *digest) {
    static const uint16_t starts[] = {'A', 'a', 0xc0, 0x100, 0x391, 0x400, 0x460, 0x2010};
    Name all[NAMES];
    uint16_t units[NAMES * 20], back[NAMES * 20];
    uint8_t bytes[NAMES * 60];
    size_t count = 0;
    for (int i = 0; i < NAMES; i++) {
        uint32_t len = 2 + random_below(random, 16), alphabet = random_below(random, 8);
        Name name = {.len = (uint16_t)len};
        for (uint32_t j = 0; j < len; j++)
            name.letters[j] = (uint16_t)(starts[alphabet] + random_below(random, 26));
        int at = i;
        for (; at > 0 && compare(&all[at - 1], &name) > 0; at--)
            all[at] = all[at - 1];
        all[at] = name;
    }
    for (int i = 0; i < NAMES; i++) {
        require(i == 0 || compare(&all[i - 1], &all[i]) <= 0, "names in order");
        memcpy(units + count, all[i].letters, all[i].len * sizeof *units), count += all[i].len;
        units[count++] = (uint16_t)(0xd800 + random_below(random, 1024));
        units[count++] = (uint16_t)(0xdc00 + random_below(random, 1024));
    }
    size_t len = utf16_to_8(bytes, units, count);
    require(utf8_to_16(back, bytes, len) == count, "length in UTF-16");
    require(memcmp(back, units, count * sizeof *units) == 0, "UTF-16");
    digest_bytes(digest, bytes, len);
}

static void columns(Random *random, Digest *digest) {
    static int64_t column[COLUMN], again[COLUMN];
    static uint32_t small[COLUMN], words[COLUMN + 1];
    static uint8_t bytes[10 * COLUMN];
    unsigned k = 1 + random_below(random, 31), scale = random_below(random, 40);
    for (int i = 0; i < COLUMN; i++) {
        uint64_t bits = random_u64(random);
        column[i] = i % 50 == 0 ? (int64_t)bits : column[i - 1] / 2 + ((int64_t)(bits << 10) >> 22 >> scale);
        small[i] = (uint32_t)(bits >> 32) >> (32 - k);
    }
    size_t size = put_differences(bytes, column, COLUMN);
    get_differences(again, COLUMN, bytes);
    require(memcmp(column, again, sizeof column) == 0, "differences");
    digest_bytes(digest, bytes, size / 4), digest_u64(digest, size);
    size = pack(words, small, COLUMN, k);
    for (size_t i = 0; i < COLUMN; i++)
        require(packed_at(words, i, k) == small[i], "packed integers");
    digest_u64(digest, (uint64_t)words[size / 2] << 32 | words[size - 1]);
}

int main(int argc, char **argv) {
    static uint8_t bytes[BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {57};
    Digest digest = {0};
    memset(values32, -1, sizeof values32);
    for (int i = 0; i < 58; i++)
        values58[(uint8_t)base58[i]] = (int8_t)i, values32[(uint8_t)base32[i & 31]] = (int8_t)(i & 31);
    while (rounds--) {
        texts(bytes, write_bytes(bytes, &random), &digest);
        for (int i = 0; i < 2; i++)
            names(&random, &digest), columns(&random, &digest);
    }
    return digest_print(&digest);
}
