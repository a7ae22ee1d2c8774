/* Records behind pointers: a list whose nodes point to payloads, a map from keys to values, a cache
 * that forgets what was used longest ago, an index sorted by functions, a tree with parents, and
 * objects with tables of functions. */
#include "../common.h"

enum { STANDARD_ROUNDS = 450, RECORDS = 320, PARTIES = 40, BUCKETS = 128, PAGES = 48, OBJECTS = 96 };

typedef struct {
    uint32_t id;
    int32_t balance;
    uint16_t region;
    uint8_t class, blocked;
} Party;

typedef struct {
    uint64_t amount;
    Party *party;
    uint32_t number;
    uint16_t code;
    int16_t rank;
    uint8_t kind, grade;
} Record;

static Party parties[PARTIES];
static Record records[RECORDS];

static void make_records(Random *random) {
    for (uint32_t i = 0; i < PARTIES; i++) {
        uint64_t bits = random_u64(random);
        parties[i] = (Party){i, (int32_t)(bits >> 44), (uint16_t)(bits & 31), bits >> 8 & 7, bits >> 16 & 1};
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint64_t bits = random_u64(random);
        records[i] = (Record){bits >> 20, &parties[random_below(random, PARTIES)], i, (uint16_t)(bits & 0x1ff),
                              (int16_t)((int)(bits >> 9 & 0x3ff) - 512), bits >> 19 & 7, (uint8_t)(bits >> 22)};
    }
}

/* A list that knows nothing of what it holds but a pointer. */
typedef struct Link {
    struct Link *next;
    Record *record;
} Link;

static Link *push(Link *list, Record *record) {
    Link *link = allocate(sizeof *link);
    *link = (Link){list, record};
    return link;
}

static Link *find_number(Link *list, uint32_t number) {
    while (list && list->record->number != number)
        list = list->next;
    return list;
}

static Link *find_code(Link *list, uint16_t code, uint8_t kind) {
    for (; list; list = list->next)
        if (list->record->code == code || (list->record->rank < -500 && list->record->kind == kind))
            return list;
    return NULL;
}

static uint64_t total(const Link *list, uint16_t region) {
    uint64_t sum = 0;
    for (; list; list = list->next)
        if (list->record->party->region == region && !list->record->party->blocked)
            sum += list->record->amount;
    return sum;
}

static uint64_t use_list(Random *random, uint32_t round) {
    Link *list = NULL;
    uint64_t sum = 0;
    for (int i = 0; i < RECORDS; i++)
        list = push(list, &records[i]);
    for (uint32_t n = 0; n < 30; n++) {
        Link *one = find_number(list, random_below(random, RECORDS));
        Link *other = find_code(list, (uint16_t)random_below(random, 512), n & 7);
        require(one != NULL, "every number is in the list");
        if (other) {
            Record *record = one->record;
            one->record = other->record;
            other->record = record;
            record->party->balance += other->record->rank;
            record->grade++;
        }
        if (n % 8 == 0)
            sum = sum * 31 + total(list, (uint16_t)((round + n) & 31));
    }
    while (list) {
        Link *next = list->next;
        sum = sum * 5 + list->record->number;
        free(list);
        list = next;
    }
    return sum;
}

/* A map: chains of entries, which point to their keys and values. */
typedef struct {
    uint8_t length;
    char text[11];
} Key;

typedef struct {
    uint64_t total;
    uint32_t count;
    int16_t least;
    Record *last;
} Value;

typedef struct Entry {
    struct Entry *next;
    Key *key;
    Value *value;
} Entry;

typedef struct {
    Entry **buckets;
    uint32_t mask, count;
} Map;

static Key key_of(const Record *record) {
    Key key = {0};
    for (uint32_t rest = (record->code & 63) * 9781u + (record->kind & 1); rest; rest /= 12)
        key.text[key.length++] = "aeioukmnprst"[rest % 12];
    return key;
}

/* Where the pointer to the entry of a key is, or would have to be. */
static Entry **slot(const Map *map, const Key *key) {
    uint32_t hash = key->length;
    for (int i = 0; i < key->length; i++)
        hash = hash * 33 ^ (uint8_t)key->text[i];
    Entry **at = &map->buckets[(hash ^ hash >> 9) & map->mask];
    while (*at && ((*at)->key->length != key->length || memcmp((*at)->key->text, key->text, key->length) != 0))
        at = &(*at)->next;
    return at;
}

static void discard(Map *map, Entry **at) {
    Entry *entry = *at;
    *at = entry->next;
    free(entry->key);
    free(entry->value);
    free(entry);
    map->count--;
}

static uint64_t use_map(uint32_t round) {
    Map map = {allocate(BUCKETS * sizeof(Entry *)), BUCKETS - 1, 0};
    for (int i = 0; i < BUCKETS; i++)
        map.buckets[i] = NULL;
    uint64_t sum = 0;
    for (int i = 0; i < RECORDS / 2; i++) {
        Record *record = &records[(i * 3 + round) % RECORDS];
        Key key = key_of(record);
        Entry **at = slot(&map, &key);
        if (!*at) {
            Entry *entry = allocate(sizeof *entry);
            *entry = (Entry){NULL, allocate(sizeof(Key)), allocate(sizeof(Value))};
            *entry->key = key;
            *entry->value = (Value){0, 0, INT16_MAX, NULL};
            *at = entry;
            map.count++;
        }
        Value *value = (*at)->value;
        value->total += record->amount;
        value->count++;
        value->last = record;
        if (record->rank < value->least)
            value->least = record->rank;
    }
    for (int i = 0; i < RECORDS; i++) {
        Key key = key_of(&records[i]);
        Entry **at = slot(&map, &key);
        if (*at && (*at)->value->last->number == records[i].number && records[i].grade & 1) {
            sum = sum * 3 + (*at)->value->total + (uint16_t)(*at)->value->least;
            discard(&map, at);
        }
    }
    uint32_t counted = 0;
    for (int i = 0; i < BUCKETS; i++) {
        uint32_t before = map.count;
        while (map.buckets[i]) {
            sum += map.buckets[i]->value->count * (uint64_t)(i + 1);
            discard(&map, &map.buckets[i]);
        }
        counted += before - map.count;
    }
    free(map.buckets);
    require(map.count == 0, "the map counts its entries");
    return sum * 64 + counted;
}

/* A cache: pages in a ring by the time of their last use, and in chains by their numbers. */
typedef struct Page {
    struct Page *before, *after, *chain;
    uint64_t stamp;
    uint32_t number;
    uint16_t uses;
    uint8_t dirty, held;
} Page;

typedef struct {
    Page ring;
    Page *heads[32];
    Page *unused;
    uint32_t hits, misses, written;
    uint16_t held;
} Cache;

static void unlink_page(Page *page) {
    page->before->after = page->after;
    page->after->before = page->before;
}

static void to_front(Cache *cache, Page *page) {
    page->after = cache->ring.after;
    page->before = &cache->ring;
    page->after->before = page;
    cache->ring.after = page;
}

static Page *fetch(Cache *cache, uint32_t number, uint64_t now) {
    Page **head = &cache->heads[(number ^ number >> 5) & 31], *page = *head;
    while (page && page->number != number)
        page = page->chain;
    if (page) {
        cache->hits++;
        unlink_page(page);
    } else {
        cache->misses++;
        if (cache->unused) {
            page = cache->unused;
            cache->unused = page->chain;
            cache->held++;
        } else {
            page = cache->ring.before;
            unlink_page(page);
            cache->written += page->dirty;
            Page **at = &cache->heads[(page->number ^ page->number >> 5) & 31];
            while (*at != page)
                at = &(*at)->chain;
            *at = page->chain;
        }
        *page = (Page){.chain = *head, .number = number};
        *head = page;
    }
    page->uses++;
    page->stamp = now;
    to_front(cache, page);
    return page;
}

static uint64_t use_cache(Random *random) {
    static Page pages[PAGES];
    Cache cache = {0};
    cache.ring.before = cache.ring.after = &cache.ring;
    for (int i = 0; i < PAGES; i++) {
        pages[i].chain = cache.unused;
        cache.unused = &pages[i];
    }
    uint32_t base = 0;
    for (uint64_t now = 0; now < 1100; now++) {
        uint32_t bits = (uint32_t)(random_u64(random) >> 32);
        if (bits % 64 == 0)
            base += 20;
        Page *page = fetch(&cache, base + (bits >> 8 & bits >> 16 & 0x7f), now);
        if (bits & 0x80)
            page->dirty = 1;
    }
    uint64_t sum = (uint64_t)cache.hits << 32 | cache.misses << 12 | cache.written;
    uint16_t counted = 0;
    for (const Page *page = cache.ring.after; page != &cache.ring; page = page->after, counted++) {
        require(page->after == &cache.ring || page->stamp > page->after->stamp, "the latest page is in front");
        sum = sum * 7 + (page->number ^ (uint32_t)page->uses << 16) + page->dirty;
    }
    require(counted == cache.held, "the cache counts its pages");
    return sum;
}

/* An index: pointers to records, sorted by whichever function is asked for. */
typedef int (*Compare)(Record *const *, Record *const *);

static int by_amount(Record *const *a, Record *const *b) {
    return (*a)->amount != (*b)->amount ? ((*a)->amount < (*b)->amount ? -1 : 1) : 0;
}

static int by_rank(Record *const *a, Record *const *b) {
    return (*a)->rank != (*b)->rank ? (*a)->rank - (*b)->rank : (*a)->code - (*b)->code;
}

static int by_party(Record *const *a, Record *const *b) {
    const Party *x = (*a)->party, *y = (*b)->party;
    if (x->region != y->region)
        return x->region - y->region;
    return x->class != y->class ? x->class - y->class : by_rank(a, b);
}

static int by_grade(Record *const *a, Record *const *b) {
    return (*a)->grade != (*b)->grade ? (*b)->grade - (*a)->grade : (*a)->number < (*b)->number ? -1 : 1;
}

static Compare const orders[4] = {by_amount, by_rank, by_party, by_grade};

/* By growing gaps of insertion; the order of equals depends on nothing but the records. */
static void sort(Record **index, int count, Compare compare) {
    static const uint8_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (int g = 0; g < 6; g++)
        for (int i = gaps[g]; i < count; i++) {
            Record *record = index[i];
            int at = i;
            for (; at >= gaps[g] && compare(&index[at - gaps[g]], &record) > 0; at -= gaps[g])
                index[at] = index[at - gaps[g]];
            index[at] = record;
        }
}

static uint64_t use_index(uint32_t round) {
    static Record *index[RECORDS];
    enum { SORTED = RECORDS / 2 };
    for (int i = 0; i < SORTED; i++)
        index[i] = &records[i * 2 + (round & 1)];
    uint64_t sum = 0;
    for (uint32_t n = 0; n < 2; n++) {
        Compare compare = orders[(round + n) % 4];
        sort(index, SORTED, compare);
        for (int i = 1; i < SORTED; i++) {
            require(compare(&index[i - 1], &index[i]) <= 0, "the index is in order");
            sum = sum * 3 + (index[i]->number ^ index[i]->party->id << 10);
        }
    }
    return sum;
}

/* A search tree whose nodes know their parents, so that walks need no stack. */
typedef struct Node {
    struct Node *parent, *left, *right;
    Record *record;
    uint16_t size;
    uint8_t marked;
} Node;

static int before(const Record *a, const Record *b) {
    return a->code != b->code ? a->code < b->code : a->number < b->number;
}

static Node *insert(Node *root, Node *node) {
    Node *parent = NULL, **at = &root;
    while (*at) {
        parent = *at;
        at = before(node->record, parent->record) ? &parent->left : &parent->right;
    }
    *at = node;
    node->parent = parent;
    for (Node *up = node; up; up = up->parent)
        up->size++;
    return root;
}

static Node *successor(Node *node) {
    if (node->right) {
        for (node = node->right; node->left;)
            node = node->left;
        return node;
    }
    while (node->parent && node == node->parent->right)
        node = node->parent;
    return node->parent;
}

static Node *common(Node *a, Node *b) {
    Node *up = a;
    for (; up; up = up->parent)
        up->marked = 1;
    for (up = b; !up->marked;)
        up = up->parent;
    for (; a; a = a->parent)
        a->marked = 0;
    return up;
}

static uint64_t use_tree(Random *random, uint32_t round) {
    static Node nodes[RECORDS / 2];
    Node *root = NULL;
    uint32_t count = RECORDS / 2;
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = (Node){.record = &records[(i * 7 + round) % RECORDS]};
        root = insert(root, &nodes[i]);
    }
    require(root->size == count, "the root counts all nodes");
    uint64_t sum = 0;
    for (int n = 0; n < 160; n++) {
        Node *one = &nodes[random_below(random, count)], *other = &nodes[random_below(random, count)];
        Node *shared = common(one, other);
        sum = sum * 3 + shared->record->number + shared->size;
    }
    Node *node = root;
    while (node->left)
        node = node->left;
    for (Node *next; (next = successor(node)); node = next) {
        require(before(node->record, next->record), "the tree is in order");
        sum += (uint64_t)next->record->amount >> (next->size & 7);
        count--;
    }
    require(count == 1, "the walk meets all nodes");
    return sum;
}

/* Objects: accounts of three kinds, which differ in what their tables say. */
typedef struct Account Account;

typedef struct {
    uint8_t kind;
    void (*pay)(Account *, uint32_t);
    void (*close)(Account *, uint16_t);
    uint64_t (*worth)(const Account *);
} Methods;

struct Account {
    const Methods *methods;
    Account *backing;
    uint64_t sum, earned;
    uint32_t moved;
    int16_t limit;
    uint16_t days;
    uint8_t faults;
};

static void pay_plain(Account *account, uint32_t amount) {
    account->sum += amount;
    account->moved++;
}

static void pay_capped(Account *account, uint32_t amount) {
    uint32_t cap = (uint32_t)(account->limit + 600);
    if (amount > cap) {
        account->faults++;
        account->backing->methods->pay(account->backing, amount - cap);
        amount = cap;
    }
    pay_plain(account, amount);
}

static void pay_shared(Account *account, uint32_t amount) {
    pay_plain(account, amount - amount / 3);
    account->backing->methods->pay(account->backing, amount / 3);
}

static void close_plain(Account *account, uint16_t day) {
    account->earned += (account->sum >> 5) * (uint16_t)(day - account->days);
    account->days = day;
}

static void close_capped(Account *account, uint16_t day) {
    account->limit += account->faults > 3 ? -5 : 7;
    account->faults = 0;
    account->days = day;
}

static uint64_t worth_plain(const Account *account) {
    return account->sum + account->earned;
}

static uint64_t worth_shared(const Account *account) {
    return account->sum / 2 + (account->backing->methods->worth(account->backing) >> 2);
}

static const Methods plain = {0, pay_plain, close_plain, worth_plain};
static const Methods capped = {1, pay_capped, close_capped, worth_plain};
static const Methods shared = {2, pay_shared, close_plain, worth_shared};

static uint64_t use_objects(Random *random) {
    static Account accounts[OBJECTS];
    static const Methods *const kinds[] = {&plain, &capped, &shared};
    accounts[0] = (Account){.methods = &plain};
    for (uint32_t i = 1; i < OBJECTS; i++) {
        Account *backing = &accounts[random_below(random, i)];
        uint32_t bits = (uint32_t)random_u64(random);
        accounts[i] = (Account){.methods = kinds[bits % 3], .backing = backing, .limit = bits >> 8 & 0x3ff};
    }
    uint64_t sum = 0, kind = 0;
    uint64_t paid = 0;
    for (uint16_t day = 1; day <= 5; day++) {
        for (int i = 0; i < OBJECTS; i++) {
            Account *account = &accounts[(i * 5 + day) % OBJECTS];
            uint32_t amount = (uint32_t)random_u64(random) & 0x7ff;
            account->methods->pay(account, amount);
            paid += amount;
        }
        for (int i = 0; i < OBJECTS; i++)
            accounts[i].methods->close(&accounts[i], day);
        for (int i = 0; i < OBJECTS; i++) {
            sum = sum * 3 + accounts[i].methods->worth(&accounts[i]) + accounts[i].moved;
            kind += accounts[i].methods->kind;
        }
    }
    for (int i = 0; i < OBJECTS; i++)
        paid -= accounts[i].sum;
    require(paid == 0, "what was paid is in the accounts");
    return sum ^ kind << 48;
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {71};
    Digest digest = {0};
    for (uint32_t round = 0; round < rounds; round++) {
        if (round % 16 == 0)
            make_records(&random);
        digest_u64(&digest, use_list(&random, round));
        digest_u64(&digest, use_map(round));
        digest_u64(&digest, use_cache(&random));
        digest_u64(&digest, use_index(round));
        digest_u64(&digest, use_tree(&random, round));
        digest_u64(&digest, use_objects(&random));
    }
    return digest_print(&digest);
}
