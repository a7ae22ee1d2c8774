/* Memory-dense bytes: copied with changes from one buffer to another. Complement, case folding, a
 * table of bytes, a running key, interleaving and its inverse, reversal. */
#include "common.h"

enum { STANDARD_ROUNDS = 650, BYTES = 48000 };

static uint8_t from[BYTES], to[BYTES], table[256];

static void masked(uint8_t *restrict out, const uint8_t *restrict in, uint8_t key) {
    for (int i = 0; i < BYTES; i++)
        out[i] = in[i] ^ key;
}

static void folded(uint8_t *restrict out, const uint8_t *restrict in) {
    for (int i = 0; i < BYTES; i++)
        out[i] = in[i] | (uint8_t)((uint8_t)(in[i] - 'A') < 26 ? 0x20 : 0);
}

static void mapped(uint8_t *restrict out, const uint8_t *restrict in) {
    for (int i = 0; i < BYTES; i++)
        out[i] = table[in[i]];
}

static void keyed(uint8_t *restrict out, const uint8_t *restrict in, const uint8_t key[16]) {
    for (int i = 0; i < BYTES; i++)
        out[i] = (uint8_t)(in[i] + key[i & 15]);
}

static void interleaved(uint8_t *restrict out, const uint8_t *restrict in) {
    for (int i = 0; i < BYTES / 2; i++) {
        out[2 * i] = in[i];
        out[2 * i + 1] = in[BYTES / 2 + i];
    }
}

static void parted(uint8_t *restrict out, const uint8_t *restrict in) {
    for (int i = 0; i < BYTES / 2; i++) {
        out[i] = in[2 * i];
        out[BYTES / 2 + i] = in[2 * i + 1];
    }
}

static void reversed(uint8_t *restrict out, const uint8_t *restrict in) {
    for (int i = 0; i < BYTES; i++)
        out[BYTES - 1 - i] = in[i];
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {9};
    Digest digest = {0};
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(i * 167 + 13);
    random_bytes(&random, from, sizeof from);
    while (rounds--) {
        uint8_t key[16], sample[64];
        random_bytes(&random, key, sizeof key);
        uint32_t at = random_below(&random, BYTES - 64);
        memcpy(sample, from + at, sizeof sample);
        interleaved(to, from);
        parted(from, to);
        require(memcmp(sample, from + at, sizeof sample) == 0, "interleaved and parted");
        masked(to, from, key[0]);
        mapped(from, to);
        keyed(to, from, key);
        reversed(from, to);
        digest_bytes(&digest, from + at, 64);
        folded(to, from);
        digest_bytes(&digest, to + at, 64);
    }
    return digest_print(&digest);
}
