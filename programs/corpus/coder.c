/* Entropy coders and back: a binary range coder with adaptive bit models, an arithmetic coder with its
 * counts in a tree, LZW, and blocks sorted by their suffixes, moved to front, written as runs. */
#include "../common.h"

enum { STANDARD_ROUNDS = 95, TEXT = 1500, SPACE = 2 * TEXT + 64, NUMBERS = 120 };

typedef struct {
    uint8_t *at, *end;
} Bytes;

static void put_byte(Bytes *bytes, uint32_t value) {
    require(bytes->at < bytes->end, "output has room");
    *bytes->at++ = (uint8_t)value;
}

/* After the end come zeros, as many as a decoder wants to look ahead. */
static uint32_t get_byte(Bytes *bytes) {
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

/* --- A range coder of bits: each has a probability, in 2048ths, that follows what it sees. --- */

typedef struct {
    Bytes bytes;
    uint64_t low;
    uint32_t range, code, waiting;
    uint8_t held;
    uint8_t decoding;
} Ranger;

/* A carry may still come into the byte that is held and run through the 255s that wait behind it. */
static void shift_low(Ranger *ranger) {
    uint32_t carry = (uint32_t)(ranger->low >> 32);
    if (carry || ranger->low < 0xff000000u) {
        put_byte(&ranger->bytes, ranger->held + carry);
        for (; ranger->waiting; ranger->waiting--)
            put_byte(&ranger->bytes, 255 + carry);
        ranger->held = (uint8_t)(ranger->low >> 24);
    } else
        ranger->waiting++;
    ranger->low = (ranger->low & 0xffffff) << 8;
}

static void refill(Ranger *ranger) {
    while (ranger->range < 1u << 24) {
        ranger->range <<= 8;
        if (ranger->decoding)
            ranger->code = ranger->code << 8 | get_byte(&ranger->bytes);
        else
            shift_low(ranger);
    }
}

/* Writes the bit, or reads it and returns it. */
static unsigned code_bit(Ranger *ranger, uint16_t *model, unsigned bit) {
    uint32_t bound = (ranger->range >> 11) * *model;
    if (ranger->decoding)
        bit = ranger->code >= bound;
    if (bit == 0) {
        ranger->range = bound;
        *model += (2048 - *model) >> 5;
    } else {
        ranger->low += bound, ranger->code -= bound, ranger->range -= bound;
        *model -= *model >> 5;
    }
    refill(ranger);
    return bit;
}

static unsigned code_tree(Ranger *ranger, uint16_t *models, int bits, unsigned symbol) {
    unsigned node = 1;
    for (int i = bits - 1; i >= 0; i--)
        node = node << 1 | code_bit(ranger, &models[node], symbol >> i & 1);
    return node - (1u << bits);
}

/* Numbers: how many bits they have by a tree, the upper two by models, the rest by halving the range. */
static uint32_t code_number(Ranger *ranger, uint16_t *sizes, uint16_t (*upper)[4], uint32_t number) {
    unsigned size = 0;
    while (size < 31 && number >> size)
        size++;
    size = code_tree(ranger, sizes, 5, size);
    uint32_t value = size > 0;
    for (int i = (int)size - 2; i >= 0; i--) {
        unsigned bit = number >> i & 1;
        if (i + 3 >= (int)size)
            bit = code_bit(ranger, &upper[size][value & 3], bit);
        else {
            ranger->range >>= 1;
            if (ranger->decoding)
                bit = ranger->code >= ranger->range;
            if (bit)
                ranger->low += ranger->range, ranger->code -= ranger->range;
            refill(ranger);
        }
        value = value << 1 | bit;
    }
    return value;
}

static uint32_t range_code(Ranger *ranger, uint8_t *text, uint32_t len, uint32_t *numbers) {
    static uint16_t letters[8][256], sizes[32], upper[32][4];
    for (int i = 0; i < 8 * 256; i++)
        letters[i >> 8][i & 255] = 1024;
    for (int i = 0; i < 128; i++)
        sizes[i & 31] = upper[i >> 2][i & 3] = 1024;
    uint8_t *start = ranger->bytes.at;
    if (ranger->decoding)
        for (int i = 0; i < 5; i++)
            ranger->code = ranger->code << 8 | get_byte(&ranger->bytes);
    for (uint32_t i = 0, before = 0; i < len; before = text[i++] >> 2 & 7)
        text[i] = (uint8_t)code_tree(ranger, letters[before], 8, text[i]);
    for (uint32_t i = 0, last = 0; i < NUMBERS; last = numbers[i++])
        numbers[i] = last + code_number(ranger, sizes, upper, numbers[i] - last);
    for (int i = 0; i < 5 && !ranger->decoding; i++)
        shift_low(ranger);
    return (uint32_t)(ranger->bytes.at - start);
}

/* --- An arithmetic coder of bytes: counts in a binary indexed tree, intervals sent bit by bit. --- */

typedef struct {
    Bytes bytes;
    uint32_t low, high, code, pending, buffer, mask, total;
    uint16_t tree[257];
} Interval;

static void add_count(Interval *coder, unsigned symbol, unsigned amount) {
    for (unsigned i = symbol + 1; i <= 256; i += i & (0u - i))
        coder->tree[i] = (uint16_t)(coder->tree[i] + amount);
    coder->total += amount;
}

static uint32_t counts_below(const Interval *coder, unsigned symbol) {
    uint32_t sum = 0;
    for (unsigned i = symbol; i; i &= i - 1)
        sum += coder->tree[i];
    return sum;
}

/* Sending, the buffer has a one above its bits, which says how many there are. */
static void send_bit(Interval *coder, unsigned bit) {
    coder->buffer = coder->buffer << 1 | bit;
    if (coder->buffer >> 8)
        put_byte(&coder->bytes, coder->buffer), coder->buffer = 1;
}

static unsigned receive_bit(Interval *coder) {
    if ((coder->mask >>= 1) == 0)
        coder->buffer = get_byte(&coder->bytes), coder->mask = 128;
    return (coder->buffer & coder->mask) != 0;
}

static void start_interval(Interval *coder, Bytes bytes, int decoding) {
    *coder = (Interval){.bytes = bytes, .high = UINT32_MAX, .buffer = 1};
    for (unsigned i = 0; i < 256; i++)
        add_count(coder, i, 1);
    for (int i = 0; i < 32 && decoding; i++)
        coder->code = coder->code << 1 | receive_bit(coder);
}

/* What comes after either half is known, or lies around the middle: the interval is doubled. */
static void narrow(Interval *coder, unsigned symbol, int decoding) {
    uint64_t width = (uint64_t)coder->high - coder->low + 1;
    uint32_t below = counts_below(coder, symbol), above = counts_below(coder, symbol + 1);
    coder->high = coder->low + (uint32_t)(width * above / coder->total - 1);
    coder->low += (uint32_t)(width * below / coder->total);
    for (;;) {
        uint32_t take = 0;
        if ((coder->low ^ coder->high) >> 31 == 0) {
            if (!decoding)
                for (send_bit(coder, coder->low >> 31); coder->pending; coder->pending--)
                    send_bit(coder, ~coder->low >> 31);
        } else if (coder->low >> 30 == 1 && coder->high >> 30 == 2)
            take = 1u << 30, coder->pending++;
        else
            break;
        coder->low = (coder->low - take) << 1, coder->high = (coder->high - take) << 1 | 1;
        if (decoding)
            coder->code = (coder->code - take) << 1 | receive_bit(coder);
    }
    if (coder->total > 6000) /* Old counts fade; none becomes zero. */
        for (unsigned i = 0; i < 256; i++) {
            uint32_t count = counts_below(coder, i + 1) - counts_below(coder, i);
            add_count(coder, i, 0u - count / 2);
        }
    add_count(coder, symbol, 24);
}

static uint32_t interval_encode(Bytes bytes, const uint8_t *text, uint32_t len) {
    static Interval coder;
    start_interval(&coder, bytes, 0);
    for (uint32_t i = 0; i < len; i++)
        narrow(&coder, text[i], 0);
    /* The interval has the middle in it: a one, pending zeros, and zeros to the end of the byte. */
    send_bit(&coder, 1);
    for (uint32_t i = 0; i < coder.pending + 7; i++)
        send_bit(&coder, 0);
    return (uint32_t)(coder.bytes.at - bytes.at);
}

static void interval_decode(Bytes bytes, uint8_t *text, uint32_t len) {
    static Interval coder;
    start_interval(&coder, bytes, 1);
    for (uint32_t i = 0; i < len; i++) {
        uint64_t width = (uint64_t)coder.high - coder.low + 1;
        uint32_t target = (uint32_t)((((uint64_t)coder.code - coder.low + 1) * coder.total - 1) / width);
        unsigned symbol = 0;
        for (unsigned step = 128; step; step >>= 1)
            if (coder.tree[symbol + step] <= target)
                symbol += step, target -= coder.tree[symbol];
        narrow(&coder, symbol, 1);
        text[i] = (uint8_t)symbol;
    }
}

/* --- LZW: codes of 9 and 10 bits; a full dictionary is thrown away. --- */

enum { CLEAR = 256, STOP = 257, FIRST = 258, MOST = 1024, SLOTS = 2048 };

typedef struct {
    uint32_t key;
    uint16_t code;
} Slot;

static uint32_t lzw_encode(Bytes bytes, const uint8_t *text, uint32_t len) {
    static Slot slots[SLOTS];
    uint8_t *start = bytes.at;
    uint32_t buffer = 0, prefix = *text, next = FIRST;
    int held = 0, width = 9;
    memset(slots, 0, sizeof slots);
    for (uint32_t i = 1; i <= len + 1; i++) {
        uint32_t key = (prefix << 8 | (i < len ? text[i] : 0)) + 1;
        Slot *slot = &slots[key * 2654435761u >> 21];
        while (slot->key && slot->key != key)
            slot = slot + 1 < slots + SLOTS ? slot + 1 : slots;
        if (i < len && slot->key) {
            prefix = slot->code;
            continue;
        }
        buffer |= prefix << held, held += width;
        *slot = (Slot){key, (uint16_t)next++};
        prefix = i < len ? text[i] : STOP;
        width += next > 1u << width;
        if (next == MOST) {
            buffer |= (uint32_t)CLEAR << held, held += width;
            memset(slots, 0, sizeof slots);
            width = 9, next = FIRST;
        }
        for (; held >= 8; held -= 8, buffer >>= 8)
            put_byte(&bytes, buffer);
    }
    put_byte(&bytes, buffer);
    return (uint32_t)(bytes.at - start);
}

static uint32_t lzw_decode(Bytes bytes, uint8_t *text) {
    static uint16_t prefixes[MOST], lengths[MOST];
    static uint8_t lasts[MOST];
    uint32_t buffer = 0, next = FIRST, len = 0, before = STOP;
    int held = 0, width = 9;
    for (;;) {
        for (; held < width; held += 8)
            buffer |= get_byte(&bytes) << held;
        uint32_t code = buffer & ((1u << width) - 1), at = code;
        buffer >>= width, held -= width;
        if (code == STOP)
            return len;
        if (code == CLEAR) {
            next = FIRST, before = STOP, width = 9;
            continue;
        }
        /* The code that is only now being made is the text before and its own first byte. */
        uint32_t count = code < 256 ? 1 : lengths[code];
        if (code >= next) {
            require(code == next && before != STOP, "LZW code");
            at = before, count = (before < 256 ? 1u : lengths[before]) + 1;
        }
        require(len + count <= TEXT, "LZW text has room");
        uint8_t *out = text + len + count - (code >= next ? 2 : 1);
        for (; at >= FIRST; at = prefixes[at])
            *out-- = lasts[at];
        *out = (uint8_t)at;
        if (code >= next)
            text[len + count - 1] = *out;
        if (before != STOP && next < MOST) {
            prefixes[next] = (uint16_t)before, lasts[next] = *out;
            lengths[next++] = (uint16_t)((before < 256 ? 1 : lengths[before]) + 1);
        }
        width += next >= 1u << width;
        len += count, before = code;
    }
}

/* --- Burrows and Wheeler's transform: rotations sorted by 1, 2, 4, 8... of their bytes. --- */

static uint32_t transform(uint8_t *out, const uint8_t *text, uint32_t len) {
    static uint16_t order[TEXT], ranks[TEXT], second[TEXT], counts[TEXT + 256];
    uint32_t classes = 256, first = 0;
    for (uint32_t i = 0; i < len; i++)
        second[i] = (uint16_t)i, ranks[i] = text[i];
    for (uint32_t width = 0; width < len && (width < 2 || classes < len); width += width ? width : 1) {
        for (uint32_t i = 0; i < len && width; i++)
            second[i] = (uint16_t)(order[i] >= width ? order[i] - width : order[i] + len - width);
        memset(counts, 0, classes * sizeof *counts);
        for (uint32_t i = 0; i < len; i++)
            counts[ranks[i]]++;
        for (uint32_t i = 1; i < classes; i++)
            counts[i] = (uint16_t)(counts[i] + counts[i - 1]);
        for (uint32_t i = len; i-- > 0;)
            order[--counts[ranks[second[i]]]] = second[i];
        classes = 0;
        for (uint32_t i = 0, last = 0, more = 0; i < len; i++) {
            uint32_t at = order[i], behind = at + width < len ? at + width : at + width - len;
            uint32_t rank = ranks[at], rank2 = width ? ranks[behind] : 0;
            classes += i == 0 || rank != last || rank2 != more;
            last = rank, more = rank2, second[at] = (uint16_t)(classes - 1);
        }
        memcpy(ranks, second, len * sizeof *ranks);
    }
    for (uint32_t i = 0; i < len; i++) {
        out[i] = text[order[i] ? order[i] - 1u : len - 1];
        first = order[i] == 0 ? i : first;
    }
    return first;
}

static void transform_back(uint8_t *text, const uint8_t *sorted, uint32_t len, uint32_t first) {
    static uint16_t before[TEXT];
    uint32_t starts[257] = {0};
    for (uint32_t i = 0; i < len; i++)
        starts[sorted[i] + 1]++;
    for (int i = 0; i < 256; i++)
        starts[i + 1] += starts[i];
    for (uint32_t i = 0; i < len; i++)
        before[i] = (uint16_t)starts[sorted[i]]++;
    for (uint32_t i = len, at = first; i-- > 0; at = before[at])
        text[i] = sorted[at];
}

/* Each byte becomes its place in a list whose front it then goes to; runs of zeros become numbers in
 * digits 0 and 1 that stand for 1 and 2, other places move up by one, the last two with an escape. */
static uint32_t front_encode(Bytes bytes, const uint8_t *text, uint32_t len) {
    uint8_t list[256], *start = bytes.at;
    uint32_t zeros = 0;
    for (int i = 0; i < 256; i++)
        list[i] = (uint8_t)i;
    for (uint32_t i = 0; i <= len; i++) {
        uint32_t place = 0;
        if (i < len && list[0] == text[i]) {
            zeros++;
            continue;
        }
        for (; zeros; zeros = (zeros - 1) / 2)
            put_byte(&bytes, ~zeros & 1);
        if (i == len)
            break;
        while (list[place] != text[i])
            place++;
        memmove(list + 1, list, place);
        list[0] = text[i];
        if (place >= 254)
            put_byte(&bytes, 255);
        put_byte(&bytes, place >= 254 ? place - 254 : place + 1);
    }
    return (uint32_t)(bytes.at - start);
}

static uint32_t front_decode(uint8_t *text, Bytes bytes) {
    uint8_t list[256], *start = text;
    for (int i = 0; i < 256; i++)
        list[i] = (uint8_t)i;
    for (uint32_t weight = 1; bytes.at < bytes.end;) {
        uint32_t place = get_byte(&bytes);
        if (place < 2) {
            require(weight * (place + 1) <= TEXT - (uint32_t)(text - start), "a run has room");
            memset(text, list[0], weight * (place + 1));
            text += weight * (place + 1), weight *= 2;
            continue;
        }
        place = place == 255 ? 254 + get_byte(&bytes) : place - 1, weight = 1;
        uint8_t value = list[place];
        for (; place; place--)
            list[place] = list[place - 1];
        list[0] = *text++ = value;
    }
    return (uint32_t)(text - start);
}

static uint32_t write_text(uint8_t *text, Random *random) {
    static const char *const words[] = {"range ", "the ", "of ", "symbol", "s ", "interval ", "and ",
                                        "a ", "code", "is ", ", ", ".\n", "probable ", "more ",
                                        "than ", "bits "};
    uint32_t len = 0, kind = random_below(random, 4), most = TEXT - 100 + random_below(random, 80);
    while (len < most) {
        uint64_t bits = random_u64(random);
        const char *word = words[bits >> 10 & bits >> 20 & 15];
        if (kind == 3 && bits >> 60 == 0)
            text[len++] = (uint8_t)bits;
        else if (kind == 2 && bits >> 61 == 0)
            memset(text + len, (int)(bits & 127), 15), len += 15;
        else
            memcpy(text + len, word, strlen(word)), len += (uint32_t)strlen(word);
    }
    return len;
}

int main(int argc, char **argv) {
    static uint8_t text[TEXT], again[TEXT], packed[SPACE], sorted[TEXT], places[SPACE], places2[SPACE];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {83};
    Digest digest = {0};
    while (rounds--) {
        uint32_t numbers[NUMBERS], back[NUMBERS], len = write_text(text, &random), size;
        for (uint32_t i = 0, sum = 0; i < NUMBERS; i++)
            numbers[i] = sum += (uint32_t)(random_u64(&random) >> 38 >> random_below(&random, 26));
        Ranger ranger = {.bytes = {packed, packed + SPACE}, .range = UINT32_MAX};
        memcpy(back, numbers, sizeof back);
        size = range_code(&ranger, text, len / 2, back);
        digest_bytes(&digest, packed, size);
        ranger = (Ranger){.bytes = {packed, packed + size}, .range = UINT32_MAX, .decoding = 1};
        memset(again, 0, sizeof again), memset(back, 0, sizeof back);
        range_code(&ranger, again, len / 2, back);
        require(memcmp(text, again, len / 2) == 0, "bytes by the range coder");
        require(memcmp(numbers, back, sizeof back) == 0, "numbers by the range coder");

        uint32_t first = transform(sorted, text, len);
        for (int i = 0; i < 2; i++) {
            const uint8_t *from = i ? sorted : text;
            size = lzw_encode((Bytes){packed, packed + SPACE}, from, len);
            digest_bytes(&digest, packed, size);
            require(lzw_decode((Bytes){packed, packed + size}, again) == len, "length by LZW");
            require(memcmp(from, again, len) == 0, "LZW");
        }

        uint32_t count = front_encode((Bytes){places, places + SPACE}, sorted, len);
        size = interval_encode((Bytes){packed, packed + SPACE}, places, count);
        digest_bytes(&digest, packed, size), digest_u64(&digest, first);
        interval_decode((Bytes){packed, packed + size}, places2, count);
        require(memcmp(places, places2, count) == 0, "arithmetic coder");
        require(front_decode(sorted, (Bytes){places2, places2 + count}) == len, "length by places");
        transform_back(again, sorted, len, first);
        require(memcmp(text, again, len) == 0, "sorted suffixes");
    }
    return digest_print(&digest);
}
