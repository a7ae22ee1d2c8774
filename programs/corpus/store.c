/* What a database stores its records in: a B+tree in pages of bytes, a hash table with open addressing
 * and tombstones, a skip list, sorted runs that a heap merges, each with a Bloom filter. */
#include "../common.h"

enum { STANDARD_ROUNDS = 110, PAGE = 512, PAGES = 160, KEYS = 500, SLOTS = 2048, LEVELS = 8, RUNS = 8,
       BATCH = 96, FILTER = 1024 };

/* A page holds offsets of cells in the order of keys; the cells grow down from its end. A cell is the
 * length of its key, the key, and four bytes of a value (in a leaf) or two of a page's number. */
typedef union {
    struct {
        uint16_t count, top, link, leaf;
        uint16_t slots[PAGE / 2 - 4];
    } head;
    uint8_t bytes[PAGE];
} Page;

typedef struct {
    Page pages[PAGES];
    uint32_t used, root, depth;
} Tree;

static uint32_t cell_size(const Page *page, const uint8_t *cell) {
    return 1u + cell[0] + (page->head.leaf ? 4 : 2);
}

static uint32_t page_new(Tree *tree, int leaf, uint32_t link) {
    require(tree->used < PAGES, "a page is left");
    Page *page = &tree->pages[tree->used];
    page->head.count = 0, page->head.top = PAGE;
    page->head.leaf = (uint16_t)leaf, page->head.link = (uint16_t)link;
    return tree->used++;
}

static int compare_keys(const uint8_t *a, const uint8_t *b) {
    uint32_t common = a[0] < b[0] ? a[0] : b[0];
    for (uint32_t i = 1; i <= common; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return a[0] - b[0];
}

/* The first cell whose key is not less. */
static uint32_t page_search(const Page *page, const uint8_t *key, int *found) {
    uint32_t low = 0, high = page->head.count;
    *found = 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare_keys(page->bytes + page->head.slots[middle], key);
        if (order == 0) {
            *found = 1;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Moves the cells together after some were removed. */
static void page_compact(Page *page) {
    Page old = *page;
    uint32_t top = PAGE;
    for (uint32_t i = 0; i < old.head.count; i++) {
        const uint8_t *cell = old.bytes + old.head.slots[i];
        uint32_t size = cell_size(&old, cell);
        top -= size;
        memcpy(page->bytes + top, cell, size);
        page->head.slots[i] = (uint16_t)top;
    }
    page->head.top = (uint16_t)top;
}

static int page_put(Page *page, uint32_t at, const uint8_t *cell) {
    uint32_t size = cell_size(page, cell), need = 8 + 2 * (page->head.count + 1u) + size;
    if (page->head.top < need)
        page_compact(page);
    if (page->head.top < need)
        return 0;
    page->head.top = (uint16_t)(page->head.top - size);
    memcpy(page->bytes + page->head.top, cell, size);
    for (uint32_t i = page->head.count++; i > at; i--)
        page->head.slots[i] = page->head.slots[i - 1];
    page->head.slots[at] = page->head.top;
    return 1;
}

static uint32_t page_child(const Page *page, uint32_t at) {
    if (at == 0)
        return page->head.link;
    const uint8_t *cell = page->bytes + page->head.slots[at - 1];
    return cell[1 + cell[0]] | (uint32_t)cell[2 + cell[0]] << 8;
}

/* Makes room by moving the upper half to a new page, whose least key is written to `up`. */
static void page_split(Tree *tree, uint32_t number, const uint8_t *cell, uint8_t *up) {
    Page *page = &tree->pages[number];
    uint32_t other = page_new(tree, page->head.leaf, page->head.link), half = page->head.count / 2u;
    Page *right = &tree->pages[other];
    const uint8_t *middle = page->bytes + page->head.slots[half];
    memcpy(up, middle, 1u + middle[0]);
    if (page->head.leaf)
        page->head.link = (uint16_t)other;
    else
        right->head.link = (uint16_t)page_child(page, half + 1);
    for (uint32_t i = page->head.leaf ? half : half + 1; i < page->head.count; i++)
        page_put(right, right->head.count, page->bytes + page->head.slots[i]);
    page->head.count = (uint16_t)half;
    page = compare_keys(cell, up) < 0 ? page : right;
    int found;
    uint32_t at = page_search(page, cell, &found);
    require(page_put(page, at, cell), "room in a half page");
    up[1 + up[0]] = (uint8_t)other, up[2 + up[0]] = (uint8_t)(other >> 8);
}

/* Returns whether the page was split; `up` is then the cell for the page above. */
static int tree_insert(Tree *tree, uint32_t number, const uint8_t *cell, uint8_t *up) {
    Page *page = &tree->pages[number];
    int found;
    uint32_t at = page_search(page, cell, &found);
    uint8_t below[32];
    if (page->head.leaf) {
        if (found) {
            memcpy(page->bytes + page->head.slots[at] + 1 + cell[0], cell + 1 + cell[0], 4);
            return 0;
        }
    } else {
        if (!tree_insert(tree, page_child(page, at + (uint32_t)found), cell, below))
            return 0;
        cell = below, at += (uint32_t)found;
    }
    if (page_put(page, at, cell))
        return 0;
    page_split(tree, number, cell, up);
    return 1;
}

static const uint8_t *tree_find(const Tree *tree, const uint8_t *key, uint32_t *number, uint32_t *at) {
    int found;
    for (*number = tree->root;;) {
        const Page *page = &tree->pages[*number];
        *at = page_search(page, key, &found);
        if (page->head.leaf)
            return found ? page->bytes + page->head.slots[*at] : NULL;
        *number = page_child(page, *at + (uint32_t)found);
    }
}

static void run_tree(Tree *tree, Random *random, Digest *digest) {
    uint8_t cell[32], up[32];
    uint32_t number, at, inserted = 0, seen = 0, sum = 0;
    tree->used = 0, tree->depth = 1;
    tree->root = page_new(tree, 1, 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint64_t bits = random_u64(random);
        cell[0] = (uint8_t)(3 + bits % 9);
        for (uint32_t j = 1; j <= cell[0]; j++, bits >>= 5)
            cell[j] = (uint8_t)('a' + (bits & 31) % (j < 3 ? 6 : 20));
        const uint8_t *old = tree_find(tree, cell, &number, &at);
        if (old != NULL && i % 4 == 0) {
            Page *page = &tree->pages[number];
            for (page->head.count--; at < page->head.count; at++)
                page->head.slots[at] = page->head.slots[at + 1];
            inserted--;
            continue;
        }
        inserted += old == NULL;
        store_le32(cell + 1 + cell[0], i);
        if (tree_insert(tree, tree->root, cell, up)) {
            uint32_t root = page_new(tree, 0, tree->root);
            page_put(&tree->pages[root], 0, up);
            tree->root = root, tree->depth++;
        }
        require((old = tree_find(tree, cell, &number, &at)) && load_le32(old + 1 + old[0]) == i, "tree");
    }
    const uint8_t *last = NULL;
    for (number = 0;; number = tree->pages[number].head.link) {
        const Page *page = &tree->pages[number];
        for (uint32_t i = 0; i < page->head.count; i++, seen++) {
            const uint8_t *next = page->bytes + page->head.slots[i];
            require(last == NULL || compare_keys(last, next) < 0, "leaves in order");
            sum = sum * 31 + load_le32(next + 1 + next[0]), last = next;
        }
        if (page->head.link == 0)
            break;
    }
    require(seen == inserted, "all keys in leaves");
    digest_u64(digest, (uint64_t)sum << 32 | tree->used << 8 | tree->depth);
}

/* Open addressing: a byte per slot tells empty and removed ones, and has bits of the hash of others. */
typedef struct {
    uint8_t marks[SLOTS];
    uint32_t keys[SLOTS], values[SLOTS];
    uint32_t mask, live, filled;
} Table;

static uint32_t scramble(uint32_t key) {
    key = (key ^ key >> 16) * 0x7feb352du;
    key = (key ^ key >> 15) * 0x846ca68bu;
    return key ^ key >> 16;
}

static int32_t table_find(const Table *table, uint32_t key, uint32_t *room) {
    uint32_t hash = scramble(key), at = hash & table->mask;
    uint8_t mark = (uint8_t)(2 + (hash >> 24) % 254);
    *room = UINT32_MAX;
    for (; table->marks[at] != 0; at = (at + 1) & table->mask) {
        if (table->marks[at] == mark && table->keys[at] == key)
            return (int32_t)at;
        if (table->marks[at] == 1 && *room == UINT32_MAX)
            *room = at;
    }
    if (*room == UINT32_MAX)
        *room = at;
    return -1;
}

static void table_put(Table *table, uint32_t key, uint32_t value);

static void table_rehash(Table *table, uint32_t size) {
    Table *old = allocate(sizeof *old);
    *old = *table;
    memset(table->marks, 0, sizeof table->marks);
    table->mask = size - 1, table->live = table->filled = 0;
    for (uint32_t i = 0; i <= old->mask; i++)
        if (old->marks[i] > 1)
            table_put(table, old->keys[i], old->values[i]);
    free(old);
}

static void table_put(Table *table, uint32_t key, uint32_t value) {
    uint32_t room;
    int32_t at = table_find(table, key, &room);
    if (at >= 0) {
        table->values[at] += value;
        return;
    }
    table->filled += table->marks[room] == 0, table->live++;
    table->marks[room] = (uint8_t)(2 + (scramble(key) >> 24) % 254);
    table->keys[room] = key, table->values[room] = value;
    if (table->filled * 4 > table->mask * 3)
        table_rehash(table, table->live * 2 > table->mask ? 2 * (table->mask + 1) : table->mask + 1);
}

static void run_table(Table *table, Random *random, Digest *digest) {
    uint32_t hits = 0, sum = 0, live = 0, room;
    memset(table->marks, 0, sizeof table->marks);
    table->mask = 15, table->live = table->filled = 0;
    for (uint32_t i = 0; i < 4 * KEYS; i++) {
        uint32_t key = random_below(random, 900) * 8191;
        int32_t at = i % 3 == 2 ? table_find(table, key, &room) : -1;
        if (i % 3 != 2)
            table_put(table, key, i);
        if (at >= 0)
            table->marks[at] = 1, table->live--, hits++;
    }
    for (uint32_t key = 0; key < 900; key++) {
        int32_t at = table_find(table, key * 8191, &room);
        if (at >= 0)
            sum = sum * 33 + table->values[at], live++;
    }
    require(live == table->live, "keys of the table");
    digest_u64(digest, (uint64_t)sum << 32 | hits << 16 | live);
}

typedef struct Node {
    uint32_t key, value;
    uint8_t height;
    struct Node *next[];
} Node;

static Node *node_new(uint32_t key, uint8_t height) {
    Node *node = allocate(sizeof(Node) + height * sizeof(Node *));
    node->key = key, node->value = 1, node->height = height;
    memset(node->next, 0, height * sizeof(Node *));
    return node;
}

/* The last node before `key` on each level; returns the one after on the lowest. */
static Node *skip_to(Node *at, uint32_t key, Node **before) {
    for (int level = LEVELS - 1; level >= 0; level--) {
        while (at->next[level] && at->next[level]->key < key)
            at = at->next[level];
        before[level] = at;
    }
    return at->next[0];
}

static void run_skips(Random *random, Digest *digest) {
    Node *head = node_new(0, LEVELS), *before[LEVELS];
    uint32_t removed = 0, count = 0, sum = 0;
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        uint32_t bits = (uint32_t)random_u64(random), key = 1 + bits % 1000;
        Node *node = skip_to(head, key, before);
        if (node == NULL || node->key != key) {
            uint8_t height = 1;
            for (bits >>= 16; height < LEVELS && (bits & 3) == 0; bits >>= 2)
                height++;
            node = node_new(key, height);
            for (int level = 0; level < height; level++)
                node->next[level] = before[level]->next[level], before[level]->next[level] = node;
            count++;
        } else if (bits >> 31) {
            for (int level = 0; level < node->height; level++)
                before[level]->next[level] = node->next[level];
            free(node);
            removed++, count--;
        } else {
            node->value += i;
        }
    }
    for (Node *node = head, *next; node != NULL; node = next, count--) {
        next = node->next[0];
        require(next == NULL || node->key < next->key, "skip list in order");
        sum = sum * 31 + (node->key ^ node->value << 10);
        free(node);
    }
    require(count == UINT32_MAX, "nodes of the skip list");
    digest_u64(digest, (uint64_t)sum << 32 | removed);
}

typedef struct {
    uint64_t key;
    uint32_t sequence, value; /* The value 0 stands for a removal. */
} Entry;

typedef struct {
    Entry *entries;
    uint32_t count, filter[FILTER / 32];
} Run;

typedef struct {
    const Entry *at, *end;
} Cursor;

static int entry_before(const Entry *a, const Entry *b) {
    return a->key != b->key ? a->key < b->key : a->sequence > b->sequence;
}

static int filter_bits(uint32_t *filter, uint64_t key, int set) {
    uint64_t hash = mix64(key);
    int all = 1;
    for (int i = 0; i < 3; i++, hash >>= 20) {
        uint32_t bit = hash % FILTER, mask = 1u << (bit & 31);
        all &= (filter[bit >> 5] & mask) != 0;
        if (set)
            filter[bit >> 5] |= mask;
    }
    return all;
}

static void sort_entries(Entry *entries, uint32_t count) {
    for (uint32_t gap = 40; gap > 0; gap = gap == 1 ? 0 : gap / 3)
        for (uint32_t i = gap; i < count; i++) {
            Entry entry = entries[i];
            uint32_t j = i;
            for (; j >= gap && entry_before(&entry, &entries[j - gap]); j -= gap)
                entries[j] = entries[j - gap];
            entries[j] = entry;
        }
}

static void sift(Cursor *heap, uint32_t len, uint32_t at) {
    Cursor top = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < len; at = child) {
        child += child + 1 < len && entry_before(heap[child + 1].at, heap[child].at);
        if (!entry_before(heap[child].at, top.at))
            break;
        heap[at] = heap[child];
    }
    heap[at] = top;
}

/* Merges the runs: of each key only the newest entry stays, and none if it is a removal. */
static uint32_t merge(Entry *out, const Run *runs) {
    Cursor heap[RUNS];
    uint32_t len = 0, count = 0;
    for (; len < RUNS; len++)
        heap[len] = (Cursor){runs[len].entries, runs[len].entries + runs[len].count};
    for (uint32_t i = len / 2; i-- > 0;)
        sift(heap, len, i);
    for (uint64_t last = UINT64_MAX; len > 0; sift(heap, len, 0)) {
        const Entry *entry = heap[0].at++;
        if (entry->key != last && entry->value != 0)
            out[count++] = *entry;
        last = entry->key;
        if (heap[0].at == heap[0].end && --len > 0)
            heap[0] = heap[len];
        if (len == 0)
            break;
    }
    return count;
}

static const Entry *lookup(Entry *entries, uint32_t count, uint64_t key) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && entries[low].key == key ? &entries[low] : NULL;
}

static void run_merging(Run *runs, Entry *merged, Random *random, Digest *digest) {
    uint32_t sequence = 0, skipped = 0, hits = 0;
    for (uint32_t i = 0; i < RUNS; i++) {
        runs[i].count = BATCH;
        memset(runs[i].filter, 0, sizeof runs[i].filter);
        for (uint32_t j = 0; j < BATCH; j++) {
            uint64_t bits = random_u64(random), key = bits % 600 * 0x100000001u;
            runs[i].entries[j] = (Entry){key, ++sequence, bits >> 62 ? (uint32_t)(bits >> 40) : 0};
            filter_bits(runs[i].filter, key, 1);
        }
        sort_entries(runs[i].entries, BATCH);
    }
    uint32_t count = merge(merged, runs);
    for (uint64_t key = 0; key < 600; key++) {
        const Entry *entry = NULL, *other = lookup(merged, count, key * 0x100000001u);
        for (uint32_t i = RUNS; i-- > 0 && entry == NULL;) {
            if (filter_bits(runs[i].filter, key * 0x100000001u, 0))
                entry = lookup(runs[i].entries, BATCH, key * 0x100000001u);
            else
                skipped++;
        }
        require(entry && entry->value ? other && other->sequence == entry->sequence : !other, "merge");
        hits += other != NULL;
    }
    require(hits == count, "all merged entries found");
    for (uint32_t i = 0; i < count; i += 16)
        digest_u64(digest, merged[i].key ^ merged[i].value);
    digest_u64(digest, (uint64_t)skipped << 32 | count);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {83};
    Digest digest = {0};
    Tree *tree = allocate(sizeof *tree);
    Table *table = allocate(sizeof *table);
    Entry *entries = allocate(2 * RUNS * BATCH * sizeof *entries);
    static Run runs[RUNS];
    memset(table, 0, sizeof *table);
    for (uint32_t i = 0; i < RUNS; i++)
        runs[i].entries = entries + i * BATCH;
    while (rounds--) {
        run_tree(tree, &random, &digest);
        run_table(table, &random, &digest);
        run_skips(&random, &digest);
        run_merging(runs, entries + RUNS * BATCH, &random, &digest);
    }
    free(tree), free(table), free(entries);
    return digest_print(&digest);
}
