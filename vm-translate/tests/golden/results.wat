(module
  ;; A block's result goes straight to the local that is set after it.
  (func $to_local (param i32) (result i32) (local i32)
    (local.set 1
      (block (result i32)
        (drop (br_if 0 (i32.const 3) (local.get 0)))
        (i32.add (local.get 1) (i32.const 2))))
    (i32.mul (local.get 1) (local.get 1)))
  (func $to_local_by_if (param i32 f64) (result f64) (local f64)
    (local.tee 2
      (if (result f64) (local.get 0)
        (then (f64.sqrt (local.get 1)))
        (else (f64.neg (local.get 1)))))
    (f64.add (local.get 2)))
  ;; The last block of a function leaves its result where the function does, and returns.
  (func $to_function (param i32) (result i32)
    (block (result i32)
      (block (result i32)
        (br_table 0 1 2 (i32.const 7) (local.get 0)))))
  (func $to_return (param i32) (result i32)
    (return
      (if (result i32) (local.get 0)
        (then (i32.const 1))
        (else (call $to_return (i32.const 1))))))
)
