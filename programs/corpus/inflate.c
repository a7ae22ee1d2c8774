/* Pictures written and read back as in PNG files: rows filtered, deflated with fixed codes or codes of
 * their own, checked by Adler-32 and CRC-32; inflated by canonical tables, unfiltered, compared. */
#include "../common.h"

enum { STANDARD_ROUNDS = 110, WIDTH = 48, HEIGHT = 40, PIXEL = 3, STRIDE = WIDTH * PIXEL,
       RAW = HEIGHT * (STRIDE + 1), SPACE = 2 * RAW, HASHES = 1 << 10, FAST = 9 };

/* --- Filters of rows: each byte less what its left, upper and upper left neighbours promise. --- */

static int paeth(int left, int up, int corner) {
    int by_left = abs(up - corner), by_up = abs(left - corner), by_corner = abs(left + up - 2 * corner);
    return by_left <= by_up && by_left <= by_corner ? left : by_up <= by_corner ? up : corner;
}

static uint32_t filter_row(uint8_t *out, const uint8_t *row, const uint8_t *above, int kind) {
    uint32_t sum = 0;
    *out++ = (uint8_t)kind;
    for (int i = 0; i < STRIDE; i++) {
        int left = i >= PIXEL ? row[i - PIXEL] : 0, corner = i >= PIXEL ? above[i - PIXEL] : 0, guess = 0;
        switch (kind) {
        case 1: guess = left; break;
        case 2: guess = above[i]; break;
        case 3: guess = (left + above[i]) >> 1; break;
        case 4: guess = paeth(left, above[i], corner); break;
        }
        out[i] = (uint8_t)(row[i] - guess);
        sum += out[i] < 128 ? out[i] : 256u - out[i];
    }
    return sum;
}

static void unfilter_row(uint8_t *row, const uint8_t *in, const uint8_t *above) {
    uint8_t kind = *in++;
    memcpy(row, in, STRIDE);
    switch (kind) {
    case 1:
        for (int i = PIXEL; i < STRIDE; i++)
            row[i] = (uint8_t)(row[i] + row[i - PIXEL]);
        break;
    case 2:
        for (int i = 0; i < STRIDE; i++)
            row[i] = (uint8_t)(row[i] + above[i]);
        break;
    case 3:
        for (int i = 0; i < STRIDE; i++)
            row[i] = (uint8_t)(row[i] + ((above[i] + (i < PIXEL ? 0 : row[i - PIXEL])) >> 1));
        break;
    case 4:
        for (int i = 0; i < PIXEL; i++)
            row[i] = (uint8_t)(row[i] + above[i]);
        for (int i = PIXEL; i < STRIDE; i++)
            row[i] = (uint8_t)(row[i] + paeth(row[i - PIXEL], above[i], above[i - PIXEL]));
        break;
    default: require(kind == 0, "kind of filter");
    }
}

/* --- Checksums --- */

static uint32_t crc_table[4][256];

static uint32_t crc32(const uint8_t *at, size_t len) {
    uint32_t crc = ~0u;
    for (; len >= 4; at += 4, len -= 4) {
        crc ^= load_le32(at);
        crc = crc_table[3][crc & 255] ^ crc_table[2][crc >> 8 & 255] ^ crc_table[1][crc >> 16 & 255]
            ^ crc_table[0][crc >> 24];
    }
    while (len--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *at++) & 255];
    return ~crc;
}

static uint32_t adler32(const uint8_t *at, size_t len) {
    uint32_t a = 1, b = 0;
    while (len) {
        size_t part = len < 5552 ? len : 5552; /* So many sums fit into 32 bits. */
        for (len -= part; part--; b += a)
            a += *at++;
        a %= 65521, b %= 65521;
    }
    return b << 16 | a;
}

/* --- Codes: lengths of the symbols, codes in their order, and tables to decode by. --- */

static uint8_t length_extra[29], distance_extra[30];
static uint16_t length_base[29], distance_base[30];
static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

typedef struct {
    uint16_t codes[288], sorted[288], counts[16], fast[1 << FAST];
    uint8_t lengths[288];
} Codes;

/* The fast table has the symbols by the next bits of the stream, so codes stand there reversed. */
static void assign(Codes *codes, int count) {
    uint16_t next[16] = {0}, place[16] = {0};
    memset(codes->counts, 0, sizeof codes->counts), memset(codes->fast, 0, sizeof codes->fast);
    for (int i = 0; i < count; i++)
        codes->counts[codes->lengths[i]]++;
    codes->counts[0] = 0;
    for (int i = 1; i < 16; i++) {
        next[i] = (uint16_t)((next[i - 1] + codes->counts[i - 1]) << 1);
        place[i] = (uint16_t)(place[i - 1] + codes->counts[i - 1]);
    }
    for (int i = 0; i < count; i++) {
        unsigned length = codes->lengths[i], code, reversed = 0;
        if (length == 0)
            continue;
        codes->sorted[place[length]++] = (uint16_t)i, code = next[length]++;
        for (unsigned bit = 0; bit < length; bit++)
            reversed = reversed << 1 | (code >> bit & 1);
        codes->codes[i] = (uint16_t)reversed;
        for (; length <= FAST && reversed < 1 << FAST; reversed += 1u << length)
            codes->fast[reversed] = (uint16_t)(i << 4 | (int)length);
    }
}

static void fixed_codes(Codes *letters, Codes *distances) {
    for (int i = 0; i < 288; i++)
        letters->lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    memset(distances->lengths, 5, 30);
    assign(letters, 288), assign(distances, 30);
}

/* As many bits as the symbol's share of all says, rounded up: never too many codes. What is left of
 * them, in 32768ths, shortens the longest codes first, and so is used up. */
static void own_codes(Codes *codes, const uint16_t *counts, int count) {
    uint32_t total = 0, left = 1 << 15;
    for (int i = 0; i < count; i++)
        total += counts[i];
    for (int i = 0; i < count; i++)
        for (codes->lengths[i] = counts[i] != 0;
             counts[i] && (uint32_t)counts[i] << codes->lengths[i] < total;)
            codes->lengths[i]++;
    for (int i = 0; i < count; i++)
        left -= counts[i] ? 1u << (15 - codes->lengths[i]) : 0;
    for (int length = 15; length > 1 && left; length--)
        for (int i = 0; i < count && left >> (15 - length); i++)
            if (codes->lengths[i] == length)
                codes->lengths[i]--, left -= 1u << (15 - length);
    assign(codes, count);
}

/* --- Bits, from the low end of each byte --- */

typedef struct {
    uint8_t *at, *end;
    uint64_t bits;
    unsigned count;
} Stream;

static void put_bits(Stream *out, uint32_t value, unsigned count) {
    out->bits |= (uint64_t)value << out->count, out->count += count;
    for (; out->count >= 8; out->count -= 8, out->bits >>= 8) {
        require(out->at < out->end, "output has room");
        *out->at++ = (uint8_t)out->bits;
    }
}

static void need_bits(Stream *in, unsigned count) {
    for (; in->count < count; in->count += 8)
        in->bits |= (uint64_t)(in->at < in->end ? *in->at++ : 0) << in->count;
}

static uint32_t get_bits(Stream *in, unsigned count) {
    need_bits(in, count);
    uint32_t value = (uint32_t)in->bits & ((1u << count) - 1);
    in->bits >>= count, in->count -= count;
    return value;
}

static unsigned get_symbol(Stream *in, const Codes *codes) {
    need_bits(in, 15);
    unsigned entry = codes->fast[in->bits & ((1 << FAST) - 1)], code = 0, first = 0, place = 0;
    if (entry) {
        in->bits >>= entry & 15, in->count -= entry & 15;
        return entry >> 4;
    }
    for (unsigned length = 1; length < 16; length++) {
        code |= get_bits(in, 1);
        if (code - first < codes->counts[length])
            return codes->sorted[place + code - first];
        place += codes->counts[length], first = (first + codes->counts[length]) << 1, code <<= 1;
    }
    require(0, "code of a symbol");
    return 0;
}

/* --- The compressor: matches by hash chains, then a block in the codes that were asked for. --- */

typedef struct {
    uint16_t length, distance; /* Or a byte, and 0. */
} Token;

static Token tokens[RAW];

static uint32_t find_tokens(const uint8_t *text, uint32_t len) {
    static uint16_t heads[HASHES], chain[RAW];
    uint32_t count = 0;
    memset(heads, 0, sizeof heads);
    for (uint32_t at = 0, until = 0; at < len; at++) {
        uint32_t best = 2, distance = 0, most = len - at < 258 ? len - at : 258, hash = 0;
        if (most >= 3) {
            hash = (load_le32(text + at - (most == 3)) >> 8 * (most == 3) & 0xffffff) * 0x9e3779b1u >> 22;
            uint32_t other = heads[hash];
            chain[at] = heads[hash], heads[hash] = (uint16_t)(at + 1);
            for (int tries = 24; at >= until && other && tries; other = chain[other - 1], tries--) {
                const uint8_t *here = text + at, *there = text + other - 1;
                uint32_t same = 0;
                if (there[best] != here[best])
                    continue;
                while (same < most && here[same] == there[same])
                    same++;
                if (same > best)
                    best = same, distance = at + 1 - other;
                if (best == most)
                    break;
            }
        }
        if (at < until)
            continue;
        tokens[count++] = distance ? (Token){(uint16_t)best, (uint16_t)distance} : (Token){text[at], 0};
        until = at + (distance ? best : 1);
    }
    return count;
}

static unsigned class_of(const uint16_t *base, unsigned count, unsigned value) {
    unsigned low = 0;
    for (unsigned high = count; high - low > 1;) {
        unsigned middle = (low + high) / 2;
        if (base[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void put_lengths(Stream *out, const Codes *letters, const Codes *distances) {
    static Codes codes;
    put_bits(out, 286 - 257, 5), put_bits(out, 30 - 1, 5), put_bits(out, 19 - 4, 4);
    for (int i = 0; i < 19; i++)
        codes.lengths[order[i]] = i < 13 ? 4 : 5, put_bits(out, codes.lengths[order[i]], 3);
    assign(&codes, 19);
    for (int i = 0; i < 286 + 30;) {
        const uint8_t *at = i < 286 ? letters->lengths + i : distances->lengths + i - 286;
        int run = 1, most = (i < 286 ? 286 : 316) - i;
        while (run < most && run < 138 && *at == 0 && at[run] == 0)
            run++;
        unsigned symbol = run < 3 ? *at : run < 11 ? 17 : 18;
        put_bits(out, codes.codes[symbol], codes.lengths[symbol]);
        if (run >= 3)
            put_bits(out, (uint32_t)run - (symbol == 17 ? 3 : 11), symbol == 17 ? 3 : 7);
        i += run < 3 ? 1 : run;
    }
}

static uint32_t deflate(uint8_t *packed, uint32_t count, int own) {
    static Codes letters, distances;
    Stream out = {packed, packed + SPACE, 0, 0};
    put_bits(&out, own ? 5 : 3, 3);
    if (own) {
        uint16_t counts[286] = {0}, counts2[30] = {0};
        counts[256] = 1;
        for (const Token *token = tokens; token < tokens + count; token++)
            if (token->distance == 0)
                counts[token->length]++;
            else {
                counts[257 + class_of(length_base, 29, token->length)]++;
                counts2[class_of(distance_base, 30, token->distance)]++;
            }
        own_codes(&letters, counts, 286), own_codes(&distances, counts2, 30);
        put_lengths(&out, &letters, &distances);
    } else
        fixed_codes(&letters, &distances);
    for (const Token *token = tokens; token < tokens + count; token++) {
        if (token->distance == 0) {
            put_bits(&out, letters.codes[token->length], letters.lengths[token->length]);
            continue;
        }
        unsigned symbol = class_of(length_base, 29, token->length);
        put_bits(&out, letters.codes[257 + symbol], letters.lengths[257 + symbol]);
        put_bits(&out, token->length - length_base[symbol] + 0u, length_extra[symbol]);
        symbol = class_of(distance_base, 30, token->distance);
        put_bits(&out, distances.codes[symbol], distances.lengths[symbol]);
        put_bits(&out, token->distance - distance_base[symbol] + 0u, distance_extra[symbol]);
    }
    put_bits(&out, letters.codes[256], letters.lengths[256]);
    put_bits(&out, 0, 7);
    return (uint32_t)(out.at - packed);
}

static void get_lengths(Stream *in, Codes *letters, Codes *distances) {
    static Codes codes;
    uint8_t lengths[320] = {0};
    uint32_t count = 257 + get_bits(in, 5), all = count + 1 + get_bits(in, 5), many = 4 + get_bits(in, 4);
    memset(codes.lengths, 0, 19);
    for (uint32_t i = 0; i < many; i++)
        codes.lengths[order[i]] = (uint8_t)get_bits(in, 3);
    assign(&codes, 19);
    for (uint32_t i = 0; i < all;) {
        unsigned symbol = get_symbol(in, &codes), value = symbol, run = 1;
        switch (symbol) {
        case 16: value = i ? lengths[i - 1] : 0, run = 3 + get_bits(in, 2); break;
        case 17: value = 0, run = 3 + get_bits(in, 3); break;
        case 18: value = 0, run = 11 + get_bits(in, 7); break;
        }
        require(run <= all - i && count <= 286 && all - count <= 30, "lengths of codes");
        memset(lengths + i, (int)value, run), i += run;
    }
    memcpy(letters->lengths, lengths, count), memcpy(distances->lengths, lengths + count, all - count);
    assign(letters, (int)count), assign(distances, (int)(all - count));
}

static uint32_t inflate(uint8_t *text, uint32_t most, uint8_t *packed, uint32_t size) {
    static Codes letters, distances;
    Stream in = {packed, packed + size, 0, 0};
    uint32_t len = 0, last;
    do {
        last = get_bits(&in, 1);
        uint32_t kind = get_bits(&in, 2);
        require(kind == 1 || kind == 2, "kind of block");
        if (kind == 1)
            fixed_codes(&letters, &distances);
        else
            get_lengths(&in, &letters, &distances);
        for (unsigned symbol; (symbol = get_symbol(&in, &letters)) != 256;) {
            if (symbol < 256) {
                require(len < most, "text has room");
                text[len++] = (uint8_t)symbol;
                continue;
            }
            require(symbol < 286, "length");
            uint32_t count = length_base[symbol - 257] + get_bits(&in, length_extra[symbol - 257]);
            symbol = get_symbol(&in, &distances);
            uint32_t distance = distance_base[symbol] + get_bits(&in, distance_extra[symbol]);
            require(distance <= len && count <= most - len, "distance");
            uint8_t *to = text + len;
            for (len += count; count--; to++)
                *to = to[-(ptrdiff_t)distance];
        }
    } while (!last);
    return len;
}

static void make_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        crc_table[0][i] = crc;
    }
    for (int i = 0; i < 3 * 256; i++) {
        uint32_t crc = crc_table[i >> 8][i & 255];
        crc_table[(i >> 8) + 1][i & 255] = crc >> 8 ^ crc_table[0][crc & 255];
    }
    for (int i = 0, base = 3; i < 28; base += 1 << length_extra[i++])
        length_extra[i] = (uint8_t)(i < 8 ? 0 : i / 4 - 1), length_base[i] = (uint16_t)base;
    length_base[28] = 258;
    for (int i = 0, base = 1; i < 30; base += 1 << distance_extra[i++])
        distance_extra[i] = (uint8_t)(i < 4 ? 0 : i / 2 - 1), distance_base[i] = (uint16_t)base;
    require(crc32((const uint8_t *)"123456789", 9) == 0xcbf43926u, "CRC-32");
    require(adler32((const uint8_t *)"Wikipedia", 9) == 0x11e60398u, "Adler-32");
}

/* A slope, some boxes of one colour, a little noise. */
static void draw(uint8_t *picture, Random *random) {
    uint32_t noise = 1 + random_below(random, 4), slope = random_below(random, 5);
    for (uint32_t i = 0; i < HEIGHT * STRIDE; i++)
        picture[i] = (uint8_t)(i % STRIDE * slope / 4 + i / STRIDE * 2 + (i % PIXEL) * 30
                               + (i % 8 == 0 ? random_below(random, noise) : 0));
    for (int box = 0; box < 8; box++) {
        uint32_t x = random_below(random, WIDTH - 16), y = random_below(random, HEIGHT - 12);
        uint64_t colour = random_u64(random);
        for (uint32_t i = 0; i < 12 * 16 * PIXEL; i++)
            picture[(y + i / 48) * STRIDE + x * PIXEL + i % 48] = (uint8_t)(colour >> 8 * (i % PIXEL));
    }
}

int main(int argc, char **argv) {
    static uint8_t picture[HEIGHT * STRIDE], again[HEIGHT * STRIDE], raw[RAW], raw2[RAW], packed[SPACE];
    static const uint8_t black[STRIDE];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {41};
    Digest digest = {0};
    make_tables();
    while (rounds--) {
        draw(picture, &random);
        for (int y = 0; y < HEIGHT; y++) {
            const uint8_t *row = picture + y * STRIDE, *above = y ? row - STRIDE : black;
            uint32_t least = UINT32_MAX;
            for (int kind = 0; kind < 5; kind++) {
                uint8_t filtered[STRIDE + 1];
                uint32_t sum = filter_row(filtered, row, above, kind);
                if (sum < least)
                    least = sum, memcpy(raw + y * (STRIDE + 1), filtered, sizeof filtered);
            }
        }
        uint32_t count = find_tokens(raw, RAW);
        for (int own = 0; own < 2; own++) {
            uint32_t size = deflate(packed, count, own), crc = crc32(packed, size);
            require(inflate(raw2, RAW, packed, size) == RAW, "length inflated");
            require(adler32(raw2, RAW) == adler32(raw, RAW), "inflated");
            digest_u64(&digest, (uint64_t)size << 32 | crc);
        }
        for (int y = 0; y < HEIGHT; y++)
            unfilter_row(again + y * STRIDE, raw2 + y * (STRIDE + 1), y ? again + (y - 1) * STRIDE : black);
        require(memcmp(picture, again, sizeof picture) == 0, "picture");
        digest_u64(&digest, (uint64_t)crc32(again, sizeof again) << 32 | adler32(raw2, RAW));
    }
    return digest_print(&digest);
}
