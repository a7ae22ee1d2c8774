/* Kernels for which vectors of 128 bits were made: an image blended and blurred, dot products of
 * 16-bit integers, a search for bytes, a filter of sound in f32, and the escape times of the
 * Mandelbrot set.
 *
 * The source is built twice: as `simd` with -msimd128, where each kernel is written in intrinsics,
 * and as `simd-scalar` without, where it is the plain loop. The first checks itself against the
 * second. Both print the same digest: every float is computed by the same operations in the same
 * order. */
#include "common.h"

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

enum {
    STANDARD_ROUNDS = 700,
    WIDTH = 128,
    HEIGHT = 48,
    PIXELS = WIDTH * HEIGHT,
    ROWS = 24,
    COLUMNS = 256,
    TEXT = 16384,
    TAPS = 24,
    SAMPLES = 1024,
    SQUARE = 32,
    MAX_STEPS = 40
};

/* Four bytes a pixel: red, green, blue, alpha. */
typedef struct {
    uint8_t bytes[4 * PIXELS];
} Image;

/* x / 255, rounded, for x up to 255 * 255. */
static uint32_t divide_255(uint32_t x) {
    x += 128;
    return (x + (x >> 8)) >> 8;
}

/* `over` is laid over `under` as its alpha says. */
static void blend_scalar(Image *under, const Image *over) {
    for (int i = 0; i < 4 * PIXELS; i++) {
        uint32_t alpha = over->bytes[i | 3];
        uint32_t sum = over->bytes[i] * alpha + under->bytes[i] * (255 - alpha);
        under->bytes[i] = (uint8_t)divide_255(sum);
    }
}

static uint8_t average(uint8_t a, uint8_t b) {
    return (uint8_t)((a + b + 1) >> 1);
}

/* Each byte with its neighbours of the same colour to the left and right, then below and above. */
static void blur_scalar(Image *out, const Image *in) {
    for (int i = 4; i < 4 * PIXELS - 4; i++)
        out->bytes[i] = average(average(in->bytes[i - 4], in->bytes[i + 4]), in->bytes[i]);
    for (int i = 4 * WIDTH; i < 4 * PIXELS - 4 * WIDTH; i++)
        out->bytes[i] = average(average(in->bytes[i - 4 * WIDTH], in->bytes[i + 4 * WIDTH]),
                                out->bytes[i]);
}

/* Sums of products, modulo 2 to the 32nd, one for each row. */
static void dot_scalar(uint32_t out[ROWS], const int16_t rows[ROWS][COLUMNS],
                       const int16_t vector[COLUMNS]) {
    for (int row = 0; row < ROWS; row++) {
        uint32_t sum = 0;
        for (int i = 0; i < COLUMNS; i++)
            sum += (uint32_t)(rows[row][i] * vector[i]);
        out[row] = sum;
    }
}

/* How often a byte is followed by another, and the sum of the places. */
static uint64_t search_scalar(const uint8_t text[TEXT], uint8_t first, uint8_t second) {
    uint64_t found = 0;
    for (uint32_t i = 0; i + 1 < TEXT; i++)
        if (text[i] == first && text[i + 1] == second)
            found += (1u << 20) + i;
    return found;
}

/* A finite impulse response: samples are read from TAPS - 1 before the first one that is made. */
static void filter_scalar(int16_t out[SAMPLES], const int16_t in[SAMPLES + TAPS],
                          const float taps[TAPS]) {
    for (int i = 0; i < SAMPLES; i++) {
        float sum = 0;
        for (int tap = 0; tap < TAPS; tap++)
            sum += taps[tap] * (float)in[i + tap];
        if (!(sum > -32768.0f))
            sum = -32768.0f;
        if (!(sum < 32767.0f))
            sum = 32767.0f;
        out[i] = (int16_t)sum;
    }
}

/* After how many steps the points of a square leave the circle of radius 2. */
static void escape_scalar(int32_t out[SQUARE * SQUARE], float left, float top, float step) {
    for (int row = 0; row < SQUARE; row++)
        for (int column = 0; column < SQUARE; column++) {
            float cx = left + (float)column * step, cy = top + (float)row * step;
            float x = 0, y = 0;
            int32_t steps = 0;
            for (; steps < MAX_STEPS; steps++) {
                float xx = x * x, yy = y * y;
                if (!(xx + yy < 4.0f))
                    break;
                y = (x * y) * 2.0f + cy;
                x = (xx - yy) + cx;
            }
            out[row * SQUARE + column] = steps;
        }
}

#ifdef __wasm_simd128__

static v128_t blend_half(v128_t over, v128_t under, v128_t alpha) {
    v128_t rest = wasm_i16x8_sub(wasm_i16x8_splat(255), alpha);
    v128_t sum = wasm_i16x8_add(wasm_i16x8_mul(over, alpha), wasm_i16x8_mul(under, rest));
    sum = wasm_i16x8_add(sum, wasm_i16x8_splat(128));
    return wasm_u16x8_shr(wasm_i16x8_add(sum, wasm_u16x8_shr(sum, 8)), 8);
}

static void blend(Image *under, const Image *over) {
    for (int i = 0; i < 4 * PIXELS; i += 16) {
        v128_t a = wasm_v128_load(over->bytes + i);
        v128_t b = wasm_v128_load(under->bytes + i);
        v128_t alpha =
            wasm_i8x16_shuffle(a, a, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15);
        v128_t low = blend_half(wasm_u16x8_extend_low_u8x16(a), wasm_u16x8_extend_low_u8x16(b),
                                wasm_u16x8_extend_low_u8x16(alpha));
        v128_t high = blend_half(wasm_u16x8_extend_high_u8x16(a), wasm_u16x8_extend_high_u8x16(b),
                                 wasm_u16x8_extend_high_u8x16(alpha));
        wasm_v128_store(under->bytes + i, wasm_u8x16_narrow_i16x8(low, high));
    }
}

static void blur(Image *out, const Image *in) {
    int i = 4;
    for (; i + 16 <= 4 * PIXELS - 4; i += 16) {
        v128_t sides = wasm_u8x16_avgr(wasm_v128_load(in->bytes + i - 4),
                                       wasm_v128_load(in->bytes + i + 4));
        wasm_v128_store(out->bytes + i, wasm_u8x16_avgr(sides, wasm_v128_load(in->bytes + i)));
    }
    for (; i < 4 * PIXELS - 4; i++)
        out->bytes[i] = average(average(in->bytes[i - 4], in->bytes[i + 4]), in->bytes[i]);
    for (i = 4 * WIDTH; i < 4 * PIXELS - 4 * WIDTH; i += 16) {
        v128_t sides = wasm_u8x16_avgr(wasm_v128_load(in->bytes + i - 4 * WIDTH),
                                       wasm_v128_load(in->bytes + i + 4 * WIDTH));
        wasm_v128_store(out->bytes + i, wasm_u8x16_avgr(sides, wasm_v128_load(out->bytes + i)));
    }
}

static void dot(uint32_t out[ROWS], const int16_t rows[ROWS][COLUMNS],
                const int16_t vector[COLUMNS]) {
    for (int row = 0; row < ROWS; row++) {
        v128_t sum = wasm_i32x4_splat(0);
        for (int i = 0; i < COLUMNS; i += 8)
            sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_v128_load(rows[row] + i),
                                                           wasm_v128_load(vector + i)));
        out[row] = (uint32_t)wasm_i32x4_extract_lane(sum, 0) +
                   (uint32_t)wasm_i32x4_extract_lane(sum, 1) +
                   (uint32_t)wasm_i32x4_extract_lane(sum, 2) +
                   (uint32_t)wasm_i32x4_extract_lane(sum, 3);
    }
}

static uint64_t search(const uint8_t text[TEXT], uint8_t first, uint8_t second) {
    v128_t firsts = wasm_i8x16_splat((int8_t)first), seconds = wasm_i8x16_splat((int8_t)second);
    uint64_t found = 0;
    uint32_t i = 0;
    for (; i + 17 <= TEXT; i += 16) {
        v128_t both = wasm_v128_and(wasm_i8x16_eq(wasm_v128_load(text + i), firsts),
                                    wasm_i8x16_eq(wasm_v128_load(text + i + 1), seconds));
        for (uint32_t mask = wasm_i8x16_bitmask(both); mask != 0; mask &= mask - 1)
            found += (1u << 20) + i + (uint32_t)__builtin_ctz(mask);
    }
    for (; i + 1 < TEXT; i++)
        if (text[i] == first && text[i + 1] == second)
            found += (1u << 20) + i;
    return found;
}

static void filter(int16_t out[SAMPLES], const int16_t in[SAMPLES + TAPS], const float taps[TAPS]) {
    for (int i = 0; i < SAMPLES; i += 8) {
        v128_t low = wasm_f32x4_splat(0), high = low;
        for (int tap = 0; tap < TAPS; tap++) {
            v128_t factor = wasm_v128_load32_splat(taps + tap);
            v128_t samples = wasm_v128_load(in + i + tap);
            v128_t a = wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(samples));
            v128_t b = wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(samples));
            low = wasm_f32x4_add(low, wasm_f32x4_mul(factor, a));
            high = wasm_f32x4_add(high, wasm_f32x4_mul(factor, b));
        }
        wasm_v128_store(out + i, wasm_i16x8_narrow_i32x4(wasm_i32x4_trunc_sat_f32x4(low),
                                                         wasm_i32x4_trunc_sat_f32x4(high)));
    }
}

static void escape(int32_t out[SQUARE * SQUARE], float left, float top, float step) {
    v128_t columns = wasm_f32x4_make(0, 1, 2, 3), steps = wasm_f32x4_splat(step);
    for (int row = 0; row < SQUARE; row++) {
        v128_t cy = wasm_f32x4_splat(top + (float)row * step);
        for (int column = 0; column < SQUARE; column += 4) {
            v128_t at = wasm_f32x4_add(wasm_f32x4_splat((float)column), columns);
            v128_t cx = wasm_f32x4_add(wasm_f32x4_splat(left), wasm_f32x4_mul(at, steps));
            v128_t x = wasm_f32x4_splat(0), y = x;
            v128_t inside = wasm_i32x4_splat(-1), count = wasm_i32x4_splat(0);
            for (int n = 0; n < MAX_STEPS; n++) {
                v128_t xx = wasm_f32x4_mul(x, x), yy = wasm_f32x4_mul(y, y);
                v128_t near = wasm_f32x4_lt(wasm_f32x4_add(xx, yy), wasm_f32x4_splat(4));
                inside = wasm_v128_and(inside, near);
                if (!wasm_v128_any_true(inside))
                    break;
                count = wasm_i32x4_sub(count, inside);
                y = wasm_f32x4_add(
                    wasm_f32x4_mul(wasm_f32x4_mul(x, y), wasm_f32x4_splat(2)), cy);
                x = wasm_f32x4_add(wasm_f32x4_sub(xx, yy), cx);
            }
            wasm_v128_store(out + row * SQUARE + column, count);
        }
    }
}

#else

#define blend blend_scalar
#define blur blur_scalar
#define dot dot_scalar
#define search search_scalar
#define filter filter_scalar
#define escape escape_scalar

#endif

static Image image, overlay, blurred, expected_image;
static int16_t weights[ROWS][COLUMNS], sound[SAMPLES + TAPS], filtered[SAMPLES];
static int16_t expected_samples[SAMPLES];
static uint8_t text[TEXT];
static float taps[TAPS];
static uint32_t sums[ROWS], expected_sums[ROWS];
static int32_t escapes[SQUARE * SQUARE], expected_escapes[SQUARE * SQUARE];

static void generate(Random *random) {
    random_bytes(random, image.bytes, sizeof image.bytes);
    random_bytes(random, overlay.bytes, sizeof overlay.bytes);
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < COLUMNS; i++)
            weights[row][i] = (int16_t)random_u64(random);
    for (int i = 0; i < SAMPLES + TAPS; i++)
        sound[i] = (int16_t)random_u64(random);
    for (int i = 0; i < TEXT; i++)
        text[i] = (uint8_t)('a' + random_below(random, 26));
    /* Together more than 1, so that some sums are beyond the range of samples. */
    for (int tap = 0; tap < TAPS; tap++)
        taps[tap] = (float)((int32_t)random_below(random, 4096) - 1536) / 8192.0f;
}

/* The kernels against the plain loops, on the data of the first round. */
static void check(void) {
    expected_image = image;
    Image under = image;
    blend_scalar(&expected_image, &overlay);
    blend(&under, &overlay);
    require(memcmp(&under, &expected_image, sizeof under) == 0, "blending");
    memset(&expected_image, 0, sizeof expected_image);
    memset(&under, 0, sizeof under);
    blur_scalar(&expected_image, &image);
    blur(&under, &image);
    require(memcmp(&under, &expected_image, sizeof under) == 0, "blurring");
    dot_scalar(expected_sums, weights, sound);
    dot(sums, weights, sound);
    require(memcmp(sums, expected_sums, sizeof sums) == 0, "dot products");
    require(search(text, 'e', 'n') == search_scalar(text, 'e', 'n'), "the search");
    filter_scalar(expected_samples, sound, taps);
    filter(filtered, sound, taps);
    require(memcmp(filtered, expected_samples, sizeof filtered) == 0, "the filter");
    escape_scalar(expected_escapes, -2.0f, -1.25f, 0.078125f);
    escape(escapes, -2.0f, -1.25f, 0.078125f);
    require(memcmp(escapes, expected_escapes, sizeof escapes) == 0, "escape times");
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {2026};
    Digest digest = {0};
    generate(&random);
    check();
    for (uint32_t round = 0; round < rounds; round++) {
        blend(&image, &overlay);
        blur(&blurred, &image);
        dot(sums, weights, sound + round % TAPS);
        uint8_t first = (uint8_t)('a' + random_below(&random, 26));
        uint64_t found = search(text, first, (uint8_t)('a' + random_below(&random, 26)));
        filter(filtered, sound, taps);
        float step = 0.078125f / (float)(1 + round % 8);
        escape(escapes, -2.0f + (float)(round % 5) * 0.25f, -1.25f, step);

        /* Samples of the results, so that the digest is not most of the work. */
        digest_bytes(&digest, blurred.bytes + 64 * (round % 64), 256);
        for (int row = 0; row < ROWS; row++)
            digest_u64(&digest, sums[row]);
        digest_u64(&digest, found);
        for (int i = 0; i < 64; i++)
            digest_u64(&digest, (uint64_t)(uint16_t)filtered[(i * 16 + round) % SAMPLES] << 32 |
                                    (uint32_t)escapes[(i * 16 + round) % (SQUARE * SQUARE)]);

        /* Other data for the next round. */
        uint8_t *row = overlay.bytes + 4 * WIDTH * (round % HEIGHT);
        for (int i = 0; i < 4 * WIDTH; i += 4)
            row[i + 3] = (uint8_t)(row[i + 3] * 5 + 1);
        sound[round % SAMPLES] = (int16_t)random_u64(&random);
        text[random_below(&random, TEXT)] = first;
    }
    return digest_print(&digest);
}
