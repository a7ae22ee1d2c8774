/* Huffman codes: count, build the tree with a heap, encode to bits, decode bit by bit. */
#include "../common.h"

enum { STANDARD_ROUNDS = 65, TEXT_BYTES = 20000 };

typedef struct {
    uint32_t weight;
    int16_t child[2];
} Node;

static Node nodes[512];
static int heap[257], heap_len;
static uint32_t codes[256];
static uint8_t lengths[256];

static int lighter(int a, int b) {
    return nodes[a].weight != nodes[b].weight ? nodes[a].weight < nodes[b].weight : a < b;
}

static void push(int node) {
    int at = heap_len++;
    for (; at > 0 && lighter(node, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = node;
}

static int pop(void) {
    int top = heap[0], last = heap[--heap_len], at = 0;
    for (int child; (child = 2 * at + 1) < heap_len; at = child) {
        if (child + 1 < heap_len && lighter(heap[child + 1], heap[child]))
            child++;
        if (!lighter(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

static void assign(int node, uint32_t code, uint8_t length) {
    if (nodes[node].child[0] < 0) {
        codes[node] = code, lengths[node] = length;
        return;
    }
    assign(nodes[node].child[0], code << 1, (uint8_t)(length + 1));
    assign(nodes[node].child[1], code << 1 | 1, (uint8_t)(length + 1));
}

static int build(const uint8_t *text) {
    for (int i = 0; i < 256; i++)
        nodes[i] = (Node){0, {-1, -1}};
    for (int i = 0; i < TEXT_BYTES; i++)
        nodes[text[i]].weight++;
    heap_len = 0;
    for (int i = 0; i < 256; i++)
        if (nodes[i].weight != 0)
            push(i);
    int next = 256;
    while (heap_len > 1) {
        int a = pop(), b = pop();
        nodes[next] = (Node){nodes[a].weight + nodes[b].weight, {(int16_t)a, (int16_t)b}};
        push(next++);
    }
    assign(heap[0], 0, 0);
    return heap[0];
}

static size_t encode(uint8_t *out, const uint8_t *text) {
    uint64_t buffer = 0;
    unsigned bits = 0;
    size_t len = 0;
    for (int i = 0; i < TEXT_BYTES; i++) {
        buffer = buffer << lengths[text[i]] | codes[text[i]];
        bits += lengths[text[i]];
        for (; bits >= 8; bits -= 8)
            out[len++] = (uint8_t)(buffer >> (bits - 8));
    }
    if (bits > 0)
        out[len++] = (uint8_t)(buffer << (8 - bits));
    return len;
}

static void decode(uint8_t *out, const uint8_t *in, int root) {
    int node = root;
    for (int done = 0, bit = 0; done < TEXT_BYTES; bit++) {
        node = nodes[node].child[in[bit >> 3] >> (7 - (bit & 7)) & 1];
        if (nodes[node].child[0] < 0)
            out[done++] = (uint8_t)node, node = root;
    }
}

int main(int argc, char **argv) {
    static uint8_t text[TEXT_BYTES], packed[2 * TEXT_BYTES], unpacked[TEXT_BYTES];
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {15};
    Digest digest = {0};
    while (rounds--) {
        /* The lowest set bit of a random number makes some bytes far more frequent. */
        for (int i = 0; i < TEXT_BYTES; i++) {
            uint64_t value = random_u64(&random);
            text[i] = (uint8_t)((unsigned)__builtin_ctzll(value | 1u << 20) * 7 + (value >> 60));
        }
        int root = build(text);
        size_t len = encode(packed, text);
        decode(unpacked, packed, root);
        require(memcmp(text, unpacked, sizeof text) == 0, "round trip");
        digest_bytes(&digest, packed, len);
    }
    return digest_print(&digest);
}
