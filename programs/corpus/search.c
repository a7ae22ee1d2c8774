/* Searching: ways across a grid with a heap, nearest points in a tree, who reaches whom by bit sets, flows,
 * pairs, words in bytes by five methods, suffixes in order, a small network, a tour shortened by chance. */
#include "../common.h"

enum { STANDARD_ROUNDS = 85, SIDE = 40, CELLS = SIDE * SIDE, POINTS = 256, NODES = 64, ARCS = 800,
       TEXT = 1500, WORDS = 6, STATES = 64, CITIES = 48, INPUTS = 24, HIDDEN = 20, CLASSES = 10 };

/* A* over a grid of costs; the heap holds estimate and cell in one number. */
typedef struct {
    uint32_t heap[4 * CELLS], distance[CELLS];
    uint32_t len, popped;
    uint8_t cost[CELLS];
} Grid;

static void push(Grid *grid, uint32_t value) {
    uint32_t at = grid->len++;
    for (; at > 0 && grid->heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        grid->heap[at] = grid->heap[(at - 1) / 2];
    grid->heap[at] = value;
}

static uint32_t pop(Grid *grid) {
    uint32_t least = grid->heap[0], last = grid->heap[--grid->len], at = 0, child;
    while ((child = 2 * at + 1) < grid->len) {
        child += child + 1 < grid->len && grid->heap[child + 1] < grid->heap[child];
        if (grid->heap[child] >= last)
            break;
        grid->heap[at] = grid->heap[child], at = child;
    }
    grid->heap[at] = last;
    return least;
}

static uint32_t find_way(Grid *grid, uint32_t from, uint32_t to, int guided) {
    static const int8_t steps[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    int goal_x = (int)to % SIDE, goal_y = (int)to / SIDE;
    memset(grid->distance, 0xff, sizeof grid->distance);
    grid->len = 0, grid->distance[from] = 0;
    for (push(grid, from); grid->len > 0; grid->popped++) {
        uint32_t cell = pop(grid) % 2048;
        if (cell == to)
            break;
        for (int i = 0; i < 4; i++) {
            int x = (int)cell % SIDE + steps[i][0], y = (int)cell / SIDE + steps[i][1];
            if (x < 0 || y < 0 || x >= SIDE || y >= SIDE)
                continue;
            uint32_t next = (uint32_t)(y * SIDE + x), distance = grid->distance[cell] + grid->cost[next];
            if (distance >= grid->distance[next])
                continue;
            int rest = (x < goal_x ? goal_x - x : x - goal_x) + (y < goal_y ? goal_y - y : y - goal_y);
            grid->distance[next] = distance;
            push(grid, (distance + (guided ? (uint32_t)rest : 0)) * 2048 + next);
        }
    }
    return grid->distance[to];
}

/* A k-d tree in place: the middle of a range divides it, by x and y in turn. */
typedef struct {
    float at[2];
} Place;

static void divide(Place *places, int len, int axis) {
    for (int low = 0, high = len - 1, middle = len / 2; low < high;) {
        float pivot = places[(low + high) / 2].at[axis];
        int i = low, j = high;
        while (i <= j) {
            while (places[i].at[axis] < pivot)
                i++;
            while (places[j].at[axis] > pivot)
                j--;
            if (i <= j) {
                Place swap = places[i];
                places[i++] = places[j], places[j--] = swap;
            }
        }
        if (middle <= j)
            high = j;
        else if (middle >= i)
            low = i;
        else
            break;
    }
    if (len > 2) {
        divide(places, len / 2, !axis);
        divide(places + len / 2 + 1, len - len / 2 - 1, !axis);
    }
}

static void nearest(const Place *places, int len, int axis, const float *from, float *best) {
    if (len == 0)
        return;
    const Place *middle = places + len / 2;
    float dx = middle->at[0] - from[0], dy = middle->at[1] - from[1], square = dx * dx + dy * dy;
    float side = from[axis] - middle->at[axis];
    *best = square < *best ? square : *best;
    int left = len / 2, right = len - len / 2 - 1;
    nearest(side < 0 ? places : middle + 1, side < 0 ? left : right, !axis, from, best);
    if (side * side < *best)
        nearest(side < 0 ? middle + 1 : places, side < 0 ? right : left, !axis, from, best);
}

static void neighbours(Random *random, Digest *digest) {
    static Place places[POINTS];
    for (int i = 0; i < POINTS; i++)
        for (int axis = 0; axis < 2; axis++)
            places[i].at[axis] = (float)random_below(random, 1 << 20) * 0x1p-20f;
    divide(places, POINTS, 0);
    for (int i = 0; i < 60; i++) {
        float from[2], best = 10, least = 10;
        from[0] = (float)random_below(random, 1 << 20) * 0x1p-20f;
        from[1] = (float)random_below(random, 1 << 20) * 0x1p-20f;
        nearest(places, POINTS, 0, from, &best);
        for (int k = 0; i % 16 == 0 && k < POINTS; k++) {
            float dx = places[k].at[0] - from[0], dy = places[k].at[1] - from[1];
            least = dx * dx + dy * dy < least ? dx * dx + dy * dy : least;
        }
        require(i % 16 != 0 || least == best, "the tree finds the nearest");
        digest_f32(digest, best);
    }
}

/* Flows by Dinic: arcs in pairs, each the other's way back. */
typedef struct {
    int32_t heads[NODES], at[NODES], level[NODES], next[ARCS], to[ARCS], left[ARCS], count;
} Network;

static void connect(Network *net, int32_t from, int32_t to, int32_t most) {
    for (int i = 0; i < 2; i++) {
        int32_t a = net->count++;
        net->to[a] = i ? from : to, net->left[a] = i ? 0 : most;
        net->next[a] = net->heads[i ? to : from], net->heads[i ? to : from] = a;
    }
}

static int levels(Network *net, int32_t source, int32_t sink) {
    int32_t queue[NODES], head = 0, tail = 0;
    memset(net->level, 0xff, sizeof net->level);
    for (net->level[source] = 0, queue[tail++] = source; head < tail; head++)
        for (int32_t a = net->heads[queue[head]]; a >= 0; a = net->next[a])
            if (net->left[a] > 0 && net->level[net->to[a]] < 0)
                net->level[net->to[a]] = net->level[queue[head]] + 1, queue[tail++] = net->to[a];
    return net->level[sink] >= 0;
}

static int32_t advance(Network *net, int32_t node, int32_t sink, int32_t most) {
    if (node == sink)
        return most;
    int32_t sent = 0;
    for (int32_t *a = &net->at[node]; *a >= 0 && sent < most; *a = net->next[*a]) {
        int32_t to = net->to[*a], rest = most - sent;
        if (net->left[*a] <= 0 || net->level[to] != net->level[node] + 1)
            continue;
        int32_t part = advance(net, to, sink, rest < net->left[*a] ? rest : net->left[*a]);
        net->left[*a] -= part, net->left[*a ^ 1] += part, sent += part;
        if (sent == most)
            break;
    }
    return sent;
}

static int32_t flow(Network *net, int32_t source, int32_t sink) {
    int32_t total = 0;
    while (levels(net, source, sink)) {
        memcpy(net->at, net->heads, sizeof net->at);
        total += advance(net, source, sink, INT32_MAX);
    }
    return total;
}

static int pair(const uint32_t *likes, int8_t *partner, int who, uint32_t *tried) {
    for (uint32_t rest; (rest = likes[who] & ~*tried) != 0;) {
        int other = __builtin_ctz(rest);
        *tried |= 1u << other;
        if (partner[other] < 0 || pair(likes, partner, partner[other], tried)) {
            partner[other] = (int8_t)who;
            return 1;
        }
    }
    return 0;
}

static void graphs(Random *random, Digest *digest) {
    static Network net;
    uint64_t reach[NODES] = {0};
    uint32_t likes[30] = {0};
    int8_t partner[32];
    net.count = 0, memset(net.heads, 0xff, sizeof net.heads);
    for (int i = 0; i < 160; i++) {
        uint32_t from = random_below(random, NODES), to = random_below(random, NODES);
        connect(&net, (int32_t)from, (int32_t)to, 1 + (int32_t)random_below(random, 50));
        if (i < 90)
            reach[from] |= (uint64_t)1 << to;
    }
    for (int k = 0; k < NODES; k++)
        for (int i = 0; i < NODES; i++)
            if (reach[i] >> k & 1)
                reach[i] |= reach[k];
    for (int i = 0; i < NODES; i += 5)
        digest_u64(digest, reach[i]);
    digest_u64(digest, (uint32_t)flow(&net, 0, NODES - 1));
    net.count = 0, memset(net.heads, 0xff, sizeof net.heads), memset(partner, 0xff, sizeof partner);
    for (int i = 0; i < 30; i++) {
        connect(&net, 62, i, 1), connect(&net, 30 + i, 63, 1);
        for (int k = 0; k < 3; k++) {
            uint32_t other = random_below(random, 30);
            if (!(likes[i] >> other & 1))
                likes[i] |= 1u << other, connect(&net, i, 30 + (int32_t)other, 1);
        }
    }
    int32_t pairs = 0;
    for (int i = 0; i < 30; i++) {
        uint32_t tried = 0;
        pairs += pair(likes, partner, i, &tried);
    }
    require(pairs == flow(&net, 62, 63), "as many pairs as the flow");
    digest_u64(digest, (uint32_t)pairs), digest_bytes(digest, (const uint8_t *)partner, 30);
}

/* Each of these counts the places where the word is. */
static uint32_t by_prefixes(const uint8_t *text, int len, const uint8_t *word, int size) {
    uint8_t border[16] = {0};
    uint32_t found = 0;
    for (int i = 1, k = 0; i < size; i++) {
        while (k > 0 && word[i] != word[k])
            k = border[k - 1];
        k += word[i] == word[k], border[i] = (uint8_t)k;
    }
    for (int i = 0, k = 0; i < len; i++) {
        while (k > 0 && (k == size || text[i] != word[k]))
            k = border[k - 1];
        k += text[i] == word[k], found += k == size;
    }
    return found;
}

static uint32_t by_skipping(const uint8_t *text, int len, const uint8_t *word, int size) {
    uint8_t skip[256];
    uint32_t found = 0;
    memset(skip, size, sizeof skip);
    for (int i = 0; i + 1 < size; i++)
        skip[word[i]] = (uint8_t)(size - 1 - i);
    for (int at = size - 1; at < len; at += skip[text[at]]) {
        int k = 0;
        while (k < size && text[at - k] == word[size - 1 - k])
            k++;
        found += k == size;
    }
    return found;
}

static uint32_t by_sums(const uint8_t *text, int len, const uint8_t *word, int size) {
    const uint32_t base = 257, prime = 1000003;
    uint32_t wanted = 0, sum = 0, most = 1, found = 0;
    for (int i = 0; i < size; i++) {
        wanted = (wanted * base + word[i]) % prime, sum = (sum * base + text[i]) % prime;
        most = i > 0 ? most * base % prime : 1;
    }
    for (int i = size;; i++) {
        found += sum == wanted && memcmp(text + i - size, word, (size_t)size) == 0;
        if (i == len)
            return found;
        sum = ((sum + prime - text[i - size] * most % prime) * base + text[i]) % prime;
    }
}

/* All words at once (Aho and Corasick), over an alphabet of four letters. */
static void all_words(const uint8_t *text, int len, uint8_t words[WORDS][16], const int *sizes,
                      uint32_t *found) {
    static uint8_t next[STATES][4], fail[STATES], ends[STATES];
    uint8_t queue[STATES];
    int states = 1, head = 0, tail = 0;
    memset(next, 0, sizeof next), memset(fail, 0, sizeof fail), memset(ends, 0, sizeof ends);
    for (int i = 0; i < WORDS; i++) {
        int state = 0;
        for (int k = 0; k < sizes[i]; k++) {
            uint8_t *to = &next[state][words[i][k] - 'a'];
            if (*to == 0)
                *to = (uint8_t)states++;
            state = *to;
        }
        ends[state] |= (uint8_t)(1 << i);
    }
    for (queue[tail++] = 0; head < tail; head++)
        for (int state = queue[head], letter = 0; letter < 4; letter++) {
            uint8_t to = next[state][letter], back = state ? next[fail[state]][letter] : 0;
            if (to == 0)
                next[state][letter] = back;
            else
                fail[to] = back, ends[to] |= ends[back], queue[tail++] = to;
        }
    for (int i = 0, state = 0; i < len; i++)
        for (unsigned bits = ends[state = next[state][text[i] - 'a']]; bits; bits &= bits - 1)
            found[__builtin_ctz(bits)]++;
}

/* Suffixes by doubling: each pass sorts by twice as many letters, with counts for the digits. */
static void sort_suffixes(const uint8_t *text, int len, uint16_t *order, uint16_t *rank) {
    static uint16_t counts[TEXT + 257], other[TEXT], fresh[TEXT];
    for (int i = 0; i < len; i++)
        rank[i] = text[i], other[i] = (uint16_t)i;
    for (int step = 0, classes = 256;; step = step ? 2 * step : 1) {
        int count = 0;
        for (int i = len - step; step && i < len; i++)
            other[count++] = (uint16_t)i; /* Those without a second half come first. */
        for (int i = 0; step && i < len; i++)
            if (order[i] >= step)
                other[count++] = (uint16_t)(order[i] - step);
        memset(counts, 0, sizeof counts);
        for (int i = 0; i < len; i++)
            counts[rank[i] + 1]++;
        for (int i = 1; i <= classes; i++)
            counts[i] = (uint16_t)(counts[i] + counts[i - 1]);
        for (int i = 0; i < len; i++)
            order[counts[rank[other[i]]]++] = other[i];
        fresh[order[0]] = 0, classes = 1;
        for (int i = 1; i < len; i++) {
            int a = order[i - 1], b = order[i];
            int second_a = a + step < len ? rank[a + step] : -1;
            int second_b = b + step < len ? rank[b + step] : -1;
            classes += rank[a] != rank[b] || (step && second_a != second_b);
            fresh[b] = (uint16_t)(classes - 1);
        }
        memcpy(rank, fresh, (size_t)len * sizeof *rank);
        if (classes == len)
            return;
    }
}

static uint32_t by_suffixes(const uint8_t *text, int len, const uint16_t *order, const uint8_t *word,
                            int size) {
    int bounds[2];
    for (int side = 0; side < 2; side++) {
        int low = 0, high = len;
        while (low < high) {
            int middle = (low + high) / 2, rest = len - order[middle], least = rest < size ? rest : size;
            int order_of = memcmp(text + order[middle], word, (size_t)least);
            order_of = order_of == 0 && rest < size ? -1 : order_of;
            if (order_of < 0 || (side && order_of == 0))
                low = middle + 1;
            else
                high = middle;
        }
        bounds[side] = low;
    }
    return (uint32_t)(bounds[1] - bounds[0]);
}

static void strings(Random *random, Digest *digest) {
    static uint8_t text[TEXT], words[WORDS][16];
    static uint16_t order[TEXT], rank[TEXT];
    uint32_t found[WORDS] = {0};
    int sizes[WORDS];
    for (int i = 0; i < TEXT; i++)
        text[i] = (uint8_t)("aaabbcd"[random_below(random, 7)]);
    sort_suffixes(text, TEXT, order, rank);
    for (int i = 0; i < WORDS; i++) {
        sizes[i] = 3 + (int)random_below(random, 6);
        memcpy(words[i], text + random_below(random, TEXT - 16), 16);
    }
    all_words(text, TEXT, words, sizes, found);
    for (int i = 0; i < WORDS; i++) {
        const uint8_t *word = words[i];
        require(found[i] > 0 && found[i] == by_prefixes(text, TEXT, word, sizes[i])
                    && found[i] == by_skipping(text, TEXT, word, sizes[i])
                    && found[i] == by_sums(text, TEXT, word, sizes[i])
                    && found[i] == by_suffixes(text, TEXT, order, word, sizes[i]), "all find the same");
        digest_u64(digest, (uint64_t)found[i] << 32 | order[i * 100]);
    }
}

static void layer(const float *weights, const float *in, float *out, int outs, int ins) {
    for (int i = 0; i < outs; i++, weights += ins + 1) {
        float sum = weights[ins];
        for (int k = 0; k < ins; k++)
            sum += weights[k] * in[k];
        out[i] = sum > 0 ? sum : sum * 0.125f;
    }
}

static void classify(const float *first, const float *second, Random *random, Digest *digest) {
    float in[INPUTS], hidden[HIDDEN], out[CLASSES];
    int best = 0;
    for (int i = 0; i < INPUTS; i++)
        in[i] = (float)random_below(random, 4096) * 0x1p-11f - 1;
    layer(first, in, hidden, HIDDEN, INPUTS), layer(second, hidden, out, CLASSES, HIDDEN);
    for (int i = 1; i < CLASSES; i++)
        best = out[i] > out[best] ? i : best;
    digest_u64(digest, (uint32_t)best), digest_f32(digest, out[best]);
}

/* Stretches of a tour are turned around: when that shortens it, or by chance while it is warm. */
static void anneal(Random *random, Digest *digest) {
    int32_t far[CITIES][CITIES], x[CITIES], y[CITIES], length = 0, first;
    uint8_t tour[CITIES];
    for (int i = 0; i < CITIES; i++) {
        x[i] = (int32_t)random_below(random, 1000), y[i] = (int32_t)random_below(random, 1000);
        tour[i] = (uint8_t)i;
        for (int k = 0; k <= i; k++)
            far[i][k] = far[k][i] = abs(x[i] - x[k]) + abs(y[i] - y[k]);
    }
    for (int i = 0; i < CITIES; i++)
        length += far[i][(i + 1) % CITIES];
    first = length;
    for (int32_t step = 0, warm = 4000; step < 2500; step++, warm -= warm >> 9) {
        uint32_t i = 1 + random_below(random, CITIES - 2), k = i + random_below(random, CITIES - 1 - i);
        int32_t a = tour[i - 1], b = tour[i], c = tour[k], d = tour[(k + 1) % CITIES];
        int32_t change = far[a][c] + far[b][d] - far[a][b] - far[c][d];
        if (change > 0 && (uint32_t)change * 16 > random_below(random, (uint32_t)warm))
            continue;
        for (length += change; i < k; i++, k--) {
            uint8_t swap = tour[i];
            tour[i] = tour[k], tour[k] = swap;
        }
    }
    for (int i = 0; i < CITIES; i++)
        first -= far[tour[i]][tour[(i + 1) % CITIES]], length -= far[tour[i]][tour[(i + 1) % CITIES]];
    require(length == 0 && first > 0, "the length was kept up, the tour is shorter");
    digest_u64(digest, (uint32_t)first), digest_bytes(digest, tour, sizeof tour);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    static Grid grid;
    static float first[HIDDEN * (INPUTS + 1)], second[CLASSES * (HIDDEN + 1)];
    Random random = {83};
    Digest digest = {0};
    for (int i = 0; i < HIDDEN * (INPUTS + 1); i++)
        first[i] = (float)random_below(&random, 4096) * 0x1p-12f - 0.5f;
    for (int i = 0; i < CLASSES * (HIDDEN + 1); i++)
        second[i] = (float)random_below(&random, 4096) * 0x1p-12f - 0.5f;
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < CELLS; i++)
            grid.cost[i] = (uint8_t)(random_below(&random, 4) == 0 ? 20 : 1 + random_below(&random, 3));
        uint32_t from = random_below(&random, SIDE), to = CELLS - 1 - random_below(&random, SIDE);
        uint32_t distance = find_way(&grid, from, to, 1);
        require(round % 4 != 0 || distance == find_way(&grid, from, to, 0), "a guide finds the shortest");
        digest_u64(&digest, (uint64_t)distance << 32 | grid.popped);
        for (int i = 0; i < 3; i++)
            neighbours(&random, &digest), graphs(&random, &digest);
        strings(&random, &digest);
        for (int i = 0; i < 30; i++)
            classify(first, second, &random, &digest);
        anneal(&random, &digest);
    }
    return digest_print(&digest);
}
