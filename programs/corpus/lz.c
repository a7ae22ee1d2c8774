/* A byte-oriented LZ77 coder with hash chains, in the manner of LZ4, and its decoder. */
#include "../common.h"

enum { STANDARD_ROUNDS = 35, TEXT_BYTES = 40000, HASH_BITS = 12, CHAIN = 8 };

static int32_t heads[1 << HASH_BITS], previous[TEXT_BYTES];

static uint32_t hash4(const uint8_t *at) {
    return load_le32(at) * 2654435761u >> (32 - HASH_BITS);
}

static uint8_t *put_length(uint8_t *out, size_t length) {
    for (; length >= 255; length -= 255)
        *out++ = 255;
    *out++ = (uint8_t)length;
    return out;
}

static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals, size_t count, size_t match,
                             size_t distance) {
    out = put_length(out, count);
    memcpy(out, literals, count);
    out = put_length(out + count, match);
    if (match != 0)
        *out++ = (uint8_t)distance, *out++ = (uint8_t)(distance >> 8);
    return out;
}

static size_t compress(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    size_t at = 0, anchor = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        heads[i] = -1;
    while (at + 4 <= len) {
        uint32_t hash = hash4(in + at);
        size_t best = 0, best_at = 0;
        int32_t candidate = heads[hash];
        for (int steps = 0; candidate >= 0 && steps < CHAIN; steps++) {
            size_t length = 0;
            while (at + length < len && in[(size_t)candidate + length] == in[at + length])
                length++;
            if (length > best && at - (size_t)candidate < 65536)
                best = length, best_at = (size_t)candidate;
            candidate = previous[candidate];
        }
        previous[at] = heads[hash], heads[hash] = (int32_t)at;
        if (best < 4) {
            at++;
            continue;
        }
        out = put_sequence(out, in + anchor, at - anchor, best, at - best_at);
        anchor = at + best;
        while (++at < anchor)
            if (at + 4 <= len) {
                hash = hash4(in + at);
                previous[at] = heads[hash], heads[hash] = (int32_t)at;
            }
    }
    out = put_sequence(out, in + anchor, len - anchor, 0, 0);
    return (size_t)(out - start);
}

static size_t get_length(const uint8_t **in) {
    size_t length = 0;
    uint8_t byte;
    do
        byte = *(*in)++, length += byte;
    while (byte == 255);
    return length;
}

static size_t decompress(uint8_t *out, const uint8_t *in, size_t len) {
    uint8_t *start = out;
    const uint8_t *end = in + len;
    while (in < end) {
        size_t literals = get_length(&in);
        memcpy(out, in, literals);
        out += literals, in += literals;
        size_t match = get_length(&in);
        if (match == 0)
            break;
        const uint8_t *from = out - (in[0] | (size_t)in[1] << 8);
        in += 2;
        while (match--)
            *out++ = *from++;
    }
    return (size_t)(out - start);
}

/* Words of a small vocabulary, so that there is something to find. */
static void make_text(Random *random, uint8_t *text) {
    for (size_t at = 0; at < TEXT_BYTES;) {
        Random word = {random_below(random, 300) + 1};
        for (uint32_t length = 2 + random_below(&word, 9); length-- && at < TEXT_BYTES;)
            text[at++] = (uint8_t)('a' + random_below(&word, 26));
        if (at < TEXT_BYTES)
            text[at++] = ' ';
    }
}

int main(int argc, char **argv) {
    static uint8_t text[TEXT_BYTES], packed[2 * TEXT_BYTES], unpacked[TEXT_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {14};
    Digest digest = {0};
    while (rounds--) {
        make_text(&random, text);
        size_t packed_bytes = compress(packed, text, sizeof text);
        require(packed_bytes < sizeof text, "compression");
        require(decompress(unpacked, packed, packed_bytes) == sizeof text, "length");
        require(memcmp(text, unpacked, sizeof text) == 0, "round trip");
        digest_bytes(&digest, packed, packed_bytes);
    }
    return digest_print(&digest);
}
