/* What a router and a firewall do with frames: headers parsed and built, ones' complement sums, routes by
 * longest prefix, flows by five values, names in DNS, nested tag-length-value records, HTTP, fragments. */
#include "../common.h"

enum { STANDARD_ROUNDS = 290, FRAMES = 110, MTU = 1600, ROUTES = 160, TRIE = 4096, FLOWS = 256, BUCKETS = 64,
       DATAGRAM = 4096, QUEUES = 4, DEEPEST = 6, LARGEST = 40000 };

enum { TCP = 6, UDP = 17, IPV4 = 0x0800, FIN = 1, SYN = 2, ACK = 16, MORE = 0x2000 };

/* Reading and writing in the order of the network, within bounds. */
typedef struct {
    const uint8_t *at, *end;
    int bad;
} Reader;

static uint32_t get8(Reader *in) {
    if (in->at >= in->end) {
        in->bad = 1;
        return 0;
    }
    return *in->at++;
}

static uint32_t get16(Reader *in) {
    if (in->end - in->at < 2) {
        in->bad = 1, in->at = in->end;
        return 0;
    }
    in->at += 2;
    return (uint32_t)in->at[-2] << 8 | in->at[-1];
}

static uint32_t get32(Reader *in) {
    uint32_t high = get16(in);
    return high << 16 | get16(in);
}

static uint8_t *put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value) {
    return put16(put16(at, value >> 16), value & 0xffff);
}

static uint32_t sum_words(const uint8_t *bytes, uint32_t len, uint32_t sum) {
    for (; len > 1; bytes += 2, len -= 2)
        sum += (uint32_t)bytes[0] << 8 | bytes[1];
    return len ? sum + ((uint32_t)bytes[0] << 8) : sum;
}

static uint16_t sum_end(uint32_t sum) {
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

typedef struct {
    uint32_t source, target;
    uint16_t from, to;
    uint8_t protocol;
} Tuple;

typedef struct {
    Tuple tuple;
    const uint8_t *data;
    uint32_t sequence, len;
    uint16_t id, fragment, window;
    uint8_t flags, ttl;
} Packet;

static uint32_t pseudo_sum(const Tuple *tuple, uint32_t len) {
    return (tuple->source >> 16) + (tuple->source & 0xffff) + (tuple->target >> 16) +
           (tuple->target & 0xffff) + tuple->protocol + len;
}

/* Writes the header of TCP or UDP and the data. */
static uint32_t build_segment(uint8_t *out, const Tuple *tuple, uint32_t sequence, uint8_t flags,
                              const uint8_t *data, uint32_t len) {
    uint8_t *at = put16(put16(out, tuple->from), tuple->to), *check;
    if (tuple->protocol == TCP) {
        at = put32(put32(at, sequence), 0);
        *at++ = 6 << 4, *at++ = flags;
        check = put16(at, 8192);
        at = put32(put32(check, 0), 0x02040000u + 1460); /* One option: the largest segment. */
    } else {
        check = put16(at, 8 + len);
        at = put16(check, 0);
    }
    memcpy(at, data, len);
    len += (uint32_t)(at - out);
    put16(check, sum_end(sum_words(out, len, pseudo_sum(tuple, len))));
    return len;
}

static uint32_t build_frame(uint8_t *out, const Tuple *tuple, uint32_t id, uint32_t fragment,
                            const uint8_t *data, uint32_t len) {
    for (uint32_t i = 0; i < 12; i++)
        out[i] = (uint8_t)(2 + i * 17);
    uint8_t *ip = put16(out + 12, IPV4), *at = ip;
    *at++ = 0x45, *at++ = 0;
    at = put16(put16(put16(at, 20 + len), id), fragment);
    *at++ = (uint8_t)(30 + id % 40), *at++ = tuple->protocol;
    put32(put32(put16(at, 0), tuple->source), tuple->target);
    put16(at, sum_end(sum_words(ip, 20, 0)));
    memcpy(ip + 20, data, len);
    return 34 + len;
}

static int parse_segment(Packet *packet, const uint8_t *bytes, uint32_t len) {
    Reader in = {bytes, bytes + len, 0};
    packet->tuple.from = (uint16_t)get16(&in), packet->tuple.to = (uint16_t)get16(&in);
    switch (packet->tuple.protocol) {
    case TCP: {
        packet->sequence = get32(&in), get32(&in);
        uint32_t header = get8(&in) >> 4 << 2;
        packet->flags = (uint8_t)get8(&in), packet->window = (uint16_t)get16(&in);
        if (header < 20 || header > len)
            return 0;
        in.at = bytes + header;
        break;
    }
    case UDP:
        if (get16(&in) != len)
            return 0;
        packet->flags = 0, packet->sequence = 0, get16(&in);
        break;
    default:
        return 0;
    }
    packet->data = in.at, packet->len = (uint32_t)(in.end - in.at);
    return !in.bad && sum_end(sum_words(bytes, len, pseudo_sum(&packet->tuple, len))) == 0;
}

/* Forwarding changes the header: one hop less, and the checksum by the difference alone. */
static int parse_frame(Packet *packet, uint8_t *frame, uint32_t len) {
    Reader in = {frame, frame + len, 0};
    in.at += 12;
    if (get16(&in) != IPV4 || get8(&in) != 0x45)
        return 0;
    uint8_t *ip = frame + 14;
    uint32_t total = (get8(&in), get16(&in));
    packet->id = (uint16_t)get16(&in), packet->fragment = (uint16_t)get16(&in);
    packet->ttl = (uint8_t)get8(&in), packet->tuple.protocol = (uint8_t)get8(&in);
    get16(&in), packet->tuple.source = get32(&in), packet->tuple.target = get32(&in);
    if (in.bad || total > len - 14 || total < 20 || sum_end(sum_words(ip, 20, 0)) != 0)
        return 0;
    uint32_t check = ((uint32_t)ip[10] << 8 | ip[11]) + 0x100;
    ip[8]--, put16(ip + 10, (check & 0xffff) + (check >> 16));
    require(sum_end(sum_words(ip, 20, 0)) == 0, "checksum by difference");
    packet->data = in.at, packet->len = total - 20;
    return 1;
}

/* Routes: a trie of two bits a step; a route lies in all the children its last step covers. */
typedef struct {
    uint16_t child[4], route[4];
    uint8_t length[4];
} Branch;

typedef struct {
    uint32_t prefix;
    uint16_t port;
    uint8_t length;
} Route;

typedef struct {
    Branch branches[TRIE];
    uint32_t used;
    Route routes[ROUTES];
} Router;

static void route_add(Router *router, uint32_t number) {
    const Route *route = &router->routes[number];
    uint32_t at = 0, depth = 0;
    for (; depth + 2 < route->length; depth += 2) {
        uint16_t *next = &router->branches[at].child[route->prefix >> (30 - depth) & 3];
        if (*next == 0) {
            require(router->used < TRIE, "room in the trie");
            memset(&router->branches[router->used], 0, sizeof(Branch));
            *next = (uint16_t)router->used++;
        }
        at = *next;
    }
    Branch *branch = &router->branches[at];
    uint32_t first = route->prefix >> (30 - depth) & 3, count = route->length - depth == 1 ? 2 : 1;
    for (first &= 4 - count; count-- > 0; first++)
        if (branch->route[first] == 0 || route->length >= branch->length[first])
            branch->route[first] = (uint16_t)(number + 1), branch->length[first] = route->length;
}

static uint32_t route_find(const Router *router, uint32_t address) {
    uint32_t at = 0, best = 0;
    for (int shift = 30; shift >= 0; shift -= 2) {
        const Branch *branch = &router->branches[at];
        uint32_t step = address >> shift & 3;
        best = branch->route[step] ? branch->route[step] : best;
        if ((at = branch->child[step]) == 0)
            break;
    }
    return best;
}

/* The same by looking at all, which checks the trie. */
static uint32_t route_scan(const Router *router, uint32_t address) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < ROUTES; i++) {
        const Route *route = &router->routes[i];
        if (((address ^ route->prefix) & UINT32_MAX << (32 - route->length)) == 0 &&
            (best == 0 || route->length >= router->routes[best - 1].length))
            best = i + 1;
    }
    return best;
}

static void run_routes(Router *router, Random *random, Digest *digest) {
    router->used = 1;
    memset(router->branches, 0, sizeof router->branches[0]);
    for (uint32_t i = 0; i < ROUTES; i++) {
        uint32_t length = 1 + random_below(random, 26), bits = (uint32_t)random_u64(random);
        bits = i % 4 ? (bits & 0x00ffffff) | router->routes[i & ~3u].prefix >> 24 << 24 : bits;
        router->routes[i] = (Route){bits & UINT32_MAX << (32 - length), (uint16_t)(i % 9), (uint8_t)length};
        route_add(router, i);
    }
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t address = (uint32_t)random_u64(random);
        address ^= i % 3 ? (address & 0xfff00000u) ^ router->routes[i % ROUTES].prefix : 0;
        uint32_t found = route_find(router, address);
        require(i % 16 || found == route_scan(router, address), "longest prefix");
        if (i % 8 == 0)
            digest_u64(digest, found);
    }
    digest_u64(digest, router->used);
}

/* Flows in buckets; the one that was idle longest makes room for a new one. */
typedef struct Flow {
    struct Flow *next, *newer, *older;
    Tuple tuple;
    uint32_t packets, bytes, expected, gaps;
    uint8_t state;
} Flow;

enum { NEW, OPENED, ESTABLISHED, CLOSING };

typedef struct {
    Flow flows[FLOWS], *buckets[BUCKETS], recent;
    uint32_t used, evicted;
} Watcher;

static uint32_t tuple_hash(const Tuple *tuple) {
    uint32_t hash = tuple->source * 0x9e3779b1u ^ rotl32(tuple->target, 13);
    hash = (hash ^ ((uint32_t)tuple->from << 16 | tuple->to)) * 0x85ebca6bu + tuple->protocol;
    return hash ^ hash >> 15;
}

static int same_tuple(const Tuple *a, const Tuple *b) {
    return a->source == b->source && a->target == b->target && a->from == b->from && a->to == b->to &&
           a->protocol == b->protocol;
}

static Flow *flow_of(Watcher *watcher, const Tuple *tuple) {
    Flow **bucket = &watcher->buckets[tuple_hash(tuple) % BUCKETS], *flow = *bucket;
    while (flow && !same_tuple(&flow->tuple, tuple))
        flow = flow->next;
    if (flow != NULL) {
        flow->newer->older = flow->older, flow->older->newer = flow->newer;
    } else {
        if (watcher->used < FLOWS) {
            flow = &watcher->flows[watcher->used++];
        } else {
            flow = watcher->recent.newer, watcher->evicted++;
            flow->newer->older = &watcher->recent, watcher->recent.newer = flow->newer;
            Flow **link = &watcher->buckets[tuple_hash(&flow->tuple) % BUCKETS];
            while (*link != flow)
                link = &(*link)->next;
            *link = flow->next;
        }
        memset(flow, 0, sizeof *flow);
        flow->tuple = *tuple, flow->next = *bucket, *bucket = flow;
    }
    flow->older = watcher->recent.older, flow->newer = &watcher->recent;
    flow->older->newer = flow, watcher->recent.older = flow;
    return flow;
}

static Flow *track(Watcher *watcher, const Packet *packet) {
    Flow *flow = flow_of(watcher, &packet->tuple);
    flow->packets++, flow->bytes += packet->len;
    if (packet->tuple.protocol != TCP)
        return flow;
    switch (flow->state) {
    case NEW: flow->state = packet->flags & SYN ? OPENED : NEW; break;
    case OPENED: flow->state = packet->flags & ACK ? ESTABLISHED : OPENED; break;
    case ESTABLISHED: flow->state = packet->flags & FIN ? CLOSING : ESTABLISHED; break;
    case CLOSING: flow->state = packet->flags & SYN ? OPENED : CLOSING; break;
    }
    flow->gaps += flow->state == ESTABLISHED && packet->sequence != flow->expected;
    flow->expected = packet->sequence + packet->len + ((packet->flags & (SYN | FIN)) != 0);
    return flow;
}

/* Fragments: the holes of a datagram are lists of 16-bit values within its own unfilled bytes. */
typedef struct {
    Tuple tuple;
    uint16_t id, first, total;
    uint8_t busy, bytes[DATAGRAM + 8];
} Queue;

enum { NO_HOLE = 0xffff };

static uint16_t *hole_put(Queue *queue, uint32_t start, uint32_t end, uint32_t next) {
    put16(put16(queue->bytes + start, end), next);
    return &queue->first;
}

/* Returns the length of the datagram once it is whole. */
static uint32_t reassemble(Queue *queue, const Packet *packet) {
    uint32_t start = (packet->fragment & 0x1fffu) * 8, end = start + packet->len, before = NO_HOLE;
    if (end > DATAGRAM)
        return 0;
    if (!queue->busy || queue->id != packet->id || queue->tuple.source != packet->tuple.source) {
        queue->busy = 1, queue->id = packet->id, queue->tuple = packet->tuple;
        queue->total = DATAGRAM, *hole_put(queue, 0, DATAGRAM, NO_HOLE) = 0;
    }
    if (!(packet->fragment & MORE))
        queue->total = (uint16_t)end;
    for (uint32_t hole = queue->first; hole != NO_HOLE;) {
        Reader in = {queue->bytes + hole, queue->bytes + DATAGRAM + 8, 0};
        uint32_t hole_end = get16(&in), next = get16(&in), after = next;
        if (start < hole_end && end > hole) {
            uint32_t low = start > hole ? start : hole, high = end < hole_end ? end : hole_end;
            if (high < hole_end && high < queue->total)
                hole_put(queue, high, hole_end, after), after = high;
            memcpy(queue->bytes + low, packet->data + (low - start), high - low);
            if (low > hole)
                hole_put(queue, hole, low, after), after = hole;
            if (before == NO_HOLE)
                queue->first = (uint16_t)after;
            else
                put16(queue->bytes + before + 2, after);
            before = low > hole ? (high < hole_end && high < queue->total ? high : hole)
                                : (high < hole_end && high < queue->total ? high : before);
        } else {
            before = hole;
        }
        hole = next;
    }
    if (queue->first != NO_HOLE && queue->first < queue->total)
        return 0;
    queue->busy = 0;
    return queue->total;
}

/* Names of DNS: suffixes that were written before are pointed to. */
typedef struct {
    uint8_t bytes[512];
    uint16_t len, starts[64], count;
} Message;

static const char *const labels[] = {"www", "mail", "example", "org", "net", "shop", "static", "a",
                                     "news-7"};

static int same_name(const Message *message, uint32_t at, const uint8_t *name) {
    for (;;) {
        uint8_t len = message->bytes[at];
        if (len >= 0xc0) {
            at = (len & 0x3fu) << 8 | message->bytes[at + 1];
            continue;
        }
        if (len != *name || memcmp(message->bytes + at + 1, name + 1, len) != 0)
            return 0;
        if (len == 0)
            return 1;
        at += 1u + len, name += 1 + len;
    }
}

static void put_name(Message *message, const uint8_t *name) {
    /* A name must not point into itself, which is not yet written to its end. */
    for (uint32_t known = message->count; *name != 0; name += 1 + *name) {
        for (uint32_t i = 0; i < known; i++)
            if (same_name(message, message->starts[i], name)) {
                put16(message->bytes + message->len, 0xc000u | message->starts[i]), message->len += 2;
                return;
            }
        if (message->count < 64)
            message->starts[message->count++] = message->len;
        memcpy(message->bytes + message->len, name, 1u + *name);
        message->len = (uint16_t)(message->len + 1 + *name);
    }
    message->bytes[message->len++] = 0;
}

/* Reads a name as text with dots in small letters; pointers lead back only. */
static uint32_t get_name(Reader *in, const uint8_t *message, char *out) {
    uint32_t len = 0, limit = (uint32_t)(in->at - message), jumps = 0;
    Reader at = *in;
    for (;;) {
        uint32_t label = get8(&at);
        if (label >= 0xc0) {
            uint32_t to = (label & 0x3f) << 8 | get8(&at);
            in->at = jumps++ == 0 ? at.at : in->at;
            if (to >= limit || at.bad) {
                in->bad = 1;
                break;
            }
            limit = to, at.at = message + to;
            continue;
        }
        if (label == 0 || label > 63 || at.end - at.at < (ptrdiff_t)label || len + label > 200) {
            in->bad |= label != 0 || at.bad;
            break;
        }
        for (out[len] = '.', len += len > 0; label > 0; label--) {
            char c = (char)get8(&at);
            out[len++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
    }
    in->at = jumps ? in->at : at.at;
    return len;
}

static uint32_t make_answer(Message *message, Random *random) {
    uint32_t sum = 0, names = 3 + random_below(random, 4);
    memset(message->bytes, 0, 12), message->len = 12, message->count = 0;
    put16(message->bytes + 6, names);
    for (uint32_t i = 0; i < names; i++) {
        uint8_t name[64], *at = name;
        for (uint32_t parts = 2 + random_below(random, 3); parts > 0; parts--) {
            const char *label = labels[random_below(random, parts > 2 ? 9 : 4)];
            *at = (uint8_t)strlen(label);
            memcpy(at + 1, label, *at), sum += *at, at += 1 + *at;
        }
        *at = 0;
        put_name(message, name);
        uint8_t *rest = put16(put16(message->bytes + message->len, 1), 1);
        put32(put16(put32(rest, 300 * i), 4), 0x0a000001u + i), message->len += 14;
    }
    return sum;
}

/* Returns how many letters the names have. */
static uint32_t read_answer(const uint8_t *bytes, uint32_t len, Digest *digest) {
    char name[256];
    Reader in = {bytes, bytes + len, 0};
    in.at += 6;
    uint32_t count = get16(&in), sum = 0, hash = 0;
    for (in.at += 4; count > 0 && !in.bad; count--) {
        uint32_t letters = get_name(&in, bytes, name);
        for (uint32_t i = 0; i < letters; i++)
            sum += name[i] != '.', hash = hash * 31 + (uint8_t)name[i];
        hash ^= get16(&in) << 16 | get16(&in);
        hash += get32(&in);
        hash ^= get16(&in) == 4 ? get32(&in) : 0;
    }
    digest_u64(digest, (uint64_t)hash << 32 | (uint32_t)in.bad);
    return sum;
}

/* Records of tag, length and value, written from the end, when lengths are known. */
enum { INTEGER = 2, OCTETS = 4, OBJECT = 6, SEQUENCE = 0x30 };

static uint8_t *put_head(uint8_t *at, uint8_t tag, uint32_t len) {
    uint32_t rest = len, bytes = 0;
    if (len < 128) {
        *--at = (uint8_t)len;
    } else {
        for (; rest > 0; rest >>= 8, bytes++)
            *--at = (uint8_t)rest;
        *--at = (uint8_t)(0x80 | bytes);
    }
    *--at = tag;
    return at;
}

static uint8_t *put_record(uint8_t *end, Random *random, int depth, uint64_t *sum) {
    uint8_t *at = end;
    uint32_t choice = random_below(random, 6);
    if (depth > 0 && (choice < 3 || depth == 4)) {
        for (uint32_t items = 2 + random_below(random, 4); items > 0; items--)
            at = put_record(at, random, depth - 1, sum);
        return put_head(at, SEQUENCE, (uint32_t)(end - at));
    }
    if (choice < 4) {
        int64_t value = (int64_t)random_u64(random) >> random_below(random, 60), rest = value;
        do
            *--at = (uint8_t)rest, rest >>= 8;
        while (rest != (int8_t)*at >> 7);
        *sum += (uint64_t)value;
        return put_head(at, INTEGER, (uint32_t)(end - at));
    }
    if (choice == 4) {
        for (uint32_t i = 0; i < 5; i++) {
            uint32_t value = (uint32_t)random_u64(random) >> (4 + random_below(random, 28));
            *sum += value;
            for (*--at = value & 127; (value >>= 7) > 0;)
                *--at = (uint8_t)(0x80 | (value & 127));
        }
        return put_head(at, OBJECT, (uint32_t)(end - at));
    }
    at -= random_below(random, 50);
    memset(at, (int)choice, (size_t)(end - at)), *sum += (uint64_t)(end - at);
    return put_head(at, OCTETS, (uint32_t)(end - at));
}

static uint64_t read_records(Reader *in, int depth) {
    uint64_t sum = 0;
    while (in->at < in->end && !in->bad) {
        uint32_t tag = get8(in), len = get8(in);
        if (len >= 128) {
            uint32_t bytes = len & 127;
            for (len = 0; bytes > 0 && bytes < 4; bytes--)
                len = len << 8 | get8(in);
        }
        if (in->bad || in->end - in->at < (ptrdiff_t)len || depth > DEEPEST) {
            in->bad = 1;
            break;
        }
        Reader inner = {in->at, in->at + len, 0};
        in->at += len;
        uint64_t value = len > 0 && *inner.at >> 7 ? UINT64_MAX : 0;
        switch (tag) {
        case SEQUENCE: sum += read_records(&inner, depth + 1); break;
        case INTEGER:
            while (inner.at < inner.end)
                value = value << 8 | *inner.at++;
            sum += value;
            break;
        case OBJECT:
            for (value = 0; inner.at < inner.end; inner.at++) {
                value = value << 7 | (*inner.at & 127);
                if (!(*inner.at & 128))
                    sum += value, value = 0;
            }
            break;
        case OCTETS: sum += len; break;
        default: in->bad = 1; break;
        }
        in->bad |= inner.bad;
    }
    return sum;
}

/* Requests of HTTP. Names of fields do not depend on the case. */
typedef struct {
    uint32_t method, fields, length, path, hosts;
    uint8_t close, version;
} Request;

static int same_word(const uint8_t *at, uint32_t len, const char *word) {
    for (; len > 0 && *word; len--, at++, word++) {
        uint8_t c = *at >= 'A' && *at <= 'Z' ? (uint8_t)(*at | 32) : *at;
        if (c != (uint8_t)*word)
            return 0;
    }
    return len == 0 && *word == '\0';
}

static int parse_request(Request *request, Reader *in) {
    memset(request, 0, sizeof *request);
    for (uint32_t c; (c = get8(in)) != ' ' && !in->bad;)
        request->method = request->method << 8 | c;
    for (uint32_t c; (c = get8(in)) != ' ' && !in->bad;)
        request->path = request->path * 31 + c;
    if (in->end - in->at < 10 || memcmp(in->at, "HTTP/1.", 7) != 0)
        return 0;
    request->version = (uint8_t)(in->at[7] - '0'), in->at += 10;
    for (;; request->fields++) {
        const uint8_t *name = in->at, *value, *end;
        while (in->at < in->end && *in->at != ':' && *in->at != '\r')
            in->at++;
        uint32_t len = (uint32_t)(in->at - name);
        if (len == 0)
            return get16(in) == ('\r' << 8 | '\n') && !in->bad;
        if (get8(in) != ':')
            return 0;
        while (in->at < in->end && (*in->at == ' ' || *in->at == '\t'))
            in->at++;
        for (value = in->at; in->at < in->end && *in->at != '\r';)
            in->at++;
        for (end = in->at; end > value && end[-1] == ' ';)
            end--;
        if (get16(in) != ('\r' << 8 | '\n'))
            return 0;
        if (same_word(name, len, "content-length"))
            for (; value < end && *value >= '0' && *value <= '9'; value++)
                request->length = request->length * 10 + (*value - '0');
        else if (same_word(name, len, "connection"))
            request->close = (uint8_t)same_word(value, (uint32_t)(end - value), "close");
        else if (same_word(name, len, "host"))
            request->hosts++;
    }
}

static uint32_t make_request(uint8_t *out, Random *random, uint32_t *length) {
    static const char *const extra[] = {"Accept: text/html,*/*;q=0.8\r\n", "CONNECTION: Close  \r\n",
                                        "X-Trace:\t7f3a-22\r\n", "Cookie: id=42; theme=dark\r\n"};
    const char *parts[10];
    char digits[8] = "000\r\n";
    uint32_t count = 0;
    *length = random_below(random, 200);
    digits[0] = (char)('0' + *length / 100), digits[1] = (char)('0' + *length / 10 % 10);
    digits[2] = (char)('0' + *length % 10);
    parts[count++] = *length & 1 ? "GET /" : "POST /";
    parts[count++] = labels[random_below(random, 9)], parts[count++] = ".html?q=1 HTTP/1.1\r\nHost: ";
    parts[count++] = labels[random_below(random, 9)], parts[count++] = "\r\n";
    parts[count++] = extra[random_below(random, 4)], parts[count++] = extra[random_below(random, 4)];
    parts[count++] = "content-LENGTH: ", parts[count++] = digits, parts[count++] = "\r\n";
    uint8_t *at = out;
    for (uint32_t i = 0; i < count; i++)
        for (const char *c = parts[i]; *c; c++)
            *at++ = (uint8_t)*c;
    memset(at, 'x', *length);
    return (uint32_t)(at - out) + *length;
}

typedef struct {
    uint8_t frames[FRAMES][MTU];
    uint32_t lens[FRAMES], count;
} Wire;

/* Puts a segment on the wire, in pieces out of order if it is long. */
static void send(Wire *wire, const Tuple *tuple, uint32_t id, const uint8_t *bytes, uint32_t len) {
    uint32_t piece = len > 400 ? 96 : len, pieces = (len + piece - 1) / piece;
    for (uint32_t i = 0; i < pieces && wire->count < FRAMES; i++) {
        uint32_t start = (i * 7 + id) % pieces * piece;
        start = pieces % 7 == 0 ? i * piece : start;
        uint32_t end = start + piece + 16 < len ? start + piece + (i & 1) * 16 : len;
        uint32_t fragment = start / 8 | (end < len ? MORE : 0);
        wire->lens[wire->count] = build_frame(wire->frames[wire->count], tuple, id, fragment, bytes + start,
                                              end - start);
        wire->count++;
    }
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS), sequence = 1;
    Random random = {97};
    Digest digest = {0};
    Wire *wire = allocate(sizeof *wire);
    Router *router = allocate(sizeof *router);
    Watcher *watcher = allocate(sizeof *watcher);
    Queue *queues = allocate(QUEUES * sizeof *queues);
    memset(watcher, 0, sizeof *watcher), memset(queues, 0, QUEUES * sizeof *queues);
    watcher->recent.older = watcher->recent.newer = &watcher->recent;
    for (uint32_t round = 0; round < rounds; round++) {
        static uint8_t data[LARGEST], segment[DATAGRAM];
        uint64_t sums[3] = {0, 0, 0}, seen[3] = {0, 0, 0};
        run_routes(router, &random, &digest);
        for (wire->count = 0; wire->count + 24 < FRAMES; sequence++) {
            Message message;
            uint32_t kind = random_below(&random, 4), len, length;
            const uint8_t *bytes = data;
            if (kind == 0) {
                sums[0] += make_answer(&message, &random), bytes = message.bytes, len = message.len;
            } else if (kind == 1) {
                uint64_t sum;
                do {
                    sum = 0, bytes = put_record(data + LARGEST, &random, 4, &sum);
                    len = (uint32_t)(data + LARGEST - bytes);
                } while (len > 1400);
                sums[1] += sum;
            } else {
                len = make_request(data, &random, &length), sums[2] += length;
            }
            uint32_t host = random_below(&random, 30);
            Tuple tuple = {0x0a000000u + host * 259, router->routes[host].prefix | 5,
                           (uint16_t)(1024 + host * 7 + random_below(&random, 3)),
                           kind == 0 ? 53 : kind == 1 ? 389 : 80, kind == 0 ? UDP : TCP};
            uint8_t flags = host % 5 == 0 ? SYN : host % 7 == 0 ? FIN | ACK : ACK;
            len = build_segment(segment, &tuple, sequence * 40, flags, bytes, len);
            send(wire, &tuple, sequence & 0xffff, segment, len);
        }
        for (uint32_t i = 0; i < wire->count; i++) {
            Packet packet;
            Request request;
            require(parse_frame(&packet, wire->frames[i], wire->lens[i]), "a good header");
            if (packet.fragment != 0) {
                Queue *queue = &queues[packet.id % QUEUES];
                uint32_t len = reassemble(queue, &packet);
                if (len == 0)
                    continue;
                packet.data = queue->bytes, packet.len = len;
            }
            require(parse_segment(&packet, packet.data, packet.len), "a good segment");
            Flow *flow = track(watcher, &packet);
            Reader in = {packet.data, packet.data + packet.len, 0};
            switch (packet.tuple.to) {
            case 53: seen[0] += read_answer(packet.data, packet.len, &digest); break;
            case 389: seen[1] += read_records(&in, 0); break;
            default:
                require(parse_request(&request, &in) && request.hosts == 1, "a good request");
                require(request.length == (uint32_t)(in.end - in.at), "length of the content");
                seen[2] += request.length;
                digest_u64(&digest, (uint64_t)request.path << 32 | request.fields << 8 | request.close);
            }
            digest_u64(&digest, (uint64_t)flow->bytes << 32 | flow->gaps << 8 | flow->state);
            digest_u64(&digest, route_find(router, packet.tuple.target));
        }
        require(memcmp(sums, seen, sizeof sums) == 0, "all that was sent arrived");
        digest_u64(&digest, seen[1] ^ (uint64_t)watcher->evicted << 32 ^ watcher->used);
    }
    free(wire), free(router), free(watcher), free(queues);
    return digest_print(&digest);
}
