/* Bit by bit: cyclic redundancy checks in three widths, shift registers, parities, Hamming codes, a
 * pseudo-random dither, Gray codes. */
#include "../common.h"

enum { STANDARD_ROUNDS = 700, BYTES = 700 };

static uint16_t crc16_byte(uint8_t byte, uint16_t crc) {
    for (int bit = 0; bit < 8; bit++) {
        uint8_t differs = (uint8_t)((byte & 1) ^ (crc & 1));
        byte >>= 1;
        crc >>= 1;
        if (differs)
            crc ^= 0xa001;
    }
    return crc;
}

static uint16_t crc16_word(uint32_t word, uint16_t crc) {
    crc = crc16_byte((uint8_t)word, crc);
    crc = crc16_byte((uint8_t)(word >> 8), crc);
    crc = crc16_byte((uint8_t)(word >> 16), crc);
    return crc16_byte((uint8_t)(word >> 24), crc);
}

static uint16_t ccitt(const uint8_t *bytes, int count) {
    uint16_t crc = 0xffff;
    while (count--) {
        crc ^= (uint16_t)(*bytes++ << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static uint32_t crc32(const uint8_t *bytes, int count) {
    uint32_t crc = ~0u;
    for (int i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc;
}

static uint8_t crc8(const uint8_t *bytes, int count) {
    uint8_t crc = 0;
    for (int i = 0; i < count; i++)
        for (uint8_t bit = 0x80; bit; bit >>= 1) {
            int top = crc >> 7 ^ ((bytes[i] & bit) != 0);
            crc = (uint8_t)(crc << 1 ^ (top ? 0x07 : 0));
        }
    return crc;
}

static uint32_t registers(uint32_t state, int steps) {
    uint32_t out = 0;
    while (steps--) {
        uint32_t bit = (state ^ state >> 2 ^ state >> 3 ^ state >> 5) & 1;
        state = state >> 1 | bit << 15;
        out = out << 1 ^ (state & 1);
        if ((state & 0x1f) == 0x15)
            out ^= state;
    }
    return out;
}

static int parity(uint32_t word) {
    int odd = 0;
    for (; word; word &= word - 1)
        odd = !odd;
    return odd;
}

/* Four bits in seven; one wrong bit is found and mended. */
static uint8_t hamming(uint8_t data) {
    uint8_t a = data & 1, b = data >> 1 & 1, c = data >> 2 & 1, d = data >> 3 & 1;
    return (uint8_t)((a ^ b ^ d) | (a ^ c ^ d) << 1 | a << 2 | (b ^ c ^ d) << 3 | b << 4 | c << 5 | d << 6);
}

static uint8_t mend(uint8_t code) {
    int wrong = 0;
    for (int i = 0; i < 7; i++)
        if (code >> i & 1)
            wrong ^= i + 1;
    if (wrong)
        code ^= (uint8_t)(1 << (wrong - 1));
    return (uint8_t)((code >> 2 & 1) | (code >> 3 & 0xe));
}

static uint32_t from_gray(uint32_t gray) {
    uint32_t value = 0;
    for (; gray; gray >>= 1)
        value ^= gray;
    return value;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    static uint8_t bytes[BYTES];
    Random random = {42};
    Digest digest = {0};
    random_bytes(&random, bytes, BYTES);
    for (uint32_t round = 0; round < rounds; round++) {
        uint16_t crc = (uint16_t)round;
        for (int i = 0; i + 4 <= BYTES; i += 4)
            crc = crc16_word(load_le32(bytes + i), crc);
        digest_u64(&digest, (uint64_t)crc << 48 | (uint64_t)ccitt(bytes, BYTES) << 32 | crc32(bytes, BYTES));
        digest_u64(&digest, crc8(bytes, BYTES));
        digest_u64(&digest, registers(crc | 1u, 4000));
        uint32_t odd = 0, gray = 0;
        for (int i = 0; i + 4 <= BYTES; i += 4) {
            uint32_t word = load_le32(bytes + i);
            odd += (uint32_t)parity(word);
            gray ^= from_gray(word);
        }
        digest_u64(&digest, (uint64_t)odd << 32 | gray);
        for (uint8_t data = 0; data < 16; data++)
            for (int flip = 0; flip < 7; flip++)
                require(mend((uint8_t)(hamming(data) ^ 1 << flip)) == data, "one wrong bit is mended");
        bytes[round % BYTES] = (uint8_t)crc;
    }
    return digest_print(&digest);
}
