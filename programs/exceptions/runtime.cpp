/* What compiled C++ calls to throw and catch, over WebAssembly's exceptions.
 *
 * Debian's libc++abi for WebAssembly is built without exceptions, so its part of the ABI is here: what is thrown carries the
 * address of a `Thrown`, and where it is caught, the compiler's code asks `_Unwind_CallPersonality` which of the catch clauses is meant.
 *
 * Specifications: the Itanium C++ ABI, "Exception Handling" (https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html), for the
 * functions and the table of types; LLVM's pass WasmEHPrepare for `__wasm_lpad_context`. One thread, no foreign exceptions. */
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <typeinfo>

/* How libc++abi's `type_info` objects say which clauses catch what; the two before are theirs alone. */
namespace __cxxabiv1 {
class __shim_type_info : public std::type_info {
  public:
    ~__shim_type_info() override;
    virtual void noop1() const;
    virtual void noop2() const;
    /* Whether a clause of this type catches what was thrown; changes the address to what the clause is to get. */
    virtual bool can_catch(const __shim_type_info *thrown, void *&object) const = 0;
};
} // namespace __cxxabiv1

using Type = __cxxabiv1::__shim_type_info;

/* Destructors give their object back in WebAssembly (clang's WebAssemblyCXXABI). */
using Destructor = void *(*)(void *);

namespace {

/* Stands before the object that is thrown. */
struct alignas(16) Thrown {
    const Type *type;
    Destructor destroy;
    /* In how many clauses it is; negative while it is on its way again, from one of them. */
    int handlers;
    /* What the clause gets that it was found for: the object, a base of it, or what a pointer points at. */
    void *caught;
    /* The one that was caught before it and still is. */
    Thrown *outer;

    void *object() { return this + 1; }
};

/* Of those that are in clauses, the last. */
Thrown *innermost = nullptr;

uintptr_t unsigned_number(const uint8_t *&at) {
    uintptr_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *at++;
        number |= static_cast<uintptr_t>(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
}

intptr_t signed_number(const uint8_t *&at) {
    uintptr_t number = 0;
    for (unsigned shift = 0;;) {
        uint8_t byte = *at++;
        number |= static_cast<uintptr_t>(byte & 0x7f) << shift;
        shift += 7;
        if (byte < 0x80) {
            if ((byte & 0x40) != 0 && shift < 8 * sizeof number)
                number |= ~uintptr_t{0} << shift;
            return static_cast<intptr_t>(number);
        }
    }
}

constexpr uint8_t OMITTED = 0xff;

/* The clause of a place that catches it, by its number in the function's table of types, or 0. */
int clause(Thrown *thrown, const uint8_t *table, unsigned place) {
    if (*table++ != OMITTED)
        abort();
    if (*table++ == OMITTED)
        return 0;
    uintptr_t distance = unsigned_number(table);
    auto types = reinterpret_cast<const Type *const *>(table + distance);
    table++;
    uintptr_t length = unsigned_number(table);
    const uint8_t *actions = table + length;
    uintptr_t action = 0;
    for (unsigned at = 0; at <= place; at++) {
        unsigned_number(table);
        action = unsigned_number(table);
    }
    if (action == 0)
        return 0;
    for (const uint8_t *at = actions + action - 1;;) {
        intptr_t number = signed_number(at);
        const uint8_t *here = at;
        intptr_t next = signed_number(at);
        if (number > 0) {
            const Type *type = types[-number];
            void *object = thrown->object();
            if (type == nullptr || type->can_catch(thrown->type, object)) {
                thrown->caught = object;
                return static_cast<int>(number);
            }
        }
        if (next == 0)
            return 0;
        at = here + next;
    }
}

} // namespace

extern "C" {

/* Where the compiler's code says where it is, and finds the answer. */
struct {
    uintptr_t place;
    const uint8_t *table;
    uintptr_t clause;
} __wasm_lpad_context;

int _Unwind_CallPersonality(void *thrown) {
    auto &context = __wasm_lpad_context;
    context.clause = static_cast<uintptr_t>(
        clause(static_cast<Thrown *>(thrown), context.table, context.place));
    return 0;
}

/* Only its address is taken, by tables of functions. */
int __gxx_wasm_personality_v0() { abort(); }

void *__cxa_allocate_exception(size_t size) noexcept {
    void *block = malloc(sizeof(Thrown) + size);
    if (block == nullptr)
        abort();
    return static_cast<Thrown *>(block)->object();
}

void __cxa_free_exception(void *object) noexcept { free(static_cast<Thrown *>(object) - 1); }

[[noreturn]] void __cxa_throw(void *object, std::type_info *type, Destructor destroy) {
    Thrown *thrown = static_cast<Thrown *>(object) - 1;
    *thrown = {static_cast<const Type *>(type), destroy, 0, object, nullptr};
    __builtin_wasm_throw(0, thrown);
}

void *__cxa_get_exception_ptr(void *thrown) noexcept { return static_cast<Thrown *>(thrown)->caught; }

void *__cxa_begin_catch(void *caught) noexcept {
    Thrown *thrown = static_cast<Thrown *>(caught);
    thrown->handlers = (thrown->handlers < 0 ? -thrown->handlers : thrown->handlers) + 1;
    if (thrown != innermost) {
        thrown->outer = innermost;
        innermost = thrown;
    }
    return thrown->caught;
}

void __cxa_end_catch() {
    Thrown *thrown = innermost;
    if (thrown->handlers < 0) {
        /* On its way: whoever catches it next has it. */
        if (++thrown->handlers == 0)
            innermost = thrown->outer;
        return;
    }
    if (--thrown->handlers != 0)
        return;
    innermost = thrown->outer;
    if (thrown->destroy != nullptr)
        thrown->destroy(thrown->object());
    free(thrown);
}

[[noreturn]] void __cxa_rethrow() {
    if (innermost == nullptr)
        std::terminate();
    innermost->handlers = -innermost->handlers;
    __builtin_wasm_throw(0, innermost);
}

} // extern "C"
