/* A simulation of events and what an operating system is made of: a heap of pointers to events, a
 * wheel of timers, tasks that are state machines and send each other messages through ring buffers,
 * blocks of one size from a free list, blocks of all sizes found by first fit. Fields behind
 * pointers, lists, switches over states. */
#include "../common.h"

enum { STANDARD_ROUNDS = 160, EVENTS = 3000, COUNTERS = 6, TIMERS = 200, TICKS = 1500, LINES = 4,
       MESSAGES = 110, ARENA = 1 << 14, HELD = 64, REQUESTS = 1400 };

typedef struct {
    uint32_t count, least, most;
    uint64_t total;
} Statistics;

static void note(Statistics *statistics, uint32_t value) {
    if (statistics->count == 0 || value < statistics->least)
        statistics->least = value;
    if (value > statistics->most)
        statistics->most = value;
    statistics->count++, statistics->total += value;
}

static void digest_statistics(Digest *digest, const Statistics *statistics) {
    digest_u64(digest, (uint64_t)statistics->least << 32 | statistics->most);
    digest_u64(digest, statistics->total << 20 ^ statistics->count);
}

/* Blocks of one size. */
typedef struct Block {
    struct Block *next;
} Block;

typedef struct {
    Block *unused;
    uint32_t taken, peak;
} Pool;

static void pool_fill(Pool *pool, uint8_t *bytes, size_t size, uint32_t count) {
    *pool = (Pool){NULL, 0, 0};
    for (; count > 0; count--, bytes += size) {
        Block *block = (Block *)(void *)bytes;
        block->next = pool->unused, pool->unused = block;
    }
}

static void *pool_take(Pool *pool) {
    Block *block = pool->unused;
    require(block != NULL, "a block is left");
    pool->unused = block->next;
    if (++pool->taken > pool->peak)
        pool->peak = pool->taken;
    return block;
}

static void pool_give(Pool *pool, void *memory) {
    Block *block = memory;
    block->next = pool->unused, pool->unused = block;
    pool->taken--;
}

/* A hall with counters: customers arrive, join the shortest queue, are served; counters close. */
typedef struct Customer {
    struct Customer *next;
    uint32_t arrived, work;
} Customer;

typedef struct {
    Customer *first, **last;
    uint32_t length, open;
    Statistics waited, served;
} Counter;

typedef struct {
    Counter *counter;
    uint32_t time, order;
    uint8_t kind;
} Event;

enum { ARRIVE, LEAVE, CLOSE, OPEN };

typedef struct {
    Event *heap[4 * COUNTERS + 8];
    Counter counters[COUNTERS];
    Pool events, customers;
    uint32_t len, order, now;
    uint8_t *event_bytes, *customer_bytes;
} Hall;

static int before(const Event *a, const Event *b) {
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void heap_push(Hall *hall, uint8_t kind, uint32_t delay, Counter *counter) {
    Event *event = pool_take(&hall->events);
    *event = (Event){counter, hall->now + delay, hall->order++, kind};
    uint32_t at = hall->len++;
    for (; at > 0 && before(event, hall->heap[(at - 1) / 2]); at = (at - 1) / 2)
        hall->heap[at] = hall->heap[(at - 1) / 2];
    hall->heap[at] = event;
}

static Event *heap_pop(Hall *hall) {
    Event *least = hall->heap[0], *last = hall->heap[--hall->len];
    uint32_t at = 0, child;
    while ((child = 2 * at + 1) < hall->len) {
        child += child + 1 < hall->len && before(hall->heap[child + 1], hall->heap[child]);
        if (!before(hall->heap[child], last))
            break;
        hall->heap[at] = hall->heap[child], at = child;
    }
    hall->heap[at] = last;
    return least;
}

static void serve(Hall *hall, Counter *counter) {
    if (counter->first == NULL || !counter->open)
        return;
    note(&counter->waited, hall->now - counter->first->arrived);
    heap_push(hall, LEAVE, counter->first->work, counter);
}

static void arrive(Hall *hall, Random *random) {
    Customer *customer = pool_take(&hall->customers);
    *customer = (Customer){NULL, hall->now, 20 + random_below(random, 200)};
    Counter *shortest = hall->counters;
    for (Counter *at = shortest + 1; at < hall->counters + COUNTERS; at++)
        if (at->length + 4 * !at->open < shortest->length + 4 * !shortest->open)
            shortest = at;
    *shortest->last = customer, shortest->last = &customer->next;
    if (shortest->length++ == 0)
        serve(hall, shortest);
    heap_push(hall, ARRIVE, 5 + random_below(random, 40), NULL);
}

static void leave(Hall *hall, Counter *counter, Random *random) {
    Customer *customer = counter->first;
    counter->first = customer->next, counter->length--;
    if (counter->first == NULL)
        counter->last = &counter->first;
    note(&counter->served, hall->now - customer->arrived);
    pool_give(&hall->customers, customer);
    if (random_below(random, 16) == 0)
        heap_push(hall, CLOSE, 0, counter);
    else
        serve(hall, counter);
}

static void simulate(Hall *hall, Random *random, Digest *digest) {
    pool_fill(&hall->events, hall->event_bytes, sizeof(Event), 4 * COUNTERS + 8);
    pool_fill(&hall->customers, hall->customer_bytes, sizeof(Customer), EVENTS);
    hall->len = hall->order = hall->now = 0;
    for (Counter *at = hall->counters; at < hall->counters + COUNTERS; at++)
        *at = (Counter){.first = NULL, .last = &at->first, .open = 1};
    for (int i = 0; i < 2; i++)
        heap_push(hall, ARRIVE, random_below(random, 50), NULL);
    for (int i = 0; i < EVENTS; i++) {
        Event *event = heap_pop(hall);
        Counter *counter = event->counter;
        require(event->time >= hall->now, "time goes on");
        hall->now = event->time;
        switch (event->kind) {
        case ARRIVE: arrive(hall, random); break;
        case LEAVE: leave(hall, counter, random); break;
        case CLOSE: counter->open = 0, heap_push(hall, OPEN, 300, counter); break;
        default: counter->open = 1, serve(hall, counter); break;
        }
        pool_give(&hall->events, event);
    }
    require(hall->events.taken == hall->len, "events all accounted for");
    uint32_t inside = 0;
    for (Counter *at = hall->counters; at < hall->counters + COUNTERS; at++) {
        inside += at->length;
        digest_statistics(digest, &at->waited), digest_statistics(digest, &at->served);
    }
    require(inside == hall->customers.taken, "customers all accounted for");
    digest_u64(digest, (uint64_t)hall->now << 32 | hall->customers.peak << 16 | hall->events.peak);
}

/* Timers: 64 lists for the next ticks, 64 for the next times 64 ticks. */
typedef struct Timer {
    struct Timer *next, **link;
    uint32_t due, period, fired;
    uint8_t kind;
} Timer;

typedef struct {
    Timer *near[64], *far[64];
    uint32_t now, moved;
} Wheel;

enum { ONCE, PERIODIC, WATCHDOG };

static void timer_link(Wheel *wheel, Timer *timer) {
    Timer **list = (timer->due ^ wheel->now) >> 6 == 0 ? &wheel->near[timer->due & 63]
                                                       : &wheel->far[timer->due >> 6 & 63];
    timer->next = *list, timer->link = list, *list = timer;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
}

static void timer_stop(Timer *timer) {
    if (timer->link == NULL)
        return;
    *timer->link = timer->next;
    if (timer->next != NULL)
        timer->next->link = timer->link;
    timer->link = NULL;
}

/* The delay is 1 to 4000 ticks. */
static void timer_start(Wheel *wheel, Timer *timer, uint32_t delay) {
    timer_stop(timer);
    timer->due = wheel->now + delay;
    timer_link(wheel, timer);
}

static Timer *first_due(Wheel *wheel) {
    Timer *timer = wheel->near[wheel->now & 63];
    if (timer != NULL)
        timer_stop(timer);
    return timer;
}

static void tick(Wheel *wheel) {
    Timer *timer, **list = &wheel->far[++wheel->now >> 6 & 63];
    if (wheel->now & 63)
        return;
    while ((timer = *list) != NULL)
        timer_stop(timer), timer_link(wheel, timer), wheel->moved++;
}

static void timers(Timer *all, Random *random, Digest *digest) {
    static Wheel wheel;
    memset(&wheel, 0, sizeof wheel);
    Statistics fired = {0}, left = {0};
    for (uint32_t i = 0; i < TIMERS; i++) {
        all[i] = (Timer){.period = 1 + random_below(random, 300), .kind = (uint8_t)(i % 3)};
        timer_start(&wheel, &all[i], all[i].period);
    }
    for (int i = 0; i < TICKS; i++) {
        tick(&wheel);
        for (Timer *timer; (timer = first_due(&wheel)) != NULL;) {
            require(timer->due == wheel.now, "a timer fires when it is due");
            timer->fired++;
            switch (timer->kind) {
            case ONCE: timer_start(&wheel, timer, 1 + random_below(random, 900)); break;
            case PERIODIC: timer_start(&wheel, timer, timer->period); break;
            default: timer_start(&wheel, timer, 2 * timer->period); break;
            }
        }
        for (int j = 0; j < 3; j++) { /* Something that is being watched shows that it is alive. */
            Timer *timer = &all[random_below(random, TIMERS)];
            if (timer->kind == WATCHDOG)
                note(&left, timer->due - wheel.now), timer_start(&wheel, timer, 2 * timer->period);
        }
    }
    for (uint32_t i = 0; i < TIMERS; i++) {
        require(all[i].due > wheel.now, "no timer was missed");
        require(all[i].kind != PERIODIC || all[i].fired == TICKS / all[i].period, "periods");
        note(&fired, all[i].fired);
    }
    digest_statistics(digest, &fired), digest_statistics(digest, &left);
    digest_u64(digest, wheel.moved);
}

/* Tasks: lines of a source, a worker, a judge and a sink, of different priorities. */
typedef struct {
    uint32_t number, value;
    uint8_t last;
} Message;

typedef struct Task Task;

typedef struct {
    Message slots[8];
    uint32_t head, tail;
    Task *reader, *writer;
} Ring;

struct Task {
    Timer timer; /* First, so that the timer's address is the task's. */
    Task *next;
    Ring *in, *out;
    Message held;
    uint8_t kind, state, priority, ready;
    uint32_t work, done, dropped;
    Statistics values;
};

typedef struct {
    Task *first[4], *last[4];
    Wheel wheel;
    uint32_t picks, switches;
} Scheduler;

enum { SOURCE, WORKER, JUDGE, SINK };
enum { IDLE, RECEIVE, MAKE, WORK, DECIDE, SEND, REST, ACCOUNT, ENDED };
enum { RUN, WAIT };

static void make_ready(Scheduler *scheduler, Task *task) {
    /* One that rests is woken by its timer, not by its ring. */
    if (task == NULL || task->ready || task->state == ENDED || task->timer.link != NULL)
        return;
    unsigned level = task->priority;
    if (scheduler->first[level] == NULL)
        scheduler->first[level] = task;
    else
        scheduler->last[level]->next = task;
    scheduler->last[level] = task, task->next = NULL, task->ready = 1;
}

/* The most urgent task that is ready, but at times the least urgent, so that none starves. */
static Task *pick(Scheduler *scheduler) {
    unsigned flip = ++scheduler->picks % 8 == 0 ? 3 : 0;
    for (unsigned i = 0; i < 4; i++) {
        Task *task = scheduler->first[i ^ flip];
        if (task == NULL)
            continue;
        scheduler->first[i ^ flip] = task->next, task->ready = 0;
        return task;
    }
    return NULL;
}

static int ring_get(Scheduler *scheduler, Ring *ring, Message *message) {
    if (ring->head == ring->tail)
        return 0;
    *message = ring->slots[ring->head++ & 7];
    make_ready(scheduler, ring->writer);
    return 1;
}

static int ring_put(Scheduler *scheduler, Ring *ring, const Message *message) {
    if (ring->tail - ring->head == 8)
        return 0;
    ring->slots[ring->tail++ & 7] = *message;
    make_ready(scheduler, ring->reader);
    return 1;
}

/* One step of a task's state machine; whether it could go on at once. */
static int step(Scheduler *scheduler, Task *task) {
    Message *held = &task->held;
    switch (task->state) {
    case IDLE: task->state = task->kind == SOURCE ? MAKE : RECEIVE; return RUN;
    case RECEIVE:
        if (!ring_get(scheduler, task->in, held))
            return WAIT;
        switch (task->kind) {
        case WORKER: task->state = WORK, task->work = 1 + held->value % 5; return RUN;
        case JUDGE: task->state = DECIDE; return RUN;
        default: task->state = ACCOUNT; return RUN;
        }
    case MAKE:
        held->number = task->done++, held->last = task->done == MESSAGES;
        held->value = held->value * 1664525 + 1013904223, task->state = SEND;
        return RUN;
    case WORK:
        held->value = rotl32(held->value, 5) ^ held->number;
        task->done++;
        if (--task->work == 0)
            task->state = SEND;
        return RUN;
    case DECIDE:
        if (held->last || held->value >> 30 != 0)
            task->state = SEND;
        else
            task->dropped++, task->state = RECEIVE;
        return RUN;
    case SEND:
        if (!ring_put(scheduler, task->out, held))
            return WAIT;
        task->state = held->last ? ENDED : task->kind != SOURCE ? RECEIVE
                    : held->value >> 29 == 0 ? REST : MAKE;
        return held->last ? WAIT : RUN;
    case REST:
        task->state = MAKE;
        timer_start(&scheduler->wheel, &task->timer, 1 + (held->value >> 8 & 127));
        return WAIT;
    case ACCOUNT:
        require(task->done == 0 || held->number > task->work, "messages stay in order");
        task->work = held->number, task->done++;
        note(&task->values, held->value);
        task->state = held->last ? ENDED : RECEIVE;
        return held->last ? WAIT : RUN;
    default: return WAIT;
    }
}

static void run_tasks(Task *tasks, Ring *rings, Random *random, Digest *digest) {
    static Scheduler scheduler;
    memset(&scheduler, 0, sizeof scheduler);
    uint32_t ended = 0;
    for (unsigned i = 0; i < 4 * LINES; i++) {
        unsigned kind = i & 3, line = i >> 2;
        Task *task = &tasks[i];
        *task = (Task){.kind = (uint8_t)kind, .priority = (uint8_t)random_below(random, 4)};
        task->held.value = (uint32_t)random_u64(random);
        if (kind != SINK) /* The ring that goes out, and into the next task. */
            rings[3 * line + kind] = (Ring){.writer = task, .reader = task + 1},
            task->out = &rings[3 * line + kind];
        if (kind != SOURCE)
            task->in = &rings[3 * line + kind - 1];
        make_ready(&scheduler, task);
    }
    while (ended < 4 * LINES) {
        tick(&scheduler.wheel);
        for (Timer *timer; (timer = first_due(&scheduler.wheel)) != NULL;)
            make_ready(&scheduler, (Task *)(void *)timer);
        Task *task = pick(&scheduler);
        if (task == NULL)
            continue;
        int going = RUN;
        for (int slice = 4; slice > 0 && going == RUN; slice--)
            going = step(&scheduler, task);
        ended += task->state == ENDED, scheduler.switches++;
        if (going == RUN)
            make_ready(&scheduler, task);
    }
    for (Task *task = tasks; task < tasks + 4 * LINES; task += 4) {
        require(task[0].done == MESSAGES, "all messages were sent");
        require(task[3].done + task[2].dropped == MESSAGES, "no message was lost");
        digest_statistics(digest, &task[3].values);
    }
    digest_u64(digest, (uint64_t)scheduler.wheel.now << 32 | scheduler.switches);
}

/* First fit over an array of bytes. Each block has a header; sizes are counted with it, and lead to
 * the next block as `before` leads to the previous one. */
typedef struct {
    uint32_t size, before, used, tag;
} Header;

static Header *header_at(uint8_t *arena, uint32_t at) {
    return (Header *)(void *)(arena + at);
}

static uint32_t arena_take(uint8_t *arena, uint32_t bytes, uint32_t tag, Statistics *searched) {
    uint32_t need = ((bytes + 15) & ~15u) + sizeof(Header), steps = 0, at = 0;
    for (; at < ARENA; at += header_at(arena, at)->size, steps++) {
        Header *header = header_at(arena, at);
        if (header->used || header->size < need)
            continue;
        uint32_t rest = header->size - need;
        if (rest > sizeof(Header)) {
            *header_at(arena, at + need) = (Header){rest, need, 0, 0};
            if (at + header->size < ARENA)
                header_at(arena, at + header->size)->before = rest;
            header->size = need;
        }
        header->used = bytes, header->tag = tag;
        note(searched, steps);
        return at + sizeof(Header);
    }
    return 0;
}

static void arena_give(uint8_t *arena, uint32_t at) {
    at -= sizeof(Header);
    Header *header = header_at(arena, at);
    header->used = 0;
    if (at + header->size < ARENA && !header_at(arena, at + header->size)->used)
        header->size += header_at(arena, at + header->size)->size;
    if (at > 0 && !header_at(arena, at - header->before)->used) {
        at -= header->before;
        header_at(arena, at)->size += header->size, header = header_at(arena, at);
    }
    if (at + header->size < ARENA)
        header_at(arena, at + header->size)->before = header->size;
}

static uint32_t arena_walk(uint8_t *arena) {
    uint32_t at = 0, size = 0, blocks = 0, free_before = 0;
    for (; at < ARENA; at += size, blocks++) {
        Header *header = header_at(arena, at);
        require(header->before == size, "blocks know the ones before them");
        require(header->used || !free_before, "free neighbours are one block");
        size = header->size, free_before = !header->used;
    }
    require(at == ARENA, "the blocks fill the arena");
    return blocks;
}

static void allocations(uint8_t *arena, Random *random, Digest *digest) {
    uint32_t held[HELD] = {0}, refused = 0;
    Statistics searched = {0}, sizes = {0};
    *header_at(arena, 0) = (Header){ARENA, 0, 0, 0};
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint32_t *slot = &held[random_below(random, HELD)], kind = random_below(random, 8);
        if (*slot != 0) {
            Header *header = header_at(arena, *slot - sizeof(Header));
            require(arena[*slot] == (header->tag & 255)
                        && arena[*slot + header->used - 1] == (header->tag & 255), "contents");
            arena_give(arena, *slot), *slot = 0;
        } else {
            uint32_t bytes = 1 + random_below(random, kind == 0 ? 2000 : kind < 4 ? 400 : 60);
            if ((*slot = arena_take(arena, bytes, i, &searched)) == 0)
                refused++;
            else
                memset(arena + *slot, (int)(i & 255), bytes), note(&sizes, bytes);
        }
        if (i % 100 == 99)
            digest_u64(digest, arena_walk(arena));
    }
    for (int i = 0; i < HELD; i++)
        if (held[i] != 0)
            arena_give(arena, held[i]);
    require(arena_walk(arena) == 1, "everything was given back");
    digest_statistics(digest, &searched), digest_statistics(digest, &sizes);
    digest_u64(digest, refused);
}

int main(int argc, char **argv) {
    uint32_t rounds = rounds_from_arguments(argc, argv, STANDARD_ROUNDS);
    Random random = {29};
    Digest digest = {0};
    Hall *hall = allocate(sizeof *hall);
    hall->event_bytes = allocate((4 * COUNTERS + 8) * sizeof(Event));
    hall->customer_bytes = allocate(EVENTS * sizeof(Customer));
    Timer *all = allocate(TIMERS * sizeof *all);
    Task *tasks = allocate(4 * LINES * sizeof *tasks);
    Ring *rings = allocate(3 * LINES * sizeof *rings);
    uint8_t *arena = allocate(ARENA);
    while (rounds--) {
        simulate(hall, &random, &digest);
        timers(all, &random, &digest);
        run_tasks(tasks, rings, &random, &digest);
        allocations(arena, &random, &digest);
    }
    free(hall->event_bytes), free(hall->customer_bytes), free(hall);
    free(all), free(tasks), free(rings), free(arena);
    return digest_print(&digest);
}
