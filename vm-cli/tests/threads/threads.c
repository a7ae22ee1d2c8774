/* A program with threads: workers, a mutex, condition variables, thread-local storage, a parallel sum and a queue without
 * locks. It prints one number that depends on all of them, and not on who was first.
 *
 * As a native program it uses POSIX threads. As a module it has its own on top of `thread-spawn`, waits and wakes:
 *
 *   clang-19 --target=wasm32 -O2 -std=c11 -Wall -Wextra -Werror -ffreestanding -nostdlib -matomics -mbulk-memory \
 *     -Wl,--shared-memory,--import-memory,--export-memory,--max-memory=16777216,--strip-debug -o threads.wasm threads.c
 *
 *   cc -O2 -std=c11 -Wall -Wextra -Werror -pthread -o threads threads.c
 *
 * Arguments are not looked at: how many threads there are is part of what is computed. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
IMPORT("wasi", "thread-spawn") int thread_spawn(void *start);
IMPORT("wasi_snapshot_preview1", "fd_write") int fd_write(int fd, const void *list, size_t count, size_t *written);
IMPORT("wasi_snapshot_preview1", "proc_exit") _Noreturn void proc_exit(int status);

static void wait_while(_Atomic int *at, int value) {
    __builtin_wasm_memory_atomic_wait32((int *)at, value, -1);
}

static void wake(_Atomic int *at, unsigned count) {
    __builtin_wasm_memory_atomic_notify((int *)at, count);
}

/* Free, taken, or taken and somebody may wait. */
typedef struct {
    _Atomic int state;
} Mutex;

static void lock(Mutex *mutex) {
    int found = 0;
    if (atomic_compare_exchange_strong(&mutex->state, &found, 1))
        return;
    while (atomic_exchange(&mutex->state, 2) != 0)
        wait_while(&mutex->state, 2);
}

static void unlock(Mutex *mutex) {
    if (atomic_exchange(&mutex->state, 0) == 2)
        wake(&mutex->state, 1);
}

typedef struct {
    _Atomic int count;
} Condition;

static void await(Condition *condition, Mutex *mutex) {
    int count = atomic_load(&condition->count);
    unlock(mutex);
    wait_while(&condition->count, count);
    lock(mutex);
}

static void tell(Condition *condition) {
    atomic_fetch_add(&condition->count, 1);
    wake(&condition->count, -1u);
}

#define STACK 65536
#define TLS 256

typedef struct {
    /* The first two are where `wasi_thread_start` looks for them. */
    void *stack;
    void *tls;
    void (*run)(void *);
    void *argument;
    _Atomic int done;
    _Alignas(16) char bytes[STACK + TLS];
} Thread;

__asm__(".globaltype __stack_pointer, i32\n"
        ".functype __wasm_init_tls (i32) -> ()\n"
        ".functype thread_main (i32) -> ()\n"
        ".globl wasi_thread_start\n"
        ".export_name wasi_thread_start, wasi_thread_start\n"
        ".type wasi_thread_start, @function\n"
        "wasi_thread_start:\n"
        "  .functype wasi_thread_start (i32, i32) -> ()\n"
        "  local.get 1\n  i32.load 0\n  global.set __stack_pointer\n"
        "  local.get 1\n  i32.load 4\n  call __wasm_init_tls\n"
        "  local.get 1\n  call thread_main\n"
        "  end_function\n");

__attribute__((used)) void thread_main(Thread *thread) {
    thread->run(thread->argument);
    atomic_store(&thread->done, 1);
    wake(&thread->done, 1);
}

static void check(int condition) {
    if (!condition)
        __builtin_trap();
}

static void start(Thread *thread, void (*run)(void *), void *argument) {
    check(__builtin_wasm_tls_size() <= TLS);
    thread->tls = thread->bytes;
    thread->stack = thread->bytes + TLS + STACK;
    thread->run = run;
    thread->argument = argument;
    atomic_store(&thread->done, 0);
    check(thread_spawn(thread) > 0);
}

static void join(Thread *thread) {
    while (atomic_load(&thread->done) == 0)
        wait_while(&thread->done, 0);
}

static void print(const char *text, size_t len) {
    const struct {
        const char *text;
        size_t len;
    } list = {text, len};
    size_t written;
    check(fd_write(1, &list, 1, &written) == 0 && written == len);
}

int main(void);

__attribute__((export_name("_start"))) void _start(void) { proc_exit(main()); }

#else

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    pthread_mutex_t mutex;
} Mutex;

typedef struct {
    pthread_cond_t condition;
} Condition;

typedef struct {
    pthread_t thread;
    void (*run)(void *);
    void *argument;
} Thread;

static void check(int condition) {
    if (!condition)
        abort();
}

static void lock(Mutex *mutex) { check(pthread_mutex_lock(&mutex->mutex) == 0); }
static void unlock(Mutex *mutex) { check(pthread_mutex_unlock(&mutex->mutex) == 0); }

static void await(Condition *condition, Mutex *mutex) {
    check(pthread_cond_wait(&condition->condition, &mutex->mutex) == 0);
}

static void tell(Condition *condition) { check(pthread_cond_broadcast(&condition->condition) == 0); }

static void *run(void *thread) {
    ((Thread *)thread)->run(((Thread *)thread)->argument);
    return NULL;
}

static void start(Thread *thread, void (*function)(void *), void *argument) {
    thread->run = function;
    thread->argument = argument;
    check(pthread_create(&thread->thread, NULL, run, thread) == 0);
}

static void join(Thread *thread) { check(pthread_join(thread->thread, NULL) == 0); }
static void print(const char *text, size_t len) { check(fwrite(text, 1, len, stdout) == len); }

#endif

#define THREADS 8
#define NUMBERS 40000
#define ROUNDS 500

static Thread threads[THREADS];

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A parallel sum: each thread has a part, and adds what it has found at once. */
static uint32_t numbers[NUMBERS];
static _Atomic uint64_t sum;

static void add_up(void *argument) {
    size_t part = NUMBERS / THREADS;
    size_t first = part * (size_t)argument;
    uint64_t own = 0;
    for (size_t i = first; i < first + part; i++)
        own += mix(numbers[i]) >> 20;
    atomic_fetch_add(&sum, own);
}

/* What a mutex guards, and what each thread has for itself. */
static Mutex mutex;
static uint64_t guarded[3];
static _Thread_local uint64_t local = 7;
static _Thread_local uint32_t calls;
static _Atomic uint64_t locals;

static void count(void *argument) {
    for (int i = 0; i < ROUNDS; i++) {
        local = local * 31 + (size_t)argument;
        calls++;
        lock(&mutex);
        guarded[0] += 1;
        guarded[1] += guarded[0];
        guarded[2] ^= guarded[1];
        unlock(&mutex);
    }
    check(calls == ROUNDS);
    atomic_fetch_xor(&locals, mix(local));
}

/* A queue of a few numbers: half of the threads put, the others take. */
#define ROOM 5
static Condition not_full, not_empty;
static uint32_t queue[ROOM];
static unsigned length, head;
static _Atomic uint64_t taken;

static void put(void *argument) {
    for (uint32_t i = 0; i < ROUNDS; i++) {
        lock(&mutex);
        while (length == ROOM)
            await(&not_full, &mutex);
        queue[(head + length++) % ROOM] = (uint32_t)(size_t)argument * ROUNDS + i;
        unlock(&mutex);
        tell(&not_empty);
    }
}

static void take(void *argument) {
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        lock(&mutex);
        while (length == 0)
            await(&not_empty, &mutex);
        uint32_t number = queue[head];
        head = (head + 1) % ROOM;
        length--;
        unlock(&mutex);
        tell(&not_full);
        atomic_fetch_add(&taken, mix(number));
    }
}

/* A list without locks: all push nodes of their own, and pop some of anybody's. A node is pushed once, so that none comes
 * back while somebody looks at it. */
typedef struct {
    uint32_t next;
    uint32_t value;
} Node;

static Node nodes[THREADS * ROUNDS + 1];
static _Atomic uint32_t top;
static _Atomic uint64_t popped;
static _Atomic uint32_t pops;

static uint32_t pop(void) {
    uint32_t found = atomic_load(&top);
    while (found != 0 && !atomic_compare_exchange_weak(&top, &found, nodes[found].next)) {
    }
    return found;
}

static void push_and_pop(void *argument) {
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t node = (uint32_t)(size_t)argument * ROUNDS + i + 1;
        nodes[node].value = node * 3;
        uint32_t found = atomic_load(&top);
        do {
            nodes[node].next = found;
        } while (!atomic_compare_exchange_weak(&top, &found, node));
        if (i % 2 == 0 && (node = pop()) != 0) {
            atomic_fetch_add(&popped, mix(nodes[node].value));
            atomic_fetch_add(&pops, 1);
        }
    }
}

static void in_all(void (*first)(void *), void (*second)(void *)) {
    for (size_t i = 0; i < THREADS; i++)
        start(&threads[i], i < THREADS / 2 ? first : second, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        join(&threads[i]);
}

int main(void) {
#ifndef __wasm__
    check(pthread_mutex_init(&mutex.mutex, NULL) == 0);
    check(pthread_cond_init(&not_full.condition, NULL) == 0);
    check(pthread_cond_init(&not_empty.condition, NULL) == 0);
#endif
    for (uint32_t i = 0; i < NUMBERS; i++)
        numbers[i] = i * 2654435761u;
    for (int round = 0; round < 5; round++)
        in_all(add_up, add_up);
    in_all(count, count);
    in_all(put, take);
    in_all(push_and_pop, push_and_pop);
    for (uint32_t node; (node = pop()) != 0;) {
        atomic_fetch_add(&popped, mix(nodes[node].value));
        atomic_fetch_add(&pops, 1);
    }
    check(pops == THREADS * ROUNDS && length == 0 && local == 7 && calls == 0);
    uint64_t digest = mix(sum) ^ mix(guarded[1]) ^ mix(guarded[2] + 1) ^ locals ^ mix(taken + 2) ^ mix(popped + 3);
    char line[17];
    for (int i = 0; i < 16; i++)
        line[i] = "0123456789abcdef"[digest >> (60 - 4 * i) & 15];
    line[16] = '\n';
    print(line, sizeof line);
    return 0;
}
