// The engine as a Node-API addon. Addresses are pointers as doubles: backing stores of ArrayBuffers do not move.
#include <node_api.h>
#include <stdint.h>
#include "dispatch.h"
#include "mailbox.h"
#include "pool.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(CHAINRULE_GUARDED)
#include <sanitizer/asan_interface.h>
#endif

using namespace chainrule;

namespace {

// Each thread that loads the addon (main, Node workers) has its own mailbox.
thread_local double* mailbox;
int32_t variant = -1;
int32_t threads = -1;

double* pointer_of(napi_env env, napi_value buffer) {
  void* data = nullptr;
  napi_get_arraybuffer_info(env, buffer, &data, nullptr);
  return static_cast<double*>(data);
}

napi_value number(napi_env env, double value) {
  napi_value out;
  napi_create_double(env, value, &out);
  return out;
}

template <size_t N> void arguments(napi_env env, napi_callback_info info, napi_value (&out)[N]) {
  size_t count = N;
  napi_get_cb_info(env, info, &count, out, nullptr, nullptr);
}

// setMailbox(buffer: ArrayBuffer): the caller keeps it alive.
napi_value set_mailbox(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, args);
  mailbox = pointer_of(env, args[0]);
  return nullptr;
}

// A block is 64 bytes longer than what is asked for, and used from its first aligned byte on: the rest belongs to nobody.
void guard(napi_env env, napi_value buffer) {
#if defined(CHAINRULE_GUARDED)
  void* data = nullptr;
  size_t bytes = 0;
  napi_get_arraybuffer_info(env, buffer, &data, &bytes);
  char* const start = static_cast<char*>(data);
  const size_t shift = (64 - reinterpret_cast<uintptr_t>(data) % 64) % 64;
  __asan_poison_memory_region(start, shift);
  __asan_poison_memory_region(start + shift + bytes - 64, 64 - shift);
#endif
}

// address(buffer: ArrayBuffer): number
napi_value address(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, args);
  guard(env, args[0]);
  return number(env, double(reinterpret_cast<uintptr_t>(pointer_of(env, args[0]))));
}

// run(): no arguments and no result cost no Node-API calls; what is slow here is slow for every op.
napi_value run(napi_env, napi_callback_info) {
  const int32_t wanted_variant = int32_t(mailbox[2]), wanted_threads = int32_t(mailbox[3]);
  if (wanted_variant != variant) select_variant(variant = wanted_variant);
  if (wanted_threads != threads) pool_set_threads(threads = wanted_threads);
  run_mailbox(mailbox);
  return nullptr;
}

// aotFind(lo: number, hi: number): number
napi_value aot_find(napi_env env, napi_callback_info info) {
  napi_value args[2];
  arguments(env, info, args);
  int32_t lo = 0, hi = 0;
  napi_get_value_int32(env, args[0], &lo);
  napi_get_value_int32(env, args[1], &hi);
  return number(env, engine_aot_find(lo, hi));
}

napi_value variants(napi_env env) {
  napi_value list;
  const int32_t count = variant_count();
  napi_create_array_with_length(env, size_t(count), &list);
  for (int32_t i = 0; i < count; ++i) {
    napi_value name;
    napi_create_string_utf8(env, variant_name(i), NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, list, uint32_t(i), name);
  }
  return list;
}

// Freed tensors' pages stay with the process: the next tensor of that size finds them warm instead of faulting in zeros.
void keep_pages() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc accepts
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

}  // namespace

NAPI_MODULE_INIT() {
  keep_pages();
  const struct { const char* name; napi_callback function; } functions[] = {
      {"setMailbox", set_mailbox}, {"address", address}, {"run", run}, {"aotFind", aot_find}};
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
  napi_set_named_property(env, exports, "variants", variants(env));
  napi_value format;  // of the tapes that this build reads: the library compares it with its own
  napi_create_string_utf8(env, TAPE_FORMAT, NAPI_AUTO_LENGTH, &format);
  napi_set_named_property(env, exports, "format", format);
#if defined(CHAINRULE_GUARDED)
  napi_value yes;
  napi_get_boolean(env, true, &yes);
  napi_set_named_property(env, exports, "guarded", yes);
#endif
  return exports;
}
