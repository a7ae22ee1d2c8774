/* Text wrapping: greedy filling, justified lines, and the least sum of squared gaps; counts of words
 * in a hash table with chains. */
#include "../common.h"

enum { STANDARD_ROUNDS = 150, WORDS = 1500, WIDTH = 60, BUCKETS = 256 };

typedef struct {
    uint16_t start, length;
} Word;

typedef struct Entry {
    struct Entry *next;
    uint32_t count, length;
    char text[12];
} Entry;

static char text[WORDS * 12], line[WIDTH + 1];
static Word words[WORDS];
static Entry entries[WORDS], *buckets[BUCKETS];
static uint32_t cost[WORDS + 1], text_len;

static void make_text(Random *random) {
    uint32_t at = 0;
    for (int i = 0; i < WORDS; i++) {
        Random word = {random_below(random, 400)};
        uint32_t length = 1 + random_below(&word, 10);
        while (length--)
            text[at++] = (char)('a' + random_below(&word, 26));
        text[at++] = random_below(random, 8) ? ' ' : '\n';
    }
    text_len = at;
}

static int find_words(void) {
    int count = 0;
    for (uint32_t at = 0; at < text_len;) {
        while (at < text_len && (text[at] == ' ' || text[at] == '\n'))
            at++;
        uint32_t start = at;
        while (at < text_len && text[at] != ' ' && text[at] != '\n')
            at++;
        if (at > start)
            words[count++] = (Word){(uint16_t)start, (uint16_t)(at - start)};
    }
    return count;
}

static void justify(const Word *first, int count, uint32_t letters, Digest *digest) {
    uint32_t at = 0, gaps = (uint32_t)count - 1, spaces = WIDTH - letters;
    memset(line, ' ', WIDTH);
    for (int i = 0; i < count; i++) {
        memcpy(line + at, text + first[i].start, first[i].length);
        at += first[i].length;
        if (gaps > 0) {
            uint32_t share = spaces / gaps + (spaces % gaps != 0);
            at += share, spaces -= share, gaps--;
        }
    }
    digest_bytes(digest, (const uint8_t *)line, WIDTH);
}

static void fill(int count, Digest *digest) {
    int first = 0;
    uint32_t letters = 0;
    for (int i = 0; i < count; i++) {
        if (letters + words[i].length + (uint32_t)(i - first) > WIDTH) {
            justify(words + first, i - first, letters, digest);
            first = i, letters = 0;
        }
        letters += words[i].length;
    }
    justify(words + first, count - first, letters, digest);
}

static uint32_t best_fill(int count) {
    cost[count] = 0;
    for (int i = count; i-- > 0;) {
        uint32_t width = 0;
        cost[i] = UINT32_MAX;
        for (int j = i; j < count; j++) {
            width += words[j].length + (uint32_t)(j > i);
            if (width > WIDTH)
                break;
            uint32_t gap = j + 1 < count ? WIDTH - width : 0;
            if (gap * gap + cost[j + 1] < cost[i])
                cost[i] = gap * gap + cost[j + 1];
        }
    }
    return cost[0];
}

static void count_words(int count, Digest *digest) {
    uint32_t used = 0;
    memset(buckets, 0, sizeof buckets);
    for (int i = 0; i < count; i++) {
        const char *word = text + words[i].start;
        uint32_t hash = 5381, length = words[i].length;
        for (uint32_t k = 0; k < length; k++)
            hash = hash * 33 + (uint8_t)word[k];
        Entry **at = &buckets[hash % BUCKETS];
        while (*at && ((*at)->length != length || memcmp((*at)->text, word, length) != 0))
            at = &(*at)->next;
        if (*at == NULL) {
            *at = &entries[used++];
            **at = (Entry){NULL, 0, length, ""};
            memcpy((*at)->text, word, length);
        }
        (*at)->count++;
    }
    for (uint32_t i = 0; i < used; i++)
        digest_u64(digest, (uint64_t)entries[i].count << 32 | (uint8_t)entries[i].text[0]);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {25};
    Digest digest = {0};
    while (rounds--) {
        make_text(&random);
        int count = find_words();
        require(count == WORDS, "number of words");
        fill(count, &digest);
        digest_u64(&digest, best_fill(count));
        count_words(count, &digest);
    }
    return digest_print(&digest);
}
