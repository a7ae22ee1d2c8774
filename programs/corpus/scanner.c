/* State machines byte by byte: tokens of a small language, numbers checked by a table of states, and
 * a protocol of frames with escapes and lengths. */
#include "../common.h"

enum { STANDARD_ROUNDS = 450, BYTES = 6000 };

typedef enum { START, WORD, ZERO, DECIMAL, POINT, FRACTION, EXPONENT, POWER, TEXT, ESCAPE, NOTE, BAD, STATES } State;

static char source[BYTES + 1];
static uint32_t seen[STATES], moves[STATES];

static void write_source(Random *random) {
    static const char *const pieces[] = {"alpha", "x1", "0", "17", "3.25", "6e+7", "1.e", "\"text\\n\"",
                                         "# note\n", "(", ")", "+=", "..", "beta_2", "99999", " ", "\n", "4E5x"};
    int at = 0;
    while (at < BYTES - 12) {
        for (const char *piece = pieces[random_below(random, 18)]; *piece; piece++)
            source[at++] = *piece;
        source[at++] = random_below(random, 8) ? ' ' : ',';
    }
    source[at] = '\0';
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Runs to the end of one token; returns the state that it ended in. */
static State token(const char **from) {
    const char *at = *from;
    State state = START;
    for (; *at; at++) {
        char c = *at;
        State before = state;
        if ((c == ' ' || c == ',' || c == '\n') && state != TEXT && state != NOTE)
            break;
        switch (state) {
        case START:
            if (is_letter(c))
                state = WORD;
            else if (c == '0')
                state = ZERO;
            else if (is_digit(c))
                state = DECIMAL;
            else if (c == '"')
                state = TEXT;
            else if (c == '#')
                state = NOTE;
            else if (c == '.')
                state = POINT;
            else
                state = BAD;
            break;
        case WORD:
            if (!is_letter(c) && !is_digit(c))
                state = BAD;
            break;
        case ZERO:
        case DECIMAL:
            if (c == '.')
                state = POINT;
            else if (c == 'e' || c == 'E')
                state = EXPONENT;
            else if (state == ZERO || !is_digit(c))
                state = BAD;
            break;
        case POINT:
            state = is_digit(c) ? FRACTION : BAD;
            break;
        case FRACTION:
            if (c == 'e' || c == 'E')
                state = EXPONENT;
            else if (!is_digit(c))
                state = BAD;
            break;
        case EXPONENT:
            state = c == '+' || c == '-' || is_digit(c) ? POWER : BAD;
            break;
        case POWER:
            if (!is_digit(c))
                state = BAD;
            break;
        case TEXT:
            state = c == '\\' ? ESCAPE : c == '"' ? START : TEXT;
            break;
        case ESCAPE:
            state = TEXT;
            break;
        case NOTE:
            if (c == '\n')
                state = START;
            break;
        default:
            break;
        }
        if (state != before)
            moves[before]++;
    }
    while (*at == ' ' || *at == ',' || *at == '\n')
        at++;
    *from = at;
    return state;
}

/* The same numbers by a table: classes of bytes in columns, states in rows. */
static int numbers(void) {
    static const uint8_t next[6][6] = {{2, 0, 1, 0, 0, 0}, {2, 3, 0, 4, 0, 0}, {2, 3, 0, 4, 0, 0},
                                       {3, 0, 0, 4, 0, 0}, {5, 0, 5, 0, 0, 0}, {5, 0, 0, 0, 0, 0}};
    uint8_t class[128];
    for (int c = 0; c < 128; c++)
        class[c] = (uint8_t)(c >= '0' && c <= '9' ? 0 : c == '.' ? 1 : c == '+' || c == '-' ? 2 : (c | 32) == 'e' ? 3 : 4);
    int state = 0, count = 0;
    for (const char *at = source; *at; at++) {
        int now = next[state][class[*at & 127]];
        count += state != 0 && now == 0;
        state = now;
    }
    return count;
}

/* Frames: 0x7e begins and ends, 0x7d escapes, two bytes of length, a sum. */
static uint32_t frames(const uint8_t *bytes, int count) {
    uint32_t good = 0, sum = 0;
    int state = 0, length = 0, escaped = 0;
    for (int i = 0; i < count; i++) {
        uint8_t byte = bytes[i];
        if (byte == 0x7e) {
            good += state == 3 && length == 0 ? 1 + (sum & 0xff) : 0;
            state = 1, length = 0, sum = 0, escaped = 0;
            continue;
        }
        if (byte == 0x7d) {
            escaped = 1;
            continue;
        }
        if (escaped) {
            byte ^= 0x20;
            escaped = 0;
        }
        switch (state) {
        case 1:
            length = byte & 0x1f;
            state = 2;
            break;
        case 2:
            length += byte >> 6;
            state = 3;
            break;
        case 3:
            if (length > 0) {
                length--;
                sum += byte;
            } else {
                state = 0;
            }
            break;
        }
    }
    return good;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    static uint8_t stream[BYTES];
    Random random = {41};
    Digest digest = {0};
    random_bytes(&random, stream, BYTES);
    for (int i = 0; i + 12 < BYTES; i += 5 + stream[i] % 8)
        stream[i] = 0x7e;
    for (uint32_t round = 0; round < rounds; round++) {
        if (round % 8 == 0)
            write_source(&random);
        memset(seen, 0, sizeof seen);
        memset(moves, 0, sizeof moves);
        for (const char *at = source; *at;)
            seen[token(&at)]++;
        for (int state = 0; state < STATES; state++)
            digest_u64(&digest, (uint64_t)seen[state] << 32 | moves[state]);
        digest_u64(&digest, (uint32_t)numbers());
        stream[round % BYTES] ^= 0x11;
        digest_u64(&digest, frames(stream, BYTES));
    }
    return digest_print(&digest);
}
