/* Dynamic programming: edit distance, longest common subsequence, knapsack, matrix chains, coin
 * change, shortest paths between all pairs. Nested loops over arrays with minima. */
#include "../common.h"

enum { STANDARD_ROUNDS = 50, LENGTH = 300, ITEMS = 60, CAPACITY = 1500, VERTICES = 48 };

static uint8_t a[LENGTH], b[LENGTH];
static uint16_t lcs[LENGTH + 1][LENGTH + 1];
static uint32_t row[2][LENGTH + 1];
static int32_t best[CAPACITY + 1], distance[VERTICES][VERTICES];
static uint32_t chain[40][40];

static uint32_t minimum(uint32_t x, uint32_t y) {
    return x < y ? x : y;
}

static uint32_t edit_distance(void) {
    for (uint32_t j = 0; j <= LENGTH; j++)
        row[0][j] = j;
    for (uint32_t i = 1; i <= LENGTH; i++) {
        uint32_t *above = row[(i - 1) & 1], *here = row[i & 1];
        here[0] = i;
        for (uint32_t j = 1; j <= LENGTH; j++)
            here[j] = minimum(minimum(above[j], here[j - 1]) + 1,
                              above[j - 1] + (a[i - 1] != b[j - 1]));
    }
    return row[LENGTH & 1][LENGTH];
}

static uint32_t common_subsequence(Digest *digest) {
    for (int i = 1; i <= LENGTH; i++)
        for (int j = 1; j <= LENGTH; j++) {
            if (a[i - 1] == b[j - 1])
                lcs[i][j] = lcs[i - 1][j - 1] + 1;
            else
                lcs[i][j] = lcs[i - 1][j] > lcs[i][j - 1] ? lcs[i - 1][j] : lcs[i][j - 1];
        }
    for (int i = LENGTH, j = LENGTH; i > 0 && j > 0;) {
        if (a[i - 1] == b[j - 1])
            digest_u64(digest, a[--i]), j--;
        else if (lcs[i - 1][j] >= lcs[i][j - 1])
            i--;
        else
            j--;
    }
    return lcs[LENGTH][LENGTH];
}

static int32_t knapsack(Random *random) {
    memset(best, 0, sizeof best);
    for (int item = 0; item < ITEMS; item++) {
        int32_t weight = 5 + (int32_t)random_below(random, 90);
        int32_t value = 1 + (int32_t)random_below(random, 1000);
        for (int32_t room = CAPACITY; room >= weight; room--)
            if (best[room - weight] + value > best[room])
                best[room] = best[room - weight] + value;
    }
    return best[CAPACITY];
}

static uint32_t matrix_chain(Random *random) {
    uint32_t sizes[41];
    for (int i = 0; i < 41; i++)
        sizes[i] = 1 + random_below(random, 50);
    for (int length = 1; length < 40; length++)
        for (int i = 0; i + length < 40; i++) {
            uint32_t least = UINT32_MAX;
            for (int k = i; k < i + length; k++)
                least = minimum(least, chain[i][k] + chain[k + 1][i + length] +
                                           sizes[i] * sizes[k + 1] * sizes[i + length + 1]);
            chain[i][i + length] = least;
        }
    return chain[0][39];
}

static int32_t all_pairs(Random *random) {
    int32_t longest = 0;
    for (int i = 0; i < VERTICES; i++)
        for (int j = 0; j < VERTICES; j++)
            distance[i][j] = i == j ? 0 : 1 + (int32_t)random_below(random, 1000);
    for (int k = 0; k < VERTICES; k++)
        for (int i = 0; i < VERTICES; i++)
            for (int j = 0; j < VERTICES; j++)
                if (distance[i][k] + distance[k][j] < distance[i][j])
                    distance[i][j] = distance[i][k] + distance[k][j];
    for (int i = 0; i < VERTICES; i++)
        for (int j = 0; j < VERTICES; j++)
            longest = distance[i][j] > longest ? distance[i][j] : longest;
    return longest;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {22};
    Digest digest = {0};
    while (rounds--) {
        for (int i = 0; i < LENGTH; i++)
            a[i] = (uint8_t)random_below(&random, 6), b[i] = (uint8_t)random_below(&random, 6);
        uint32_t edits = edit_distance(), common = common_subsequence(&digest);
        require(edits >= LENGTH - common, "edits and common letters");
        digest_u64(&digest, edits);
        digest_u64(&digest, common);
        digest_u64(&digest, (uint32_t)knapsack(&random));
        digest_u64(&digest, matrix_chain(&random));
        digest_u64(&digest, (uint32_t)all_pairs(&random));
    }
    return digest_print(&digest);
}
