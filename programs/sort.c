/* Three ways to sort: quicksort on bare integers (compares and swaps in memory, unpredictable
 * branches, recursion), heapsort on records and mergesort on strings, the latter two through a
 * pointer to a comparison function that is chosen at run time (indirect calls). */
#include "common.h"

enum { STANDARD_ROUNDS = 450, INTEGERS = 4000, RECORDS = 600, STRINGS = 400, STRING_BYTES = 12 };

typedef struct {
    uint32_t key;
    int32_t weight;
    uint64_t serial;
} Record;

typedef int Compare(const void *a, const void *b);

/* --- Quicksort, with insertion sort for short ranges --- */

static void insertion_sort(uint32_t *items, int len) {
    for (int i = 1; i < len; i++) {
        uint32_t item = items[i];
        int hole = i;
        for (; hole > 0 && items[hole - 1] > item; hole--)
            items[hole] = items[hole - 1];
        items[hole] = item;
    }
}

static uint32_t median(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Recurses into the shorter part only, so the depth stays logarithmic. */
static void quicksort(uint32_t *items, int len) {
    while (len > 12) {
        uint32_t pivot = median(items[0], items[len / 2], items[len - 1]);
        int left = 0, right = len - 1;
        while (left <= right) {
            while (items[left] < pivot)
                left++;
            while (items[right] > pivot)
                right--;
            if (left <= right) {
                uint32_t item = items[left];
                items[left++] = items[right];
                items[right--] = item;
            }
        }
        if (right + 1 < len - left) {
            quicksort(items, right + 1);
            items += left, len -= left;
        } else {
            quicksort(items + left, len - left);
            len = right + 1;
        }
    }
    insertion_sort(items, len);
}

/* --- Heapsort --- */

static void sift_down(Record *heap, int root, int len, Compare *compare) {
    Record item = heap[root];
    for (int child; (child = 2 * root + 1) < len; root = child) {
        if (child + 1 < len && compare(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (compare(&item, &heap[child]) >= 0)
            break;
        heap[root] = heap[child];
    }
    heap[root] = item;
}

static void heapsort_records(Record *records, int len, Compare *compare) {
    for (int root = len / 2 - 1; root >= 0; root--)
        sift_down(records, root, len, compare);
    for (int end = len - 1; end > 0; end--) {
        Record largest = records[0];
        records[0] = records[end];
        records[end] = largest;
        sift_down(records, 0, end, compare);
    }
}

/* --- Mergesort, stable --- */

static void mergesort_strings(const char **items, const char **scratch, int len, Compare *compare) {
    if (len < 2)
        return;
    int middle = len / 2;
    mergesort_strings(items, scratch, middle, compare);
    mergesort_strings(items + middle, scratch, len - middle, compare);
    memcpy(scratch, items, (size_t)middle * sizeof *items);
    for (int left = 0, right = middle, out = 0; left < middle; out++) {
        /* On a tie the left one goes first: that is what makes it stable. */
        if (right < len && compare(items[right], scratch[left]) < 0)
            items[out] = items[right++];
        else
            items[out] = scratch[left++];
    }
}

/* --- Orders. Those of records end with the serial number, so that equal keys have one order. --- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int by_serial(const void *a, const void *b) {
    return ORDER(((const Record *)a)->serial, ((const Record *)b)->serial);
}

static int by_key(const void *a, const void *b) {
    int order = ORDER(((const Record *)a)->key, ((const Record *)b)->key);
    return order != 0 ? order : by_serial(a, b);
}

static int by_weight_descending(const void *a, const void *b) {
    int order = ORDER(((const Record *)b)->weight, ((const Record *)a)->weight);
    return order != 0 ? order : by_serial(a, b);
}

static int by_text(const void *a, const void *b) {
    const uint8_t *x = a, *y = b;
    while (*x != 0 && *x == *y)
        x++, y++;
    return (int)*x - (int)*y;
}

static int by_text_backwards(const void *a, const void *b) {
    return by_text(b, a);
}

static int by_length(const void *a, const void *b) {
    return ORDER(strlen(a), strlen(b));
}

static Compare *const RECORD_ORDERS[] = {by_key, by_weight_descending, by_serial};
static Compare *const STRING_ORDERS[] = {by_text, by_length, by_text_backwards};

/* --- One round of each --- */

static void sort_integers(Random *random, Digest *digest) {
    static uint32_t items[INTEGERS];
    /* A narrow range now and then: many equal items. */
    uint32_t bound = random_below(random, 4) == 0 ? 50 : UINT32_MAX;
    for (int i = 0; i < INTEGERS; i++)
        items[i] = random_below(random, bound);
    quicksort(items, INTEGERS);
    for (int i = 0; i < INTEGERS; i++) {
        require(i == 0 || items[i - 1] <= items[i], "quicksort's result is in order");
        digest_u64(digest, items[i]);
    }
}

static void sort_records(Random *random, Digest *digest) {
    static Record records[RECORDS];
    Compare *compare = RECORD_ORDERS[random_below(random, 3)];
    for (int i = 0; i < RECORDS; i++) {
        records[i].key = random_below(random, 200);
        records[i].weight = (int32_t)random_below(random, 2000) - 1000;
        records[i].serial = random_u64(random);
    }
    heapsort_records(records, RECORDS, compare);
    for (int i = 0; i < RECORDS; i++) {
        require(i == 0 || compare(&records[i - 1], &records[i]) <= 0, "heapsort's result is in order");
        digest_u64(digest, records[i].serial);
    }
}

static void sort_strings(Random *random, Digest *digest) {
    static char text[STRINGS][STRING_BYTES];
    const char *items[STRINGS], *scratch[STRINGS / 2];
    Compare *compare = STRING_ORDERS[random_below(random, 3)];
    for (int i = 0; i < STRINGS; i++) {
        uint32_t len = random_below(random, STRING_BYTES);
        for (uint32_t j = 0; j < len; j++)
            text[i][j] = (char)('a' + random_below(random, 4));
        text[i][len] = '\0';
        items[i] = text[i];
    }
    mergesort_strings(items, scratch, STRINGS, compare);
    for (int i = 0; i < STRINGS; i++) {
        require(i == 0 || compare(items[i - 1], items[i]) <= 0, "mergesort's result is in order");
        digest_bytes(digest, (const uint8_t *)items[i], strlen(items[i]));
    }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {4};
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        sort_integers(&random, &digest);
        sort_records(&random, &digest);
        sort_strings(&random, &digest);
    }
    return digest_print(&digest);
}
