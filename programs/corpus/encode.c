/* Encodings: base64, hexadecimal, variable-length and zigzag integers, run lengths, byte order,
 * delta coding, percent escapes. */
#include "../common.h"

enum { STANDARD_ROUNDS = 300, BYTES = 6000 };

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static uint8_t values[256];

static size_t base64_encode(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    for (; len >= 3; in += 3, len -= 3) {
        uint32_t three = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *out++ = (uint8_t)ALPHABET[three >> 18], *out++ = (uint8_t)ALPHABET[three >> 12 & 63];
        *out++ = (uint8_t)ALPHABET[three >> 6 & 63], *out++ = (uint8_t)ALPHABET[three & 63];
    }
    if (len > 0) {
        uint32_t rest = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0);
        *out++ = (uint8_t)ALPHABET[rest >> 18], *out++ = (uint8_t)ALPHABET[rest >> 12 & 63];
        *out++ = len > 1 ? (uint8_t)ALPHABET[rest >> 6 & 63] : '=', *out++ = '=';
    }
    return (size_t)(out - start);
}

static size_t base64_decode(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    uint32_t buffer = 0, bits = 0;
    for (size_t i = 0; i < len && in[i] != '='; i++) {
        buffer = buffer << 6 | values[in[i]], bits += 6;
        if (bits >= 8)
            bits -= 8, *out++ = (uint8_t)(buffer >> bits);
    }
    return (size_t)(out - start);
}

static size_t varints(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        int64_t value = (int64_t)load_le64(in + i) >> (in[i] & 63);
        uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
        for (; zigzag >= 0x80; zigzag >>= 7)
            *out++ = (uint8_t)(zigzag | 0x80);
        *out++ = (uint8_t)zigzag;
    }
    return (size_t)(out - start);
}

static uint64_t sum_varints(const uint8_t *in, size_t len) {
    const uint8_t *end = in + len;
    uint64_t sum = 0;
    while (in < end) {
        uint64_t value = 0;
        unsigned shift = 0;
        uint8_t byte;
        do
            byte = *in++, value |= (uint64_t)(byte & 0x7f) << shift, shift += 7;
        while (byte & 0x80);
        sum = sum * 31 + (value >> 1 ^ (0 - (value & 1)));
    }
    return sum;
}

static size_t run_lengths(uint8_t *out, const uint8_t *in, size_t len) {
    size_t count = 0;
    for (size_t i = 0, run; i < len; i += run) {
        for (run = 1; i + run < len && run < 255 && (in[i + run] & 0xe0) == (in[i] & 0xe0);)
            run++;
        out[count++] = (uint8_t)run, out[count++] = in[i] & 0xe0;
    }
    return count;
}

static size_t escape(uint8_t *out, const uint8_t *in, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = in[i];
        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-') {
            out[count++] = c;
        } else {
            out[count++] = '%';
            out[count++] = (uint8_t)"0123456789ABCDEF"[c >> 4];
            out[count++] = (uint8_t)"0123456789ABCDEF"[c & 15];
        }
    }
    return count;
}

int main(int argc, char **argv) {
    static uint8_t bytes[BYTES], coded[3 * BYTES], back[BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {24};
    Digest digest = {0};
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)ALPHABET[i]] = i;
    random_bytes(&random, bytes, sizeof bytes);
    while (rounds--) {
        size_t len = BYTES - random_below(&random, 10), coded_len;
        coded_len = base64_encode(coded, bytes, len);
        require(base64_decode(back, coded, coded_len) == len, "base64 length");
        require(memcmp(bytes, back, len) == 0, "base64 there and back");
        digest_bytes(&digest, coded, coded_len);
        coded_len = varints(coded, bytes, len);
        digest_u64(&digest, sum_varints(coded, coded_len));
        digest_u64(&digest, run_lengths(coded, bytes, len));
        digest_u64(&digest, escape(coded, bytes, len));
        for (size_t i = 1; i < len; i++)
            bytes[i] = (uint8_t)(bytes[i] - bytes[i - 1] * 3);
        for (size_t i = 0; i + 4 <= len; i += 4)
            store_le32(bytes + i, __builtin_bswap32(load_le32(bytes + i)) + (uint32_t)i);
    }
    return digest_print(&digest);
}
