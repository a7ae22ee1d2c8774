/* Sound and pictures in integers: inverse cosine transform, motion search and half-pixel prediction,
 * deblocking, colours and palettes, a 4-bit sound codec, mixing, single frequencies. */
#include "../common.h"

enum { STANDARD_ROUNDS = 120, WIDTH = 64, HEIGHT = 48, SIZE = WIDTH * HEIGHT, BLOCK = 16, RANGE = 5,
       SAMPLES = 1200, COLOURS = 16 };

typedef struct {
    uint8_t luma[SIZE], blue[SIZE / 4], red[SIZE / 4];
} Frame;

typedef struct {
    int8_t x, y; /* In half pixels. */
    uint16_t error;
} Motion;

static inline int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

/* --- Inverse cosine transform: even and odd half, factors in 2048ths. --- */

static inline void inverse(int32_t *out, const int32_t *in, int step, int shift) {
    int32_t a = (in[0] + in[4 * step]) * 1448, b = (in[0] - in[4 * step]) * 1448;
    int32_t c = in[2 * step] * 1892 + in[6 * step] * 784, d = in[2 * step] * 784 - in[6 * step] * 1892;
    int32_t e0 = a + c, e1 = b + d, e2 = b - d, e3 = a - c, round = 1 << (shift - 1);
    int32_t p = in[step], q = in[3 * step], r = in[5 * step], s = in[7 * step];
    int32_t o0 = p * 2009 + q * 1703 + r * 1138 + s * 400, o1 = p * 1703 - q * 400 - r * 2009 - s * 1138;
    int32_t o2 = p * 1138 - q * 2009 + r * 400 + s * 1703, o3 = p * 400 - q * 1138 + r * 1703 - s * 2009;
    out[0] = (e0 + o0 + round) >> shift, out[7 * step] = (e0 - o0 + round) >> shift;
    out[step] = (e1 + o1 + round) >> shift, out[6 * step] = (e1 - o1 + round) >> shift;
    out[2 * step] = (e2 + o2 + round) >> shift, out[5 * step] = (e2 - o2 + round) >> shift;
    out[3 * step] = (e3 + o3 + round) >> shift, out[4 * step] = (e3 - o3 + round) >> shift;
}

/* Adds what the coefficients say to the prediction. Rows of which only the first counts are flat. */
static void add_block(uint8_t *pixels, int stride, const int16_t *coefficients) {
    int32_t block[64];
    for (int y = 0; y < 8; y++) {
        int32_t row[8], any = 0;
        for (int x = 0; x < 8; x++)
            row[x] = coefficients[8 * y + x], any |= x ? row[x] : 0;
        if (any)
            inverse(block + 8 * y, row, 1, 9);
        else
            for (int x = 0; x < 8; x++)
                block[8 * y + x] = (row[0] * 1448 + 256) >> 9;
    }
    for (int x = 0; x < 8; x++)
        inverse(block + x, block + x, 8, 15);
    for (int i = 0; i < 64; i++) {
        uint8_t *pixel = pixels + (i >> 3) * stride + (i & 7);
        *pixel = (uint8_t)clamp(*pixel + block[i], 0, 255);
    }
}

/* --- Motion: the sum of absolute differences, given up as soon as it is too large. --- */

static uint32_t difference(const uint8_t *a, const uint8_t *b, uint32_t limit) {
    uint32_t sum = 0;
    for (int y = 0; y < BLOCK && sum < limit; y++, a += WIDTH, b += WIDTH)
        for (int x = 0; x < BLOCK; x++)
            sum += (uint32_t)abs(a[x] - b[x]);
    return sum;
}

/* A block at a place in half pixels: the mean of the one, two or four pixels around it. */
static void interpolate(uint8_t *out, const uint8_t *from, int half_x, int half_y) {
    for (int y = 0; y < BLOCK; y++, from += WIDTH, out += WIDTH)
        switch (half_y << 1 | half_x) {
        case 0: memcpy(out, from, BLOCK); break;
        case 1:
            for (int x = 0; x < BLOCK; x++)
                out[x] = (uint8_t)((from[x] + from[x + 1] + 1) >> 1);
            break;
        case 2:
            for (int x = 0; x < BLOCK; x++)
                out[x] = (uint8_t)((from[x] + from[x + WIDTH] + 1) >> 1);
            break;
        default:
            for (int x = 0; x < BLOCK; x++)
                out[x] = (uint8_t)((from[x] + from[x + 1] + from[x + WIDTH] + from[x + WIDTH + 1] + 2) >> 2);
        }
}

/* All whole steps, near rows first, then the half steps around the best one. */
static Motion search(const uint8_t *now, const uint8_t *before, int x, int y, uint8_t *predicted) {
    const uint8_t *block = now + y * WIDTH + x;
    uint32_t best = difference(block, before + y * WIDTH + x, UINT32_MAX);
    int best_x = 0, best_y = 0;
    for (int i = 1; i <= 2 * RANGE; i++) {
        int dy = i & 1 ? (i + 1) / 2 : -i / 2;
        if (y + dy < 0 || y + dy > HEIGHT - BLOCK)
            continue;
        for (int dx = -RANGE; dx <= RANGE; dx++) {
            if (x + dx < 0 || x + dx > WIDTH - BLOCK)
                continue;
            uint32_t sum = difference(block, before + (y + dy) * WIDTH + x + dx, best);
            if (sum < best)
                best = sum, best_x = dx, best_y = dy;
        }
    }
    Motion motion = {(int8_t)(2 * best_x), (int8_t)(2 * best_y), 0};
    for (int i = 0; i < 9; i++) {
        int hx = 2 * (x + best_x) + i % 3 - 1, hy = 2 * (y + best_y) + i / 3 - 1;
        uint8_t trial[BLOCK * WIDTH];
        if (hx < 0 || hy < 0 || hx > 2 * (WIDTH - BLOCK) - 1 || hy > 2 * (HEIGHT - BLOCK) - 1)
            continue;
        interpolate(trial, before + (hy >> 1) * WIDTH + (hx >> 1), hx & 1, hy & 1);
        uint32_t sum = difference(block, trial, best);
        if (sum < best)
            best = sum, motion.x = (int8_t)(hx - 2 * x), motion.y = (int8_t)(hy - 2 * y);
    }
    int hx = 2 * x + motion.x, hy = 2 * y + motion.y;
    interpolate(predicted + y * WIDTH + x, before + (hy >> 1) * WIDTH + (hx >> 1), hx & 1, hy & 1);
    motion.error = (uint16_t)best;
    return motion;
}

/* Smooths an edge between blocks where it is a small step between flat sides. */
static int deblock(uint8_t *edge, int across, int along, int count, int strength) {
    int changed = 0;
    for (; count--; edge += along) {
        int p1 = edge[-2 * across], p0 = edge[-across], q0 = edge[0], q1 = edge[across];
        if (abs(p0 - q0) >= 4 * strength || abs(p1 - p0) >= strength || abs(q1 - q0) >= strength)
            continue;
        int delta = clamp((4 * (q0 - p0) + p1 - q1 + 4) >> 3, -strength, strength);
        edge[-across] = (uint8_t)clamp(p0 + delta, 0, 255), edge[0] = (uint8_t)clamp(q0 - delta, 0, 255);
        changed += delta != 0;
    }
    return changed;
}

/* --- Colours --- */

static void to_rgb(uint32_t *pixels, const Frame *frame) {
    for (int y = 0; y < HEIGHT; y++) {
        const uint8_t *blue = frame->blue + y / 2 * (WIDTH / 2), *red = frame->red + y / 2 * (WIDTH / 2);
        for (int x = 0; x < WIDTH; x++) {
            int c = 298 * (frame->luma[y * WIDTH + x] - 16) + 128;
            int u = blue[x / 2] - 128, v = red[x / 2] - 128;
            uint32_t r = (uint32_t)clamp((c + 409 * v) >> 8, 0, 255);
            uint32_t g = (uint32_t)clamp((c - 100 * u - 208 * v) >> 8, 0, 255);
            *pixels++ = r << 16 | g << 8 | (uint32_t)clamp((c + 516 * u) >> 8, 0, 255);
        }
    }
}

typedef struct {
    int32_t r, g, b;
} Colour;

/* Each pixel gets the colour nearest to it, each colour then becomes the mean of its pixels. */
static uint32_t quantise(Colour *palette, uint8_t *indices, const uint32_t *pixels, int count) {
    struct {
        uint32_t r, g, b, count;
    } sums[COLOURS] = {0};
    uint32_t error = 0;
    for (int i = 0, last = 0; i < count; i++) {
        int r = (int)(pixels[i] >> 16), g = (int)(pixels[i] >> 8 & 255), b = (int)(pixels[i] & 255);
        uint32_t best = UINT32_MAX;
        for (int j = 0; j < COLOURS; j++) {
            const Colour *colour = &palette[j];
            int dg = colour->g - g, dr = colour->r - r, db = colour->b - b;
            uint32_t distance = (uint32_t)(4 * dg * dg);
            if (distance >= best || (distance += (uint32_t)(2 * dr * dr + 3 * db * db)) >= best)
                continue;
            best = distance, last = j;
        }
        indices[i] = (uint8_t)last, error += best >> 4;
        sums[last].r += (uint32_t)r, sums[last].g += (uint32_t)g, sums[last].b += (uint32_t)b;
        sums[last].count++;
    }
    for (int j = 0; j < COLOURS; j++)
        if (sums[j].count)
            palette[j] = (Colour){(int32_t)(sums[j].r / sums[j].count), (int32_t)(sums[j].g / sums[j].count),
                                  (int32_t)(sums[j].b / sums[j].count)};
    return error;
}

/* --- Sound --- */

static uint16_t steps[89];

typedef struct {
    int32_t value;
    int8_t index;
} Adaptive;

static int16_t decode_nibble(Adaptive *state, unsigned nibble) {
    static const int8_t moves[8] = {-1, -1, -1, -1, 2, 4, 6, 8};
    int step = steps[state->index], delta = step >> 3;
    delta += (nibble & 4 ? step : 0) + (nibble & 2 ? step >> 1 : 0) + (nibble & 1 ? step >> 2 : 0);
    state->value = clamp(state->value + (nibble & 8 ? -delta : delta), INT16_MIN, INT16_MAX);
    state->index = (int8_t)clamp(state->index + moves[nibble & 7], 0, 88);
    return (int16_t)state->value;
}

static void adpcm_encode(uint8_t *out, const int16_t *in, int count) {
    Adaptive state = {0};
    for (int i = 0; i < count; i++) {
        int rest = in[i] - state.value, step = steps[state.index];
        unsigned nibble = rest < 0 ? 8 : 0;
        rest = abs(rest);
        for (unsigned bit = 4; bit; bit >>= 1, step >>= 1)
            if (rest >= step)
                nibble |= bit, rest -= step;
        decode_nibble(&state, nibble);
        if (i & 1)
            out[i / 2] |= (uint8_t)(nibble << 4);
        else
            out[i / 2] = (uint8_t)nibble;
    }
}

static void adpcm_decode(int16_t *out, const uint8_t *in, int count) {
    Adaptive state = {0};
    for (int i = 0; i < count; i += 2, in++)
        out[i] = decode_nibble(&state, *in & 15), out[i + 1] = decode_nibble(&state, *in >> 4);
}

/* How strong one frequency is; the factor is twice the cosine of its angle by 16384. */
static uint64_t goertzel(const int16_t *in, int count, int32_t factor) {
    int64_t s1 = 0, s2 = 0;
    for (int i = 0; i < count; i++) {
        int64_t s0 = in[i] + (s1 * factor >> 14) - s2;
        s2 = s1, s1 = s0;
    }
    return (uint64_t)(s1 * s1 + s2 * s2 - (s1 * factor >> 14) * s2);
}

typedef struct {
    const int16_t *samples;
    uint32_t at, step; /* In 65536ths of a sample. */
    int32_t left, right, fade;
} Voice;

static int mix(int16_t *out, int count, Voice *voices, int many) {
    int clipped = 0;
    for (int i = 0; i < count; i++) {
        int32_t left = 0, right = 0;
        for (Voice *voice = voices; voice < voices + many; voice++) {
            const int16_t *sample = voice->samples + (voice->at >> 16);
            int32_t part = (int32_t)(voice->at >> 2 & 16383);
            int32_t value = sample[0] + (((sample[1] - sample[0]) * part) >> 14);
            left += value * (voice->left >> 8) >> 12, right += value * (voice->right >> 8) >> 12;
            voice->left -= voice->left >> voice->fade, voice->right -= voice->right >> voice->fade;
            voice->at += voice->step;
            if (voice->at >> 16 >= SAMPLES - 1)
                voice->at -= (uint32_t)(SAMPLES - 1) << 16;
        }
        out[2 * i] = (int16_t)clamp(left, INT16_MIN, INT16_MAX);
        out[2 * i + 1] = (int16_t)clamp(right, INT16_MIN, INT16_MAX);
        clipped += out[2 * i] != left || out[2 * i + 1] != right;
    }
    return clipped;
}

static void sound(Random *random, Digest *digest) {
    static int16_t wave[SAMPLES], again[SAMPLES], mixed[SAMPLES];
    static uint8_t packed[SAMPLES / 2];
    /* Twice the cosine of a quarter, a sixth, an eighth and a twelfth of a circle. */
    static const int32_t factors[4] = {0, 16384, 23170, 28378}, periods[4] = {4, 6, 8, 12};
    uint32_t tone = random_below(random, 4);
    int period = periods[tone], loud = 4000 + (int)random_below(random, 9000);
    for (int i = 0; i < SAMPLES; i++) {
        int phase = i % period * 4 * loud / period; /* A triangle. */
        phase = phase < 2 * loud ? phase - loud : 3 * loud - phase;
        wave[i] = (int16_t)(phase + (int)random_below(random, 400) - 200);
    }
    adpcm_encode(packed, wave, SAMPLES);
    adpcm_decode(again, packed, SAMPLES);
    int64_t error = 0;
    for (int i = 100; i < SAMPLES; i++)
        error += abs(wave[i] - again[i]);
    require(error / SAMPLES < loud / 3, "4 bits a sample");
    digest_bytes(digest, packed, sizeof packed), digest_u64(digest, (uint64_t)error);
    uint64_t powers[4];
    for (unsigned i = 0; i < 4; i++) {
        powers[i] = goertzel(again, SAMPLES, factors[i]);
        digest_u64(digest, powers[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        require(i == tone || powers[i] < powers[tone], "the tone is the loudest");
    Voice voices[4];
    for (int i = 0; i < 4; i++) {
        uint64_t bits = random_u64(random);
        voices[i] = (Voice){i & 1 ? wave : again, 0, 20000 + (uint32_t)(bits & 0xffff),
                            (int32_t)(bits >> 16 & 0xfffff), (int32_t)(bits >> 40 & 0xfffff), 9 + i};
    }
    digest_u64(digest, (uint32_t)mix(mixed, SAMPLES / 2, voices, 4));
    for (int i = 0; i < SAMPLES; i += 7)
        digest_u64(digest, (uint16_t)mixed[i]);
}

/* A frame that shows the one before moved by some half pixels, with light on it. */
static void move_frame(Frame *now, const Frame *before, int dx, int dy, Random *random) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int from_x = clamp(x + dx, 0, WIDTH - 2), from_y = clamp(y + dy, 0, HEIGHT - 1);
            const uint8_t *from = before->luma + from_y * WIDTH + from_x;
            now->luma[y * WIDTH + x] = (uint8_t)clamp(((from[0] + from[dx & 1]) >> 1) + x / 20 - 1, 0, 255);
        }
    memcpy(now->blue, before->blue, sizeof now->blue), memcpy(now->red, before->red, sizeof now->red);
    for (int i = 0; i < 40; i++)
        now->luma[random_below(random, SIZE)] ^= 64, now->blue[random_below(random, SIZE / 4)] ^= 48;
}

static void picture(Frame *now, const Frame *before, Random *random, Digest *digest) {
    static uint32_t pixels[SIZE];
    static uint8_t indices[SIZE];
    static Frame shown;
    Colour palette[COLOURS];
    int strength = 3 + (int)random_below(random, 8), changed = 0;
    shown = *now;
    for (int y = 0; y < HEIGHT; y += BLOCK)
        for (int x = 0; x < WIDTH; x += BLOCK) {
            Motion motion = search(now->luma, before->luma, x, y, shown.luma);
            uint32_t vector = (uint32_t)(uint8_t)motion.x << 8 | (uint8_t)motion.y;
            digest_u64(digest, vector << 16 | motion.error);
            const uint8_t *a = now->luma + y * WIDTH + x, *b = shown.luma + y * WIDTH + x;
            require(difference(a, b, UINT32_MAX) == motion.error, "error of a prediction");
        }
    for (int i = 0; i < SIZE / 64; i++) {
        int16_t coefficients[64] = {0};
        uint64_t bits = random_u64(random);
        coefficients[0] = (int16_t)((int)(bits & 127) - 64);
        for (int j = 0; j < 4; j++)
            coefficients[bits >> (8 + 6 * j) & 63] = (int16_t)((int)(bits >> (32 + 8 * j) & 63) - 32);
        add_block(shown.luma + i / (WIDTH / 8) * 8 * WIDTH + i % (WIDTH / 8) * 8, WIDTH, coefficients);
    }
    for (int x = 8; x < WIDTH; x += 8)
        changed += deblock(shown.luma + x, 1, WIDTH, HEIGHT, strength);
    for (int y = 8; y < HEIGHT; y += 8)
        changed += deblock(shown.luma + y * WIDTH, WIDTH, 1, WIDTH, strength);
    to_rgb(pixels, &shown);
    digest_u64(digest, (uint32_t)changed), digest_bytes(digest, shown.luma, SIZE / 8);
    for (int i = 0; i < COLOURS; i++) {
        uint32_t pixel = pixels[random_below(random, SIZE)];
        palette[i] = (Colour){(int)(pixel >> 16), (int)(pixel >> 8 & 255), (int)(pixel & 255)};
    }
    digest_u64(digest, quantise(palette, indices, pixels, SIZE / 4));
    digest_bytes(digest, indices, SIZE / 16);
}

int main(int argc, char **argv) {
    static Frame frames[2];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {19};
    Digest digest = {0};
    for (int i = 0; i < 89; i++) /* Each step is larger by a tenth. */
        steps[i] = (uint16_t)(i == 0 ? 7 : steps[i - 1] + steps[i - 1] / 10 + (i < 10));
    int16_t flat[64] = {80};
    uint8_t block[64] = {0};
    add_block(block, 8, flat);
    for (int i = 0; i < 64; i++)
        require(block[i] == 10, "a flat block");
    for (int i = 0; i < SIZE; i++) {
        int x = i % WIDTH, y = i / WIDTH, tile = (x / 7 * 37 ^ y / 5 * 59) & 127;
        frames[0].luma[i] = (uint8_t)(40 + tile + x), frames[0].blue[i / 4] = (uint8_t)(90 + i / 48);
        frames[0].red[i / 4] = (uint8_t)(160 - tile / 2);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        Frame *now = &frames[~round & 1], *before = &frames[round & 1];
        uint64_t bits = random_u64(&random);
        move_frame(now, before, (int)(bits & 7) - 4, (int)(bits >> 3 & 7) - 4, &random);
        picture(now, before, &random, &digest);
        for (int i = 0; i < 2; i++)
            sound(&random, &digest);
    }
    return digest_print(&digest);
}
