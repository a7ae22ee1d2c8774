/* Checksums and small hash functions: CRC-32 by table and by bits, Adler-32, Fletcher-32, FNV-1a,
 * MurmurHash3. Byte loads feeding short dependent chains. */
#include "../common.h"

enum { STANDARD_ROUNDS = 150, MESSAGE_BYTES = 12000 };

static uint32_t crc_table[256];

static void crc_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        crc_table[byte] = crc;
    }
}

static uint32_t crc_by_table(const uint8_t *at, size_t len) {
    uint32_t crc = 0xffffffffu;
    while (len--)
        crc = crc_table[(crc ^ *at++) & 0xff] ^ crc >> 8;
    return ~crc;
}

static uint32_t crc_by_bits(const uint8_t *at, size_t len) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static uint32_t adler32(const uint8_t *at, size_t len) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < len; i++) {
        a = (a + at[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static uint32_t fletcher32(const uint8_t *at, size_t len) {
    uint32_t a = 0, b = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        a += at[i] | (uint32_t)at[i + 1] << 8;
        a = (a & 0xffff) + (a >> 16);
        b += a;
        b = (b & 0xffff) + (b >> 16);
    }
    return b << 16 | a;
}

static uint64_t fnv1a(const uint8_t *at, size_t len) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const uint8_t *end = at + len; at != end; at++)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

static uint32_t murmur3(uint32_t seed, const uint8_t *at, size_t len) {
    uint32_t hash = seed;
    for (size_t i = 0; i + 4 <= len; i += 4)
        hash = rotl32(hash ^ rotl32(load_le32(at + i) * 0xcc9e2d51u, 15) * 0x1b873593u, 13) * 5 +
               0xe6546b64u;
    uint32_t tail = 0;
    for (size_t i = len / 4 * 4; i < len; i++)
        tail |= (uint32_t)at[i] << (8 * (i & 3));
    hash ^= rotl32(tail * 0xcc9e2d51u, 15) * 0x1b873593u ^ (uint32_t)len;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

int main(int argc, char **argv) {
    static uint8_t message[MESSAGE_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {11};
    Digest digest = {0};
    crc_prepare();
    require(crc_by_table((const uint8_t *)"123456789", 9) == 0xcbf43926u, "CRC-32");
    random_bytes(&random, message, sizeof message);
    while (rounds--) {
        size_t len = sizeof message - random_below(&random, 64);
        uint32_t crc = crc_by_table(message, len);
        require(crc == crc_by_bits(message, len), "CRC-32 by table and by bits");
        digest_u64(&digest, crc);
        digest_u64(&digest, adler32(message, len));
        digest_u64(&digest, fletcher32(message, len));
        digest_u64(&digest, fnv1a(message, len));
        digest_u64(&digest, murmur3(crc, message, len));
        message[random_below(&random, sizeof message)] = (uint8_t)digest.state;
    }
    return digest_print(&digest);
}
