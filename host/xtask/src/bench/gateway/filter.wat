;; A proxy-wasm filter (ABI 0.2.1) that does what the measured policy does: it writes
;; one field into the request and one into the response. By hand, so that it does
;; nothing else.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "FIELD")
  (data (i32.const 64) "VALUE")
  (data (i32.const 256) "x-policy-1")
  (data (i32.const 272) "seen")
  (global $free (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  ;; What the host writes is small and read once: a ring is enough.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (if (i32.gt_u (i32.add (global.get $free) (local.get $size)) (i32.const 65536))
      (then (global.set $free (i32.const 4096))))
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.get $at))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  ;; 0: the request's header fields. 0 again: go on.
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 0)
      (i32.const 16) (i32.const FIELD_LENGTH) (i32.const 64) (i32.const VALUE_LENGTH)))
    (i32.const 0))
  ;; 2: the response's header fields.
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2)
      (i32.const 256) (i32.const 10) (i32.const 272) (i32.const 4)))
    (i32.const 0)))
