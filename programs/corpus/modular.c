/* Number theory on machine words: products of 64 bits by halves, Montgomery's form, primality, factors,
 * inverses, roots, a sieve by segments; Reed-Solomon's code over GF(2^8); a tag by products in GF(2^64). */
#include "../common.h"

enum { STANDARD_ROUNDS = 330, SEGMENT = 1 << 13, SMALL = 400, SIZE = 120, PARITY = 16, WORDS = 150 };

/* The 128 bits of a product from four products of halves. */
static inline uint64_t product(uint64_t a, uint64_t b, uint64_t *low) {
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    *low = middle << 32 | (uint32_t)ll;
    return ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32);
}

/* An odd modulus below 2^63; numbers stand for themselves times 2^64. */
typedef struct {
    uint64_t n, inverse, one, square;
} Modulus;

static Modulus modulus_of(uint64_t n) {
    Modulus m = {n, n, 0, 0};
    for (int i = 0; i < 5; i++) /* Each step doubles the bits of the inverse modulo 2^64. */
        m.inverse *= 2 - n * m.inverse;
    m.one = -n % n, m.square = m.one;
    for (int i = 0; i < 64; i++)
        m.square = m.square >= n - m.square ? m.square - (n - m.square) : 2 * m.square;
    return m;
}

static inline uint64_t times(const Modulus *m, uint64_t a, uint64_t b) {
    uint64_t low, rest, high = product(a, b, &low), taken = product(low * m->inverse, m->n, &rest);
    return high < taken ? high - taken + m->n : high - taken;
}

static uint64_t power(const Modulus *m, uint64_t base, uint64_t exponent) {
    uint64_t out = m->one;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            out = times(m, out, base);
        base = times(m, base, base);
    }
    return out;
}

static int is_prime(uint64_t n) {
    static const uint8_t bases[12] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    for (int i = 0; i < 12; i++)
        if (n % bases[i] == 0)
            return n == bases[i];
    Modulus m = modulus_of(n);
    uint64_t odd = n - 1, minus = n - m.one;
    int twos = 0;
    for (; odd % 2 == 0; odd >>= 1)
        twos++;
    for (int i = 0; i < 12; i++) {
        uint64_t x = power(&m, times(&m, bases[i], m.square), odd);
        int left = twos;
        if (x == m.one)
            continue;
        for (; x != minus && --left > 0;)
            x = times(&m, x, x);
        if (x != minus)
            return 0;
    }
    return 1;
}

/* By shifts and differences. */
static uint64_t common_divisor(uint64_t a, uint64_t b) {
    if (a == 0 || b == 0)
        return a | b;
    int shift = __builtin_ctzll(a | b);
    for (a >>= __builtin_ctzll(a); b != 0;) {
        b >>= __builtin_ctzll(b);
        if (a > b) {
            uint64_t kept = a;
            a = b, b = kept;
        }
        b -= a;
    }
    return a << shift;
}

/* Floyd's walk; the differences of many steps are multiplied before one divisor is sought. */
static uint64_t factor(uint64_t n, uint64_t add) {
    Modulus m = modulus_of(n);
    for (;; add++) {
        uint64_t slow = add, fast = add, found = 1, all = m.one;
        for (int i = 1; found == 1; i++) {
            slow = times(&m, slow, slow) + add, fast = times(&m, fast, fast) + add;
            fast = times(&m, fast % n, fast % n) + add;
            slow = slow >= n ? slow - n : slow, fast = fast >= n ? fast - n : fast;
            all = times(&m, all, slow > fast ? slow - fast : fast - slow);
            if (i % 32 == 0)
                found = common_divisor(all, n);
        }
        if (found != n)
            return found;
    }
}

/* 32 bits, with the processor's own division. */
static uint32_t power32(uint32_t base, uint32_t exponent, uint32_t n) {
    uint64_t out = 1, square = base % n;
    for (; exponent > 0; exponent >>= 1, square = square * square % n)
        if (exponent & 1)
            out = out * square % n;
    return (uint32_t)out;
}

static uint32_t inverse32(uint32_t a, uint32_t n) {
    int64_t x = 1, y = 0;
    uint32_t b = n;
    while (b != 0) {
        uint32_t quotient = a / b, rest = a % b;
        int64_t z = x - (int64_t)quotient * y;
        a = b, b = rest, x = y, y = z;
    }
    return a != 1 ? 0 : (uint32_t)(x < 0 ? x + n : x);
}

/* Jacobi's symbol without a table: 1, -1 or 0. */
static int jacobi(uint32_t a, uint32_t n) {
    int sign = 1;
    for (a %= n; a != 0; a %= n) {
        for (; a % 2 == 0; a /= 2)
            if (n % 8 == 3 || n % 8 == 5)
                sign = -sign;
        if (a % 4 == 3 && n % 4 == 3)
            sign = -sign;
        uint32_t kept = a;
        a = n, n = kept;
    }
    return n == 1 ? sign : 0;
}

/* Tonelli and Shanks. The modulus is prime, and `a` has a root. */
static uint32_t root32(uint32_t a, uint32_t p) {
    uint32_t odd = p - 1, level = 0, other = 2;
    for (; odd % 2 == 0; odd /= 2)
        level++;
    while (jacobi(other, p) != -1)
        other++;
    uint64_t c = power32(other, odd, p), t = power32(a, odd, p), r = power32(a, (odd + 1) / 2, p);
    while (t != 1) {
        uint32_t order = 0;
        for (uint64_t s = t; s != 1; s = s * s % p)
            order++;
        for (uint32_t i = order + 1; i < level; i++)
            c = c * c % p;
        r = r * c % p, c = c * c % p, t = t * c % p, level = order;
    }
    return (uint32_t)r;
}

/* Odd numbers only, one byte each; returns how many of [start, start + 2 * SEGMENT) are prime. */
static uint32_t sieve(uint8_t *marks, const uint16_t *primes, uint32_t start, uint32_t *last) {
    uint32_t count = 0;
    memset(marks, 1, SEGMENT);
    for (; (uint32_t)*primes * *primes < start + 2 * SEGMENT; primes++) {
        uint32_t p = *primes, first = p * p;
        if (first < start)
            first = (start + p - 1) / p * p, first += first % 2 == 0 ? p : 0;
        for (uint32_t i = (first - start) / 2; i < SEGMENT; i += p)
            marks[i] = 0;
    }
    for (uint32_t i = 0; i < SEGMENT; i++)
        if (marks[i])
            count++, *last = start + 2 * i + 1;
    return count;
}

/* Reed-Solomon over GF(256): PARITY bytes mend half as many. */
static uint8_t exps[510], logs[256], generator[PARITY + 1];

static inline uint8_t mul(uint8_t a, uint8_t b) {
    return a && b ? exps[logs[a] + logs[b]] : 0;
}

static void reed_prepare(void) {
    uint32_t x = 1;
    for (unsigned i = 0; i < 255; i++, x = x << 1 ^ (x & 0x80 ? 0x11d : 0))
        exps[i] = exps[i + 255] = (uint8_t)x, logs[x] = (uint8_t)i;
    generator[0] = 1;
    for (int i = 0; i < PARITY; i++)
        for (int j = i + 1; j > 0; j--)
            generator[j] ^= mul(generator[j - 1], exps[i]);
}

static void encode(uint8_t *block) {
    uint8_t *rest = block + SIZE;
    memset(rest, 0, PARITY);
    for (int i = 0; i < SIZE; i++) {
        uint8_t lead = block[i] ^ rest[0];
        for (int j = 0; j < PARITY; j++)
            rest[j] = (uint8_t)((j + 1 < PARITY ? rest[j + 1] : 0) ^ mul(lead, generator[j + 1]));
    }
}

static uint8_t value_at(const uint8_t *low_first, int degree, uint8_t x) {
    uint8_t sum = 0;
    for (; degree >= 0; degree--)
        sum = mul(sum, x) ^ low_first[degree];
    return sum;
}

/* Berlekamp and Massey find the polynomial whose roots are the places; Forney has the values. */
static int mend(uint8_t *block) {
    uint8_t syndromes[PARITY], locator[PARITY + 1] = {1}, before[PARITY + 1] = {1}, kept[PARITY + 1];
    uint8_t evaluator[PARITY] = {0}, scale = 1;
    int errors = 0, gap = 1, mended = 0, bad = 0;
    for (int i = 0; i < PARITY; i++) {
        uint8_t sum = 0;
        for (int j = 0; j < SIZE + PARITY; j++)
            sum = mul(sum, exps[i]) ^ block[j];
        syndromes[i] = sum, bad |= sum;
    }
    if (!bad)
        return 0;
    for (int i = 0; i < PARITY; i++, gap++) {
        uint8_t off = syndromes[i];
        for (int j = 1; j <= errors; j++)
            off ^= mul(locator[j], syndromes[i - j]);
        if (off == 0)
            continue;
        uint8_t by = mul(off, exps[255 - logs[scale]]);
        memcpy(kept, locator, sizeof kept);
        for (int j = gap; j <= PARITY; j++)
            locator[j] ^= mul(by, before[j - gap]);
        if (2 * errors <= i)
            errors = i + 1 - errors, memcpy(before, kept, sizeof kept), scale = off, gap = 0;
    }
    for (int i = 0; i < PARITY; i++)
        for (int j = 0; j <= i; j++)
            evaluator[i] ^= mul(syndromes[i - j], locator[j]);
    for (int i = 0; i < SIZE + PARITY; i++) {
        int place = SIZE + PARITY - 1 - i;
        uint8_t x = exps[(255 - place) % 255], slope = 0, square = mul(x, x), odd = 1;
        if (value_at(locator, errors, x) != 0)
            continue;
        for (int j = 1; j <= errors; j += 2, odd = mul(odd, square))
            slope ^= mul(locator[j], odd);
        uint8_t value = mul(value_at(evaluator, PARITY - 1, x), exps[255 - logs[slope]]);
        block[i] ^= mul(value, exps[place]), mended++;
    }
    return mended == errors ? mended : -1;
}

/* GF(2^64) modulo x^64 + x^4 + x^3 + x + 1: bit by bit, and by a table of the 16 multiples of the key. */
static uint64_t clmul(uint64_t a, uint64_t b) {
    uint64_t out = 0;
    for (; b != 0; b >>= 1, a = a << 1 ^ (0x1b & -(a >> 63)))
        out ^= a & -(b & 1);
    return out;
}

static uint64_t tag(uint64_t key, const uint64_t *words, int count) {
    static const uint8_t back[16] = {0, 0x1b, 0x36, 0x2d, 0x6c, 0x77, 0x5a, 0x41,
                                     0xd8, 0xc3, 0xee, 0xf5, 0xb4, 0xaf, 0x82, 0x99};
    uint64_t table[16] = {0, key}, sum = 0;
    for (int i = 2; i < 16; i += 2) {
        table[i] = table[i / 2] << 1 ^ (table[i / 2] >> 63 ? 0x1b : 0);
        table[i + 1] = table[i] ^ key;
    }
    for (int i = 0; i < count; i++) {
        uint64_t in = sum ^ words[i];
        sum = table[in >> 60];
        for (int shift = 56; shift >= 0; shift -= 4)
            sum = sum << 4 ^ back[sum >> 60] ^ table[in >> shift & 15];
    }
    return sum;
}

int main(int argc, char **argv) {
    static uint8_t marks[SEGMENT], block[SIZE + PARITY], copy[SIZE + PARITY];
    static uint16_t primes[SMALL];
    static uint64_t words[WORDS];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS), count = 0, last = 0;
    Random random = {53};
    Digest digest = {0};
    for (uint16_t n = 3; count < SMALL; n += 2) {
        uint32_t i = 0;
        while (i < count && n % primes[i] != 0)
            i++;
        if (i == count)
            primes[count++] = n;
    }
    reed_prepare();
    require(sieve(marks, primes, 0, &last) == 1900 && last == 16381, "primes below 2^14"); /* 1 for 2. */
    require(is_prime(2305843009213693951u) && !is_prime(3215031751u), "a prime and a pseudoprime");
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t n = random_u64(&random) >> (1 + round % 3) | 1;
        int tries = 0;
        for (; tries < 24 && !is_prime(n); tries++)
            n += 2;
        digest_u64(&digest, n);
        uint32_t start = (uint32_t)(n % 300) * 2 * SEGMENT;
        digest_u64(&digest, sieve(marks, primes, start, &last));
        uint32_t p = last, q = 0;
        for (uint32_t i = 0; i < SEGMENT / 2; i++)
            q = marks[i] ? start + 2 * i + 1 : q;
        require(is_prime(p) && is_prime(q), "the sieve's last is prime");
        uint64_t found = factor((uint64_t)p * q, 1 + n % 1000);
        require(found == p || found == q, "factors");
        for (uint32_t i = 0; i < 12; i++) {
            uint32_t a = 2 + random_below(&random, p - 3), inverse = inverse32(a, p);
            require((uint64_t)a * inverse % p == 1 && power32(a, p - 2, p) == inverse, "inverses");
            uint32_t square = (uint32_t)((uint64_t)a * a % p), root = root32(square, p);
            require(jacobi(square, p) == 1 && (root == a || root == p - a), "square roots");
            digest_u64(&digest, (uint64_t)inverse << 32 | (uint32_t)jacobi(a, p * 2 + 1));
        }

        for (int i = 0; i < 4; i++) {
            random_bytes(&random, block, SIZE);
            encode(block);
            memcpy(copy, block, sizeof copy);
            uint32_t errors = random_below(&random, PARITY / 2 + 1);
            for (uint32_t j = 0; j < errors; j++)
                copy[j * 17 + random_below(&random, 17)] ^= (uint8_t)(1 + random_below(&random, 255));
            require(mend(copy) == (int)errors && memcmp(copy, block, sizeof copy) == 0, "mended");
            digest_bytes(&digest, block + SIZE, PARITY);
        }

        uint64_t sum = 0, weighed = 0, key = random_u64(&random), weight = key;
        for (int i = 0; i < WORDS; i++)
            words[i] = random_u64(&random);
        sum = tag(key, words, WORDS);
        for (int i = WORDS - 1; i >= WORDS - 12; i--, weight = clmul(weight, key))
            weighed ^= clmul(weight, words[i]);
        require(tag(key, words + WORDS - 12, 12) == weighed, "the tag is a polynomial");
        digest_u64(&digest, sum ^ weighed);
    }
    return digest_print(&digest);
}
