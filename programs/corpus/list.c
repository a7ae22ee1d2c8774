/* Singly linked lists of small records: searched, sorted by merging, reversed, spliced, thinned out. */
#include "../common.h"

enum { STANDARD_ROUNDS = 800, NODES = 400 };

typedef struct Node {
    struct Node *next;
    int16_t key, rank;
    uint32_t payload;
} Node;

static Node pool[NODES];

static Node *make(Random *random) {
    Node *head = NULL;
    for (int i = 0; i < NODES; i++) {
        Node *node = &pool[i];
        uint32_t bits = (uint32_t)random_u64(random);
        *node = (Node){head, (int16_t)(bits & 0x3ff), (int16_t)i, bits >> 10};
        head = node;
    }
    return head;
}

static Node *find_key(Node *list, int16_t key) {
    while (list && list->key != key)
        list = list->next;
    return list;
}

static Node *find_rank(Node *list, int16_t rank) {
    for (; list; list = list->next)
        if (list->rank == rank)
            return list;
    return NULL;
}

static Node *reverse(Node *list) {
    Node *done = NULL, *rest;
    for (; list; list = rest) {
        rest = list->next;
        list->next = done;
        done = list;
    }
    return done;
}

typedef int (*Compare)(const Node *, const Node *);

static int by_key(const Node *a, const Node *b) {
    return a->key != b->key ? a->key - b->key : a->rank - b->rank;
}

static int by_payload(const Node *a, const Node *b) {
    uint32_t x = a->payload & 0xffff, y = b->payload & 0xffff;
    return x < y ? -1 : x > y;
}

static Node *merge(Node *a, Node *b, Compare compare) {
    Node *head = NULL, **tail = &head;
    while (a && b) {
        Node **from = compare(a, b) <= 0 ? &a : &b;
        *tail = *from;
        tail = &(*from)->next;
        *from = *tail;
    }
    *tail = a ? a : b;
    return head;
}

/* From the bottom up: runs of 1, 2, 4 … nodes. */
static Node *sort(Node *list, Compare compare) {
    Node *runs[16] = {0};
    while (list) {
        Node *run = list;
        list = list->next;
        run->next = NULL;
        int n = 0;
        for (; n < 15 && runs[n]; n++) {
            run = merge(runs[n], run, compare);
            runs[n] = NULL;
        }
        runs[n] = run;
    }
    Node *all = NULL;
    for (int n = 0; n < 16; n++)
        all = merge(runs[n], all, compare);
    return all;
}

static Node *without(Node *list, uint32_t mask) {
    Node **at = &list;
    while (*at)
        if (((*at)->payload & mask) == 0)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    return list;
}

static int length(const Node *list) {
    int count = 0;
    for (; list; list = list->next)
        count++;
    return count;
}

static uint32_t weigh(const Node *list) {
    uint32_t sum = 0, place = 1;
    for (; list; list = list->next, place++)
        sum += place * (uint32_t)list->key ^ list->payload >> (place & 7);
    return sum;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {39};
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        Node *list = make(&random);
        int found = 0;
        for (int16_t n = 0; n < 24; n++) {
            list = reverse(list);
            Node *node = n % 2 ? find_key(list, (int16_t)(n * 37 & 0x3ff)) : find_rank(list, n);
            if (node && node->next) {
                found++;
                Node *moved = node->next;
                node->next = moved->next;
                moved->next = list;
                list = moved;
            }
        }
        digest_u64(&digest, weigh(list) + (uint32_t)found);
        list = sort(list, by_key);
        digest_u64(&digest, weigh(list));
        for (Node *node = list; node && node->next; node = node->next)
            require(node->key <= node->next->key, "sorted by key");
        list = without(sort(list, by_payload), 1u << round % 8);
        digest_u64(&digest, weigh(list) ^ (uint32_t)length(list));
    }
    return digest_print(&digest);
}
