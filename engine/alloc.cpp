// Two-level segregated fit (TLSF): lists of free blocks by size class, found through bitmaps in constant time; neighbours
// are joined as soon as both are free. A header of one cache line stands before each block, so that payloads are aligned.
// Any thread may call it. WASM only: the native engine has the system's allocator.
#include "pool.h"

extern "C" unsigned char __heap_base;  // set by the linker: the first byte after data and stack

namespace chainrule {
namespace {

constexpr size_t LINE = 64;
constexpr size_t PAGE = 65536;
constexpr size_t LAST_PAGE = 65535;      // one page less than 4 GiB, so that every end is a 32-bit number
constexpr int FIRST = 6;                 // log2 of the smallest size class, one line
constexpr int CLASSES = 32 - FIRST;      // powers of two ...
constexpr int STEPS = 16;                // ... each divided into sixteenths

struct Block {
  size_t size;                           // with the header, a multiple of LINE
  bool free;
  Block* before;                         // the neighbour at the lower address, or null
  Block* next;                           // in the list of its class
  Block* previous;
};
static_assert(sizeof(Block) <= LINE);

Block* lists[CLASSES][STEPS];
uint32_t used_classes;
uint32_t used_steps[CLASSES];
Block* last;                             // the block at the highest address
uintptr_t heap_end;
size_t in_use;
int lock_word;

struct Lock {
  Lock() { while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE) != 0) {} }
  ~Lock() { __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE); }
};

Block* after(Block* block) {
  const uintptr_t end = reinterpret_cast<uintptr_t>(block) + block->size;
  return end == heap_end ? nullptr : reinterpret_cast<Block*>(end);
}

struct Class { int power, step; };

// The class that a block of this size is kept in.
Class class_of(size_t size) {
  const int power = 31 - __builtin_clz(uint32_t(size));
  return {power - FIRST, int((size >> (power - 4)) & (STEPS - 1))};
}

void insert(Block* block) {
  const Class c = class_of(block->size);
  Block*& head = lists[c.power][c.step];
  block->free = true;
  block->previous = nullptr;
  block->next = head;
  if (head != nullptr) head->previous = block;
  head = block;
  used_classes |= 1u << c.power;
  used_steps[c.power] |= 1u << c.step;
}

void remove(Block* block) {
  const Class c = class_of(block->size);
  if (block->previous != nullptr) block->previous->next = block->next;
  else lists[c.power][c.step] = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  if (lists[c.power][c.step] == nullptr) {
    used_steps[c.power] &= ~(1u << c.step);
    if (used_steps[c.power] == 0) used_classes &= ~(1u << c.power);
  }
  block->free = false;
}

// A free block of at least this size: every block of the next class up is large enough, so the first one will do.
Block* find(size_t size) {
  const int power = 31 - __builtin_clz(uint32_t(size));
  const size_t rounded = size + ((size_t(1) << power) >> 4) - 1;
  if (rounded < size) return nullptr;
  Class c = class_of(rounded);
  uint32_t steps = used_steps[c.power] & (~0u << c.step);
  if (steps == 0) {
    const uint32_t classes = c.power + 1 < 32 ? used_classes & (~0u << (c.power + 1)) : 0;
    if (classes == 0) return nullptr;
    c.power = __builtin_ctz(classes);
    steps = used_steps[c.power];
  }
  return lists[c.power][__builtin_ctz(steps)];
}

// Takes what is too much off the end of a block that is not in a list.
void trim(Block* block, size_t size) {
  const size_t rest = block->size - size;
  if (rest < 2 * LINE) return;
  Block* tail = reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(block) + size);
  tail->size = rest;
  tail->before = block;
  if (Block* next = after(block)) next->before = tail;
  else last = tail;
  block->size = size;
  insert(tail);
}

Block* join(Block* block) {
  if (Block* next = after(block); next != nullptr && next->free) {
    remove(next);
    block->size += next->size;
    if (next == last) last = block;
  }
  if (Block* before = block->before; before != nullptr && before->free) {
    remove(before);
    before->size += block->size;
    if (block == last) last = before;
    block = before;
  }
  if (Block* next = after(block)) next->before = block;
  return block;
}

size_t pages() { return __builtin_wasm_memory_size(0); }

// Adds memory behind the heap and returns it as a free block that is in no list, joined with a free one before it.
Block* grow(size_t size) {
  if (heap_end == 0) {
    heap_end = (reinterpret_cast<uintptr_t>(&__heap_base) + LINE - 1) & ~(LINE - 1);
    const uintptr_t given = pages() * PAGE;              // memory that was there from the start
    if (given > heap_end + 2 * LINE) size = size > given - heap_end ? size - (given - heap_end) : 0;
  }
  const size_t spare = last != nullptr && last->free ? last->size : 0;
  size_t wanted = (size > spare ? size - spare : 0) + PAGE - 1;
  if (wanted < PAGE - 1) return nullptr;
  wanted /= PAGE;
  const size_t room = LAST_PAGE - (pages() < LAST_PAGE ? pages() : LAST_PAGE);
  if (wanted > room) return nullptr;
  const size_t generous = pages() / 8 + 16;              // grow in steps that get larger, for growing has a price
  const size_t more = wanted > generous ? wanted : generous < room ? generous : room;
  if (__builtin_wasm_memory_grow(0, more) == size_t(-1)) {
    if (more == wanted || __builtin_wasm_memory_grow(0, wanted) == size_t(-1)) return nullptr;
  }
  Block* block = reinterpret_cast<Block*>(heap_end);
  block->size = pages() * PAGE - heap_end;
  block->before = last;
  block->free = false;
  heap_end = pages() * PAGE;
  last = block;
  return join(block);
}

}  // namespace

// 64-byte aligned and not cleared; null when 4 GiB are full.
void* engine_alloc(size_t bytes) {
  if (bytes > LAST_PAGE * PAGE - 2 * LINE) return nullptr;
  const size_t size = ((bytes == 0 ? 1 : bytes) + 2 * LINE - 1) & ~(LINE - 1);
  const Lock lock;
  Block* block = find(size);
  if (block != nullptr) remove(block);
  else block = grow(size);
  if (block == nullptr) return nullptr;
  trim(block, size);
  in_use += block->size;
  return reinterpret_cast<char*>(block) + LINE;
}

void engine_free(void* payload) {
  if (payload == nullptr) return;
  const Lock lock;
  Block* block = reinterpret_cast<Block*>(static_cast<char*>(payload) - LINE);
  in_use -= block->size;
  insert(join(block));
}

// Bytes in use, headers included.
size_t engine_allocated() { return in_use; }

}  // namespace chainrule

// What the compiler expects of a C library.
extern "C" {
__attribute__((no_builtin)) void* memcpy(void* to, const void* from, size_t n) { return __builtin_memcpy(to, from, n); }
__attribute__((no_builtin)) void* memmove(void* to, const void* from, size_t n) { return __builtin_memmove(to, from, n); }
__attribute__((no_builtin)) void* memset(void* to, int value, size_t n) { return __builtin_memset(to, value, n); }
}
