/* Allocation: a treap with malloc and free, a pool with a free list, lists that are merged. Pointer
 * chasing with unpredictable branches. */
#include "../common.h"

enum { STANDARD_ROUNDS = 45, OPERATIONS = 4000, KEYS = 3000, POOL = 2000 };

typedef struct Node {
    struct Node *left, *right;
    uint32_t key, priority, count;
} Node;

static void split(Node *node, uint32_t key, Node **left, Node **right) {
    if (node == NULL) {
        *left = *right = NULL;
    } else if (node->key < key) {
        split(node->right, key, &node->right, right);
        *left = node;
    } else {
        split(node->left, key, left, &node->left);
        *right = node;
    }
}

static Node *merge(Node *left, Node *right) {
    if (left == NULL || right == NULL)
        return left ? left : right;
    if (left->priority > right->priority) {
        left->right = merge(left->right, right);
        return left;
    }
    right->left = merge(left, right->left);
    return right;
}

static Node *find(Node *node, uint32_t key) {
    while (node != NULL && node->key != key)
        node = key < node->key ? node->left : node->right;
    return node;
}

static Node *insert(Node *root, uint32_t key, uint32_t priority) {
    Node *left, *right, *node = allocate(sizeof *node);
    *node = (Node){NULL, NULL, key, priority, 1};
    split(root, key, &left, &right);
    return merge(merge(left, node), right);
}

static Node *erase(Node *root, uint32_t key) {
    Node *left, *middle, *right;
    split(root, key, &left, &middle);
    split(middle, key + 1, &middle, &right);
    free(middle);
    return merge(left, right);
}

static void walk(Node *node, Digest *digest, int destroy) {
    if (node == NULL)
        return;
    walk(node->left, digest, destroy);
    digest_u64(digest, (uint64_t)node->key << 32 | node->count);
    Node *right = node->right;
    if (destroy)
        free(node);
    walk(right, digest, destroy);
}

typedef struct Cell {
    struct Cell *next;
    uint32_t value;
} Cell;

static Cell pool[POOL], *unused;

static Cell *sort_list(Cell *list) {
    if (list == NULL || list->next == NULL)
        return list;
    Cell *halves[2] = {NULL, NULL};
    for (int side = 0; list != NULL; side ^= 1) {
        Cell *next = list->next;
        list->next = halves[side], halves[side] = list, list = next;
    }
    Cell *a = sort_list(halves[0]), *b = sort_list(halves[1]), *sorted = NULL, **tail = &sorted;
    while (a != NULL && b != NULL) {
        Cell **least = a->value <= b->value ? &a : &b;
        *tail = *least, tail = &(*least)->next, *least = (*least)->next;
    }
    *tail = a ? a : b;
    return sorted;
}

static void lists(Random *random, Digest *digest) {
    unused = NULL;
    for (int i = 0; i < POOL; i++)
        pool[i].next = unused, unused = &pool[i];
    Cell *list = NULL;
    for (int i = 0; i < POOL - 1; i++) {
        Cell *cell = unused;
        unused = cell->next;
        cell->value = random_below(random, 100000), cell->next = list, list = cell;
    }
    list = sort_list(list);
    for (Cell *at = list; at->next != NULL; at = at->next)
        require(at->value <= at->next->value, "sorted");
    for (; list != NULL; list = list->next)
        digest_u64(digest, list->value);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {19};
    Digest digest = {0};
    while (rounds--) {
        Node *root = NULL;
        for (int i = 0; i < OPERATIONS; i++) {
            uint32_t key = random_below(&random, KEYS);
            Node *node = find(root, key);
            if (node == NULL)
                root = insert(root, key, (uint32_t)random_u64(&random));
            else if (random_below(&random, 3) == 0)
                root = erase(root, key);
            else
                node->count++;
        }
        walk(root, &digest, 1);
        lists(&random, &digest);
    }
    return digest_print(&digest);
}
