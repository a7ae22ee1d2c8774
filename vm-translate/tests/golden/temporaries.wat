(module
  (func $id (param i32) (result i32) (local.get 0))
  ;; More values at once than the executor has registers for: those without a local take them, and the
  ;; function saves them.
  (func $borrowed (param i32 i32) (result i32)
    (loop $l
      (local.set 0
        (i32.xor
          (i32.mul
            (i32.add (i32.mul (local.get 0) (local.get 1)) (i32.const 3))
            (i32.sub (i32.mul (local.get 1) (local.get 0)) (i32.const 5)))
          (i32.mul
            (i32.add (i32.mul (local.get 0) (local.get 1)) (i32.const 7))
            (i32.sub (i32.mul (local.get 1) (local.get 0)) (i32.const 9)))))
      (br_if $l (i32.lt_u (local.get 0) (local.get 1))))
    (local.get 0))
  ;; A short body borrows none.
  (func $short (param i32 i32) (result i32)
    (i32.mul
      (i32.add (i32.mul (local.get 0) (local.get 1)) (i32.const 3))
      (i32.sub (i32.mul (local.get 1) (local.get 1)) (i32.const 5))))
  ;; A call ends the life of all temporaries.
  (func $called (param i32 i32) (result i32) (local $sum i32)
    (loop $l
      (local.set $sum
        (i32.xor
          (i32.mul
            (i32.add (i32.mul (local.get 0) (local.get 1)) (i32.const 3))
            (i32.sub (i32.mul (local.get 1) (local.get $sum)) (i32.const 5)))
          (i32.mul
            (i32.add (i32.mul (local.get 0) (local.get $sum)) (i32.const 7))
            (call $id (i32.sub (i32.mul (local.get 1) (local.get 0)) (i32.const 9))))))
      (br_if $l (i32.lt_u (local.get $sum) (local.get 1))))
    (local.get $sum))
  (func $floats (param f64 f64) (result f64)
    (loop $l
      (local.set 0
        (f64.div
          (f64.mul
            (f64.add (f64.mul (local.get 0) (local.get 0)) (f64.const 3))
            (f64.sub (f64.mul (local.get 0) (local.get 0)) (f64.const 5)))
          (f64.mul
            (f64.add (f64.mul (local.get 0) (local.get 0)) (f64.const 7))
            (f64.sub (f64.mul (local.get 0) (local.get 0)) (f64.const 9)))))
      (br_if $l (f64.lt (local.get 0) (local.get 0))))
    (local.get 0))
)
