/* What all programs of this folder share: a reproducible source of data, a digest of results, and
 * the reading of the one argument (the number of rounds).
 *
 * Everything is defined on fixed-width integers, so that a 32-bit WebAssembly build and a 64-bit
 * native build print the same digest. Programs must never feed it anything that depends on the
 * platform: no pointers, no `size_t` or `long` taken as bytes, no floating point outside + - * /
 * and sqrt, which IEEE 754 rounds alike everywhere. */
#ifndef PALISADE_PROGRAMS_COMMON_H
#define PALISADE_PROGRAMS_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline uint32_t rotl32(uint32_t value, unsigned count) {
    return value << count | value >> (32 - count);
}

static inline uint64_t rotl64(uint64_t value, unsigned count) {
    return value << count | value >> (64 - count);
}

/* Little-endian access byte by byte: the same on hosts of either byte order, and for any alignment. */
static inline uint32_t load_le32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t load_le64(const uint8_t *at) {
    return (uint64_t)load_le32(at) | (uint64_t)load_le32(at + 4) << 32;
}

static inline void store_le32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* Splitmix64: a counter whose values pass through a mixing function. */
typedef struct {
    uint64_t state;
} Random;

static inline uint64_t mix64(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t random_u64(Random *random) {
    random->state += 0x9e3779b97f4a7c15u;
    return mix64(random->state);
}

/* A number in 0..bound, by the high half of a product (the tiny bias does not matter here). */
static inline uint32_t random_below(Random *random, uint32_t bound) {
    return (uint32_t)((random_u64(random) >> 32) * bound >> 32);
}

static inline void random_bytes(Random *random, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(random_u64(random) >> 56);
}

/* A running digest. Not cryptographic: it only has to notice when any input bit differs. */
typedef struct {
    uint64_t state;
} Digest;

static inline void digest_u64(Digest *digest, uint64_t value) {
    digest->state = mix64(rotl64(digest->state, 23) ^ value) + 0x632be59bd9b4e019u;
}

static inline void digest_f64(Digest *digest, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    digest_u64(digest, bits);
}

static inline void digest_f32(Digest *digest, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    digest_u64(digest, bits);
}

static inline void digest_bytes(Digest *digest, const uint8_t *bytes, size_t len) {
    digest_u64(digest, len);
    for (; len >= 8; bytes += 8, len -= 8)
        digest_u64(digest, load_le64(bytes));
    uint64_t rest = 0;
    for (size_t i = 0; i < len; i++)
        rest |= (uint64_t)bytes[i] << (8 * i);
    digest_u64(digest, rest);
}

/* Prints the digest as 16 hexadecimal digits and a newline. `printf` is avoided on purpose: it
 * would be most of the compiled module. Returns the exit code for `main`. */
static inline int digest_print(const Digest *digest) {
    char line[18];
    for (int i = 0; i < 16; i++)
        line[i] = "0123456789abcdef"[digest->state >> (60 - 4 * i) & 15];
    line[16] = '\n';
    line[17] = '\0';
    return fputs(line, stdout) < 0 || fflush(stdout) != 0 ? 1 : 0;
}

/* Ends the program with exit code 1 when a check of its own results fails. */
static inline void require(int condition, const char *what) {
    if (condition)
        return;
    fputs("self-check failed: ", stderr);
    fputs(what, stderr);
    fputs("\n", stderr);
    exit(1);
}

static inline void *allocate(size_t bytes) {
    void *block = malloc(bytes);
    require(block != NULL, "out of memory");
    return block;
}

/* The number of rounds: the only argument, a decimal number from 1 to 999999999; without it,
 * `standard`. Anything else ends the program with exit code 2. */
static inline uint32_t rounds_from_arguments(int argc, char **argv, uint32_t standard) {
    if (argc < 2)
        return standard;
    uint32_t rounds = 0;
    const char *digit = argv[1];
    while (*digit >= '0' && *digit <= '9' && digit - argv[1] < 9)
        rounds = rounds * 10 + (uint32_t)(*digit++ - '0');
    if (argc > 2 || *digit != '\0' || rounds == 0) {
        fputs("usage: PROGRAM [ROUNDS], where ROUNDS is a number from 1 to 999999999\n", stderr);
        exit(2);
    }
    return rounds;
}

#endif
