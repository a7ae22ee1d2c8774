/* Big integers: factorials and Fibonacci numbers in 32-bit limbs, Montgomery powers in 64-bit limbs
 * whose products are made of 32-bit halves, division by small numbers to print them. */
#include "../common.h"

enum { STANDARD_ROUNDS = 65, LIMBS = 40, WORDS = 8 };

typedef struct {
    uint64_t low, high;
} Wide;

static Wide multiply(uint64_t a, uint64_t b) {
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t middle = (ll >> 32) + (uint32_t)lh + hl;
    return (Wide){middle << 32 | (uint32_t)ll, hh + (lh >> 32) + (middle >> 32)};
}

/* Adds a * b to *at, with a carry in and out. */
static uint64_t multiply_add(uint64_t *at, uint64_t a, uint64_t b, uint64_t carry) {
    Wide product = multiply(a, b);
    product.low += carry, product.high += product.low < carry;
    *at += product.low;
    return product.high + (*at < product.low);
}

/* out = a * b / 2^(64 * WORDS) modulo m, for odd m with a clear top bit; inverse = -1/m mod 2^64. */
static void montgomery(uint64_t *out, const uint64_t *a, const uint64_t *b, const uint64_t *m,
                       uint64_t inverse) {
    uint64_t t[WORDS + 1] = {0};
    for (int i = 0; i < WORDS; i++) {
        uint64_t carry = 0, factor, top;
        for (int j = 0; j < WORDS; j++)
            carry = multiply_add(&t[j], a[i], b[j], carry);
        top = t[WORDS] + carry;
        factor = t[0] * inverse, carry = 0;
        for (int j = 0; j < WORDS; j++) {
            carry = multiply_add(&t[j], factor, m[j], carry);
            if (j > 0)
                t[j - 1] = t[j];
        }
        t[WORDS - 1] = top + carry, t[WORDS] = t[WORDS - 1] < carry;
    }
    uint64_t borrow = 0, less[WORDS];
    for (int j = 0; j < WORDS; j++) {
        less[j] = t[j] - m[j] - borrow;
        borrow = t[j] < m[j] || (t[j] == m[j] && borrow);
    }
    memcpy(out, borrow ? t : less, sizeof less);
}

static uint32_t small_multiply(uint32_t *limbs, uint32_t factor) {
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)carry, carry >>= 32;
    }
    return (uint32_t)carry;
}

static uint32_t small_divide(uint32_t *limbs, uint32_t divisor) {
    uint64_t rest = 0;
    for (int i = LIMBS; i-- > 0;) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / divisor), rest %= divisor;
    }
    return (uint32_t)rest;
}

static void factorials(Digest *digest) {
    uint32_t limbs[LIMBS] = {1}, copy[LIMBS], digits = 0;
    for (uint32_t n = 2; n <= 200; n++)
        require(small_multiply(limbs, n) == 0, "room for factorials");
    memcpy(copy, limbs, sizeof copy);
    for (int chunk = 0; chunk < 42; chunk++) {
        digits = small_divide(copy, 1000000000);
        digest_u64(digest, digits);
    }
    for (uint32_t n = 200; n > 1; n--)
        require(small_divide(limbs, n) == 0, "factorials divide");
    require(limbs[0] == 1, "factorials there and back");
}

static void fibonacci(Digest *digest) {
    uint32_t a[LIMBS] = {0}, b[LIMBS] = {1};
    for (int n = 0; n < 1500; n++) {
        uint32_t carry = 0;
        for (int i = 0; i < LIMBS; i++) {
            uint64_t sum = (uint64_t)a[i] + b[i] + carry;
            a[i] = b[i], b[i] = (uint32_t)sum, carry = (uint32_t)(sum >> 32);
        }
    }
    digest_bytes(digest, (const uint8_t *)a, sizeof a);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {20};
    Digest digest = {0};
    Wide square = multiply(~(uint64_t)0, ~(uint64_t)0);
    require(square.low == 1 && square.high == ~(uint64_t)1, "64-bit product");
    while (rounds--) {
        uint64_t m[WORDS], base[WORDS], power[WORDS];
        for (int i = 0; i < WORDS; i++)
            m[i] = random_u64(&random), base[i] = power[i] = random_u64(&random);
        m[0] |= 1, m[WORDS - 1] |= (uint64_t)1 << 62, m[WORDS - 1] &= ~(uint64_t)0 >> 1;
        base[WORDS - 1] >>= 2, power[WORDS - 1] >>= 2;
        uint64_t inverse = m[0]; /* Newton's iteration doubles the correct bits each time. */
        for (int i = 0; i < 6; i++)
            inverse *= 2 - m[0] * inverse;
        for (int bit = 0; bit < 200; bit++) {
            montgomery(power, power, power, m, 0 - inverse);
            if (m[2] >> (bit & 63) & 1)
                montgomery(power, power, base, m, 0 - inverse);
        }
        for (int i = 0; i < WORDS; i++)
            digest_u64(&digest, power[i]);
        factorials(&digest);
        fibonacci(&digest);
    }
    return digest_print(&digest);
}
