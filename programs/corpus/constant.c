/* Code in constant time: neither branches nor addresses depend on the data. Comparisons, selection
 * and swaps by masks, look-ups that read the whole table, digits by arithmetic, counters with
 * carries, padding, reduction by masked subtraction; in bytes and in words of 32 and 64 bits. */
#include "../common.h"

enum { STANDARD_ROUNDS = 450, BYTES = 480, WORDS = 48, LIMBS = 8, TABLE = 64, NUMBERS = 36 };

/* 1 if the difference of two strings is nothing, otherwise 0. */
static uint32_t equal8(const uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (uint32_t)(a[i] ^ b[i]);
    return (difference - 1) >> 8 & 1;
}

/* The same through memory that the compiler must not look through. */
static uint32_t equal8_watched(const void *left, const void *right, size_t len) {
    const volatile uint8_t *a = left, *b = right;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    return ((uint32_t)difference - 1) >> 8 & 1;
}

static uint32_t zero32(uint32_t value) {
    return (~value & (value - 1)) >> 31;
}

static uint32_t zero64(uint64_t value) {
    return (uint32_t)((~value & (value - 1)) >> 63);
}

static uint32_t equal32(const uint32_t *a, const uint32_t *b, size_t len) {
    uint32_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return zero32(difference);
}

static uint32_t equal64(const uint64_t *a, const uint64_t *b, size_t len) {
    uint64_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= a[i] ^ b[i];
    return zero64(difference);
}

static uint32_t less32(uint32_t a, uint32_t b) {
    return ((~a & b) | (~(a ^ b) & (a - b))) >> 31;
}

static uint32_t less64(uint64_t a, uint64_t b) {
    return (uint32_t)(((~a & b) | (~(a ^ b) & (a - b))) >> 63);
}

/* The order of two big-endian numbers: -1, 0 or 1. The first bytes that differ decide. */
static int32_t order8(const uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t greater = 0, equal = 1;
    for (size_t i = 0; i < len; i++) {
        uint32_t x = a[i], y = b[i];
        greater |= (y - x) >> 8 & equal;
        equal &= ((x ^ y) - 1) >> 8;
    }
    return (int32_t)(greater + greater + equal) - 1;
}

static void swap8(uint8_t *a, uint8_t *b, size_t len, uint32_t yes) {
    uint8_t mask = (uint8_t)(0 - yes);
    for (size_t i = 0; i < len; i++) {
        uint8_t change = mask & (a[i] ^ b[i]);
        a[i] ^= change, b[i] ^= change;
    }
}

static void swap32(uint32_t *a, uint32_t *b, size_t len, uint32_t yes) {
    for (size_t i = 0; i < len; i++) {
        uint32_t change = (0 - yes) & (a[i] ^ b[i]);
        a[i] ^= change, b[i] ^= change;
    }
}

static void swap64(uint64_t *a, uint64_t *b, size_t len, uint32_t yes) {
    for (size_t i = 0; i < len; i++) {
        uint64_t change = (0 - (uint64_t)yes) & (a[i] ^ b[i]);
        a[i] ^= change, b[i] ^= change;
    }
}

static uint32_t select32(uint32_t a, uint32_t b, uint32_t yes) {
    return b ^ ((0 - yes) & (a ^ b));
}

/* Sorts by neighbours that change places, in a fixed number of steps. */
static void sort32(uint32_t *words, size_t len) {
    for (size_t pass = 0; pass < len; pass++)
        for (size_t i = pass & 1; i + 1 < len; i += 2) {
            uint32_t a = words[i], b = words[i + 1], yes = less32(b, a);
            words[i] = select32(b, a, yes), words[i + 1] = select32(a, b, yes);
        }
}

static void sort64(uint64_t *words, size_t len) {
    for (size_t pass = 0; pass < len; pass++)
        for (size_t i = pass & 1; i + 1 < len; i += 2)
            swap64(words + i, words + i + 1, 1, less64(words[i + 1], words[i]));
}

static uint8_t look8(const uint8_t *table, uint32_t len, uint32_t index) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < len; i++)
        found |= table[i] & ((i ^ index) - 1) >> 8;
    return (uint8_t)found;
}

static uint32_t look32(const uint32_t *table, uint32_t len, uint32_t index) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < len; i++)
        found |= table[i] & (0 - zero32(i ^ index));
    return found;
}

/* A row of several words out of a table of rows. */
static void look64(uint64_t *row, const uint64_t *table, uint32_t rows, size_t len, uint32_t at) {
    memset(row, 0, len * sizeof *row);
    for (uint32_t i = 0; i < rows; i++, table += len) {
        uint64_t mask = 0 - (uint64_t)zero64(i ^ at);
        for (size_t j = 0; j < len; j++)
            row[j] |= table[j] & mask;
    }
}

/* The low 24 bits all set if `low <= c <= high`, for characters; otherwise 0. */
static uint32_t within(uint32_t c, uint32_t low, uint32_t high) {
    return ~((c - low) | (high - c)) >> 8;
}

static uint8_t hex_digit(uint32_t value) {
    return (uint8_t)('0' + value + ((9 - value) >> 8 & ('a' - '9' - 1)));
}

static uint32_t hex_value(uint32_t c) {
    uint32_t letter = c | 0x20;
    return (within(c, '0', '9') & (c - '0')) | (within(letter, 'a', 'f') & (letter - 'a' + 10));
}

static uint8_t base32_digit(uint32_t value) {
    return (uint8_t)('A' + value - ((25 - value) >> 8 & ('A' + 26 - '2')));
}

static uint32_t base32_value(uint32_t c) {
    return (within(c, 'A', 'Z') & (c - 'A')) | (within(c, '2', '7') & (c - '2' + 26));
}

static uint8_t base64_digit(uint32_t value) {
    uint32_t c = 'A' + value;
    c += (25 - value) >> 8 & ('a' - 'Z' - 1);
    c -= (51 - value) >> 8 & ('z' + 1 - '0');
    c -= (61 - value) >> 8 & ('9' + 1 - '-');
    c += (62 - value) >> 8 & ('_' - '-' - 1);
    return (uint8_t)c;
}

static uint32_t base64_value(uint32_t c) {
    return (within(c, 'A', 'Z') & (c - 'A')) | (within(c, 'a', 'z') & (c - 'a' + 26)) |
           (within(c, '0', '9') & (c - '0' + 52)) | (within(c, '-', '-') & 62) |
           (within(c, '_', '_') & 63);
}

/* Digits of `width` bits each; zero bits fill up the last. */
static size_t to_digits(uint8_t *out, const uint8_t *in, size_t len, uint32_t width) {
    uint32_t buffer = 0, bits = 0, mask = (1u << width) - 1;
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        for (buffer = buffer << 8 | in[i], bits += 8; bits >= width; count++) {
            bits -= width;
            uint32_t value = buffer >> bits & mask;
            out[count] = width == 5 ? base32_digit(value) : base64_digit(value);
        }
    if (bits > 0) {
        uint32_t value = buffer << (width - bits) & mask;
        out[count++] = width == 5 ? base32_digit(value) : base64_digit(value);
    }
    return count;
}

static size_t from_digits(uint8_t *out, const uint8_t *in, size_t len, uint32_t width) {
    uint32_t buffer = 0, bits = 0;
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        buffer = buffer << width | (width == 5 ? base32_value(in[i]) : base64_value(in[i]));
        bits += width;
        if (bits >= 8)
            bits -= 8, out[count++] = (uint8_t)(buffer >> bits);
    }
    return count;
}

static void increment_little(uint8_t *number, size_t len) {
    uint32_t carry = 1;
    for (size_t i = 0; i < len; i++) {
        carry += number[i];
        number[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void increment_big(uint8_t *number, size_t len) {
    uint32_t carry = 1;
    while (len-- > 0) {
        carry += number[len];
        number[len] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void add_little(uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t carry = 0;
    for (size_t i = 0; i < len; i++) {
        carry += (uint32_t)a[i] + b[i];
        a[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void subtract_little(uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t borrow = 0;
    for (size_t i = 0; i < len; i++) {
        borrow = (uint32_t)a[i] - b[i] - borrow;
        a[i] = (uint8_t)borrow;
        borrow = borrow >> 8 & 1;
    }
}

/* A mark of 0x80 after `len` bytes and zeros to the end of the block, which is written in full. */
static void pad(uint8_t *block, uint32_t size, uint32_t len) {
    for (uint32_t i = 0; i < size; i++) {
        uint32_t before = 0 - ((i - len) >> 31), at = 0 - zero32(i ^ len);
        block[i] = (uint8_t)((block[i] & before) | (0x80 & at));
    }
}

/* The length before the last mark, or `size` if there is none before anything but zeros. */
static uint32_t unpad(const uint8_t *block, uint32_t size) {
    uint32_t seen = 0, found = 0, len = size;
    for (uint32_t i = size; i-- > 0;) {
        uint32_t mark = ((block[i] ^ 0x80u) - 1) >> 31 & ~seen & 1;
        len = select32(i, len, mark);
        found |= mark;
        seen |= (0u - block[i]) >> 31;
    }
    return select32(len, size, found);
}

/* The remainder, bit by bit: what is left is doubled, and reduced if it is too large. */
static uint32_t remainder32(uint32_t value, uint32_t modulus) {
    uint32_t rest = 0;
    for (int bit = 31; bit >= 0; bit--) {
        rest = rest << 1 | (value >> bit & 1);
        uint32_t less = rest - modulus;
        rest = less + (modulus & (0 - (less >> 31)));
    }
    return rest;
}

static uint64_t product64(uint64_t a, uint64_t b, uint64_t modulus) {
    uint64_t sum = 0;
    for (int bit = 62; bit >= 0; bit--) {
        sum = (sum << 1) - modulus;
        sum += modulus & (0 - (sum >> 63));
        sum += (a & (0 - (b >> bit & 1))) - modulus;
        sum += modulus & (0 - (sum >> 63));
    }
    return sum;
}

/* a + b modulo m, in limbs of 32 bits with sums in 64. */
static void add_modulo(uint32_t *a, const uint32_t *b, const uint32_t *modulus, size_t limbs) {
    uint32_t less[LIMBS];
    uint64_t carry = 0, borrow = 0;
    for (size_t i = 0; i < limbs; i++) {
        carry += (uint64_t)a[i] + b[i];
        a[i] = (uint32_t)carry;
        carry >>= 32;
    }
    for (size_t i = 0; i < limbs; i++) {
        borrow = (uint64_t)a[i] - modulus[i] - borrow;
        less[i] = (uint32_t)borrow;
        borrow >>= 63;
    }
    swap32(a, less, limbs, (uint32_t)(carry | (borrow ^ 1)));
}

static void compare(uint8_t *a, uint8_t *b, uint32_t *words, uint64_t *longs, Digest *digest) {
    uint32_t copy[WORDS], votes = 0;
    uint64_t long_copy[WORDS];
    for (uint32_t at = 0; at < BYTES; at += 60) {
        memcpy(b, a, BYTES);
        b[at] ^= (uint8_t)(a[at / 2] & 3);
        uint32_t same = equal8(a, b, BYTES);
        int32_t order = order8(a, b, BYTES);
        require(same == equal8_watched(a, b, BYTES) && same == (order == 0), "equal strings");
        swap8(a, b, BYTES, (uint32_t)order >> 31);
        require(order8(a, b, BYTES) >= 0, "strings in order");
        memcpy(copy, words, sizeof copy);
        memcpy(long_copy, longs, sizeof long_copy);
        copy[at % WORDS] += at & 8, long_copy[at % WORDS] ^= (uint64_t)(at & 16) << 50;
        votes = votes * 5 + (uint32_t)(order + 1) + equal32(words, copy, WORDS);
        votes += 2 * equal64(longs, long_copy, WORDS);
    }
    digest_u64(digest, votes);
    sort32(words, WORDS);
    sort64(longs, WORDS);
    for (size_t i = 1; i < WORDS; i++)
        require(words[i - 1] <= words[i] && longs[i - 1] <= longs[i], "words in order");
}

static void look_up(const uint8_t *bytes, const uint32_t *words, const uint64_t *longs,
                    Digest *digest) {
    for (size_t i = 0; i < TABLE; i++) {
        uint32_t index = bytes[i] & 127;
        uint64_t row[4];
        uint8_t byte = look8(bytes, 128, index);
        uint32_t word = look32(words, WORDS, index % WORDS);
        look64(row, longs, WORDS / 4, 4, index % (WORDS / 4));
        require(byte == bytes[index] && word == words[index % WORDS], "look-up");
        require(memcmp(row, longs + index % (WORDS / 4) * 4, sizeof row) == 0, "look-up of rows");
        digest_u64(digest, row[i % 4] ^ word ^ byte);
    }
}

static void digits(const uint8_t *bytes, size_t len, Digest *digest) {
    uint8_t text[2 * BYTES], back[BYTES];
    for (size_t i = 0; i < len; i++)
        text[2 * i] = hex_digit(bytes[i] >> 4), text[2 * i + 1] = hex_digit(bytes[i] & 15);
    for (size_t i = 0; i < len; i++)
        back[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    require(equal8(bytes, back, len), "hexadecimal there and back");
    digest_bytes(digest, text, 32);
    for (uint32_t width = 5; width < 7; width++) {
        size_t count = to_digits(text, bytes, len, width);
        require(from_digits(back, text, count, width) == len, "length of digits");
        require(equal8(bytes, back, len), "digits there and back");
        digest_bytes(digest, text, count / 4);
    }
}

static void count(uint8_t *a, const uint8_t *b, size_t len, Digest *digest) {
    for (size_t i = 0; i + len <= BYTES; i += len) {
        uint8_t before[32];
        memcpy(before, a, len);
        increment_big(a, len);
        add_little(a, b + i, len);
        increment_little(a, len);
        increment_little(a + 4, 8);
        digest_u64(digest, load_le64(a));
        memcpy(before, a, len);
        add_little(a, b + i, len);
        subtract_little(a, b + i, len);
        require(equal8(a, before, len), "sum and difference");
    }
}

static void padding(const uint8_t *bytes, uint32_t size, Digest *digest) {
    uint8_t block[128];
    for (uint32_t i = 0; i + size <= BYTES; i += size / 2) {
        uint32_t len = bytes[i] % size;
        memcpy(block, bytes + i, size);
        pad(block, size, len);
        require(unpad(block, size) == len, "padding");
        block[bytes[i + 1] % size] ^= 0x80;
        digest_u64(digest, unpad(block, size));
    }
}

static void reduce(uint32_t *words, const uint64_t *longs, Digest *digest) {
    uint32_t modulus[LIMBS];
    for (size_t i = 0; i < NUMBERS; i++) {
        uint32_t small = (words[i] >> 4 & 0x3fffffff) | 1, rest = remainder32(words[i + 9], small);
        require(rest == words[i + 9] % small, "remainder");
        uint64_t prime = 0x1fffffffffffffff, a = longs[i] >> 4, b = longs[i + 1] >> 4;
        uint64_t product = product64(a, b, prime);
        require(product < prime, "product");
        if (i == 0)
            require(product64(prime - 1, prime - 1, prime) == 1, "square of minus one");
        digest_u64(digest, product + rest);
    }
    memcpy(modulus, words + 2 * LIMBS, sizeof modulus);
    modulus[LIMBS - 1] |= 0x80000000;
    words[LIMBS - 1] &= 0x7fffffff, words[2 * LIMBS - 1] &= 0x7fffffff;
    for (int i = 0; i < 80; i++) {
        add_modulo(words, words + LIMBS, modulus, LIMBS);
        swap32(words, words + LIMBS, LIMBS, words[0] >> 7 & 1);
    }
    digest_u64(digest, (uint64_t)words[0] << 32 | words[LIMBS - 1]);
}

int main(int argc, char **argv) {
    static uint8_t a[BYTES], b[BYTES];
    static uint32_t words[WORDS];
    static uint64_t longs[WORDS];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {72};
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        random_bytes(&random, a, BYTES);
        for (size_t i = 0; i < WORDS; i++) {
            longs[i] = random_u64(&random);
            words[i] = (uint32_t)(longs[i] >> 17);
        }
        compare(a, b, words, longs, &digest);
        look_up(a, words, longs, &digest);
        digits(a, BYTES - round % 7, &digest);
        for (size_t len = 16; len <= 32; len += 4)
            count(b, a, len, &digest);
        padding(a, 32 + round % 4 * 16, &digest);
        reduce(words, longs, &digest);
    }
    return digest_print(&digest);
}
