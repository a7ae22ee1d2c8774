/* Strings: UTF-8 to code points and back, case folding, searching by Horspool's method and by bytes,
 * numbers to text and back, comparing and sorting lines. */
#include "../common.h"

enum { STANDARD_ROUNDS = 100, POINTS = 4000 };

static uint32_t points[POINTS], decoded[POINTS];
static char text[4 * POINTS + 1];

static char *encode(char *out, uint32_t point) {
    if (point < 0x80) {
        *out++ = (char)point;
    } else if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6), *out++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = (char)(0xe0 | point >> 12), *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | point >> 18), *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (point >> 6 & 0x3f)), *out++ = (char)(0x80 | (point & 0x3f));
    }
    return out;
}

static size_t decode(uint32_t *out, const char *in, const char *end) {
    size_t count = 0;
    while (in < end) {
        uint32_t first = (uint8_t)*in++;
        int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        uint32_t point = more == 0 ? first : first & (0x3fu >> more);
        while (more-- && in < end && (*in & 0xc0) == 0x80)
            point = point << 6 | (*in++ & 0x3f);
        out[count++] = point;
    }
    return count;
}

static uint32_t horspool(const char *hay, size_t hay_len, const char *needle, size_t len) {
    uint8_t skip[256];
    uint32_t found = 0;
    memset(skip, (int)len, sizeof skip);
    for (size_t i = 0; i + 1 < len; i++)
        skip[(uint8_t)needle[i]] = (uint8_t)(len - 1 - i);
    for (size_t at = 0; at + len <= hay_len; at += skip[(uint8_t)hay[at + len - 1]])
        found += memcmp(hay + at, needle, len) == 0;
    return found;
}

static uint32_t naive(const char *hay, size_t hay_len, const char *needle, size_t len) {
    uint32_t found = 0;
    for (size_t at = 0; at + len <= hay_len; at++) {
        size_t i = 0;
        while (i < len && hay[at + i] == needle[i])
            i++;
        found += i == len;
    }
    return found;
}

static size_t write_number(char *out, int64_t value) {
    char digits[20];
    size_t len = 0, count = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[count++] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        out[len++] = '-';
    while (count)
        out[len++] = digits[--count];
    out[len] = '\0';
    return len;
}

static int64_t read_number(const char *in) {
    int negative = *in == '-';
    uint64_t value = 0;
    for (in += negative; *in >= '0' && *in <= '9'; in++)
        value = value * 10 + (uint64_t)(*in - '0');
    return (int64_t)(negative ? 0 - value : value);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {18};
    Digest digest = {0};
    while (rounds--) {
        char *end = text;
        for (int i = 0; i < POINTS; i++) {
            static const uint32_t ranges[8] = {26, 26, 26, 26, 26, 0x300, 0x8000, 0x10ff};
            uint32_t point = 'a' + random_below(&random, ranges[random_below(&random, 8)]);
            points[i] = point, end = encode(end, point);
        }
        *end = '\0';
        size_t len = (size_t)(end - text);
        require(decode(decoded, text, end) == POINTS, "number of code points");
        require(memcmp(points, decoded, sizeof points) == 0, "UTF-8 there and back");
        for (int i = 0; i < 8; i++) {
            size_t at = random_below(&random, (uint32_t)len - 3);
            size_t size = 2 + (size_t)(i & 1);
            uint32_t found = horspool(text, len, text + at, size);
            require(found <= naive(text, len, text + at, size), "search");
            digest_u64(&digest, found);
        }
        for (char *at = text; at < end; at++)
            if (*at >= 'a' && *at <= 'z')
                *at = (char)(*at - 'a' + 'A');
        digest_bytes(&digest, (const uint8_t *)text, len);
        for (int i = 0; i < 300; i++) {
            char line[24];
            int64_t value = (int64_t)random_u64(&random) >> (i & 63);
            digest_u64(&digest, write_number(line, value));
            require(read_number(line) == value, "numbers there and back");
        }
    }
    return digest_print(&digest);
}
