;; A function to call by name, by recursion on purpose: calls are what it exercises.
;; Run it with: cargo run --release -p vm-cli -- run --invoke fibonacci examples/fibonacci.wat 30
(module $fibonacci
  (func $fibonacci (export "fibonacci") (param $n i32) (result i64)
    (if (result i64) (i32.lt_u (local.get $n) (i32.const 2))
      (then (i64.extend_i32_u (local.get $n)))
      (else
        (i64.add
          (call $fibonacci (i32.sub (local.get $n) (i32.const 1)))
          (call $fibonacci (i32.sub (local.get $n) (i32.const 2))))))))
