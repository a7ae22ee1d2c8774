;; Loads from behind the end of its memory, a few calls deep, to show a trap and its backtrace.
;; Run it with: cargo run --release -p vm-cli -- run examples/out_of_bounds.wat
;; The exit code is 134, and the backtrace names load, middle, outer and _start.
(module $out_of_bounds
  (memory (export "memory") 1)

  ;; One page is 65536 bytes, so this is the first address of which no byte is inside.
  (func $load (export "load") (param $address i32) (result i32)
    local.get $address
    i32.load)

  (func $middle (param $address i32) (result i32)
    local.get $address
    i32.const 1
    i32.add
    call $load)

  (func $outer (export "outer") (result i32)
    i32.const 65535
    call $middle)

  (func $_start (export "_start")
    call $outer
    drop))
